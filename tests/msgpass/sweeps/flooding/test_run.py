"""Loopy propagation: exact on trees, its published fixed point on a loop, and factors with structure among
tables."""

import itertools

import numpy as np
import pytest

from msgpass import (
    Cardinality,
    FactorGraph,
    Flooding,
    JunctionTree,
    MaxProduct,
    NoisyOr,
    Parity,
    Sequential,
    Table,
    run,
)
from msgpass.errors import ConvergenceWarning, ImpossibleEvidenceError, UnavailableError
from msgpass.gradient_check import check_gradients

ORDERS = pytest.mark.parametrize("order", ["flood", "sequential", "residual"])


def tree(rng, structured=True):
    """Tables, a parity check and a noisy-OR without loops, one table doubled and one variable observed."""
    g = FactorGraph()
    x = [g.variable(f"x{k}", states=2) for k in range(6)]
    z = g.variable("z", states=3)
    y = g.observe("y", 1, states=2)
    g.factor(Table(g.parameter("a", rng.normal(size=(2, 2)))), x[0], x[1])
    g.factor(Table(g.parameter("b", rng.normal(size=(2, 2)))), x[1], x[0])
    g.factor(Table(g.parameter("c", rng.normal(size=(2, 3)))), x[2], z)
    if structured:
        g.factor(Parity(), x[1], x[2], x[3], name="check")
        links = g.parameter("links", rng.uniform(0.1, 0.9, 2))
        g.factor(NoisyOr(links, g.parameter("leak", 0.3)), x[3], x[4], y)
        g.factor(Cardinality(g.parameter("w", rng.normal(size=3))), x[4], x[5])
    else:
        g.factor(Table(rng.normal(size=(2, 2, 2, 2, 2))), x[1], x[2], x[3], x[4], x[5])
    g.factor(Table(g.parameter("d", rng.normal(size=2))), x[5])
    return g


@ORDERS
@pytest.mark.parametrize("algebra", [None, MaxProduct()], ids=["sum", "max"])
@pytest.mark.parametrize("structured", [False, True], ids=["tables", "structured"])
def test_on_a_tree_it_is_exact(structured, algebra, order, rng):
    g = tree(rng, structured)
    exact, found = run(g, algebra, Sequential()), run(g, algebra, Flooding(order=order, tol=1e-12))
    assert np.isclose(found.total, exact.total, rtol=1e-10)
    for name in ("x0", "x3", "z", *g.factors):
        np.testing.assert_allclose(found.belief[name], exact.belief[name], rtol=1e-8, atol=1e-10)
    for name in ("a", "b", "c", "d", *(["links", "leak", "w"] if structured else [])):
        np.testing.assert_allclose(found.parameters[name], exact.parameters[name], rtol=1e-8, atol=1e-10)
    if algebra is not None:
        for k in range(6):
            assert found.assignment[f"x{k}"] == exact.assignment[f"x{k}"]


@ORDERS
def test_a_triangle_has_its_published_fixed_point(order):
    g = FactorGraph()
    s = g.sequence("s", length=3, states=2)
    g.factor(Table([[0.5, -0.5], [-0.5, 0.5]]), s[[0, 1, 2]], s[[1, 2, 0]])
    g.factor(Table([-0.3, 0.3]), s[:])
    m = run(g, schedule=Flooding(order=order, tol=1e-12))
    assert np.isclose(m.total, 2.761855257, atol=1e-8)
    np.testing.assert_allclose(np.exp(m.belief["s"]) @ [-1, 1], 0.637652644, atol=1e-8)


@ORDERS
@pytest.mark.parametrize("damping", [0.0, 0.4])
def test_gradients_of_bethe_on_a_loop(order, damping, rng):
    g = FactorGraph()
    x = g.sequence("x", length=5, states=2)
    i, j = np.array([0, 1, 2, 3, 4]), np.array([1, 2, 3, 4, 0])
    g.factor(Table(g.parameter("J", 0.4 * rng.normal(size=(2, 2)))), x[i], x[j])
    g.factor(Table(g.parameter("h", rng.normal(size=2))), x[:])
    g.factor(Cardinality(g.parameter("w", 0.3 * rng.normal(size=4))), x[i[:2]], x[i[2:4]], x[[4, 4]])
    check_gradients(g, schedule=Flooding(order=order, damping=damping, tol=1e-12))


def test_large_problems_run_compiled_with_the_same_messages(rng, monkeypatch):
    from msgpass.kernels import flooding

    def model():
        g, n = FactorGraph(), 400
        x = g.sequence("x", length=n, states=2)
        draw = np.random.default_rng(0)
        g.factor(Table(draw.normal(size=(n, 2))), x[:])
        rows = np.stack([draw.permutation(n) for _ in range(4)])
        g.factor(Parity(), *(x[r] for r in rows[:3, :150]))
        g.factor(Table(0.3 * draw.normal(size=(2, 2))), x[rows[3, :200]], x[rows[3, 200:]])
        return g

    for algebra, damping in itertools.product([None, MaxProduct()], [0.0, 0.3]):
        schedule = Flooding(order="flood", tol=0.0, max_iter=20, damping=damping)
        found = []
        for fewest in (1, 10**9):
            monkeypatch.setattr(flooding, "FEWEST", fewest)
            with pytest.warns(ConvergenceWarning):
                m = run(model(), algebra, schedule)
            found.append((m.total, m.belief["x"]))
        assert np.isclose(found[0][0], found[1][0], rtol=1e-10)
        np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-8, atol=1e-10)


def test_what_does_not_settle_warns(rng):
    g = FactorGraph()
    s = g.sequence("s", length=3, states=2)
    g.factor(Table([[0.5, -0.5], [-0.5, 0.5]]), s[[0, 1, 2]], s[[1, 2, 0]])
    g.factor(Table([-0.3, 0.3]), s[:])
    with pytest.warns(ConvergenceWarning, match=r"did not converge in 2 iterations.*damping.*JunctionTree"):
        run(g, schedule=Flooding(order="flood", max_iter=2))


def test_hard_zeros_are_exact():
    """An erased bit is found by its checks, with certainty."""
    g = FactorGraph()
    x = g.sequence("x", length=4, states=2)
    known = np.array([[0, -np.inf], [-np.inf, 0], [0, 0], [0, 0]])
    g.factor(Table(known), x[:])
    g.factor(Parity(), x[[0, 1]], x[[1, 2]], x[[2, 3]])
    for order in ("flood", "sequential"):
        m = run(g, schedule=Flooding(order=order))
        np.testing.assert_array_equal(m.belief["x"][2], [-np.inf, 0.0])
        np.testing.assert_array_equal(m.belief["x"][3], [0.0, -np.inf])
        assert m.total == run(g, schedule=JunctionTree()).total == 0


def test_contradicting_evidence_names_the_factor():
    g = FactorGraph()
    x = g.sequence("x", length=3, states=2)
    g.factor(Table(np.where(np.eye(2)[[0, 0, 1]] == 1, 0.0, -np.inf)), x[:])
    g.factor(Parity(), x[0], x[1], x[2], name="check")
    m = run(g, schedule=Flooding())
    assert m.total == -np.inf
    with pytest.raises(ImpossibleEvidenceError, match="contradicts factor check, a Parity"):
        _ = m.belief["x"]


def test_labels_are_clamped(rng):
    g = FactorGraph()
    x = g.sequence("x", length=4, states=2)
    g.factor(Table(g.parameter("J", rng.normal(size=(2, 2)))), x[[0, 1, 2]], x[[1, 2, 3]])
    g.condition(x, [1, -1, 0, -1])
    exact, found = run(g, schedule=JunctionTree()), run(g, schedule=Flooding(tol=1e-12))
    assert np.isclose(exact.total, found.total)
    np.testing.assert_allclose(found.parameters["J"], exact.parameters["J"], atol=1e-9)


def test_there_is_no_forward_message():
    g = FactorGraph()
    x = g.sequence("x", length=3, states=2)
    g.factor(Parity(), x[:2], x[1:])
    with pytest.raises(UnavailableError, match="no direction"):
        _ = run(g, schedule=Flooding()).forward["x"]
