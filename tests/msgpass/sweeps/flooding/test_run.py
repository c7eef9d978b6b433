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
    SumProduct,
    Table,
    Tempered,
    run,
)
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    GraphError,
    ImpossibleEvidenceError,
    UnavailableError,
)
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


@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_large_problems_run_compiled_with_the_same_messages(rng, monkeypatch):
    from msgpass.kernels import flooding

    def model():
        g, n = FactorGraph(), 400
        x = g.sequence("x", length=n, states=2)
        draw = np.random.default_rng(0)
        g.factor(Table(draw.normal(size=(n, 2))), x[:])
        rows = np.concatenate([draw.permutation(n)[:399].reshape(3, 133) for _ in range(2)], axis=1)
        g.factor(Parity(), *(x[r] for r in rows))
        pairs = draw.permutation(n).reshape(2, 200)
        g.factor(Table(0.3 * draw.normal(size=(2, 2))), x[pairs[0]], x[pairs[1]])
        return g

    for algebra, damping in itertools.product([None, MaxProduct()], [0.0, 0.3]):
        schedule = Flooding(order="flood", tol=0.0, max_iter=6, damping=damping)
        found = []
        for fewest in (1, 10**9):
            monkeypatch.setattr(flooding, "FEWEST", dict.fromkeys(flooding.FEWEST, fewest))
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


def loop(rng, couplings=0.5):
    """Five variables of three states around a loop, with a chord."""
    g = FactorGraph()
    x = g.sequence("x", length=5, states=3)
    i, j = np.array([0, 1, 2, 3, 4, 0]), np.array([1, 2, 3, 4, 0, 2])
    g.factor(Table(g.parameter("J", couplings * rng.normal(size=(6, 3, 3)))), x[i], x[j], name="pair")
    g.factor(Table(g.parameter("h", rng.normal(size=3))), x[:], name="field")
    return g, x


@pytest.mark.parametrize("schedule", [Sequential(), JunctionTree(), Flooding(tol=1e-12)], ids=repr)
@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
def test_a_temperature_divides_every_table(schedule, temperature, rng):
    g = FactorGraph()
    x = g.sequence("x", length=4, states=3)
    J, h = rng.normal(size=(3, 3)), rng.normal(size=(4, 3))
    g.factor(Table(g.parameter("J", J)), x[:-1], x[1:])
    g.factor(Table(g.parameter("h", h)), x[:])
    hot = run(g, Tempered(temperature), schedule)
    scaled = run(g, SumProduct(), Sequential(), {"J": J / temperature, "h": h / temperature})
    assert np.isclose(hot.total, temperature * scaled.total)
    np.testing.assert_allclose(hot.belief["x"], scaled.belief["x"], atol=1e-9)
    np.testing.assert_allclose(hot.parameters["J"], scaled.parameters["J"], atol=1e-9)


@pytest.mark.parametrize("algebra", [None, MaxProduct(), Tempered(0.4)], ids=repr)
@pytest.mark.parametrize("counting", [None, 0.7, "tree", {"pair": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)}], ids=repr)
def test_what_arrives_at_parameters_is_the_gradient(algebra, counting, rng):
    g, _ = loop(rng, 0.2)
    check_gradients(g, algebra=algebra, schedule=Flooding("sequential", tol=1e-12, counting=counting))


@pytest.mark.parametrize("seed", range(8))
def test_spanning_trees_bound_log_z(seed):
    g, _ = loop(np.random.default_rng(seed), 1.5)
    exact = run(g, schedule=JunctionTree()).total
    bound = run(g, schedule=Flooding("sequential", damping=0.3, tol=1e-9, counting="tree")).total
    assert exact <= bound + 1e-7


def test_counting_numbers_of_a_loop_are_shares_of_its_spanning_trees():
    """Of n edges around a loop each is in n - 1 of its n spanning trees."""
    g = FactorGraph()
    x = g.sequence("x", length=4, states=2)
    i, j = np.arange(4), (np.arange(4) + 1) % 4
    g.factor(Table(g.parameter("J", 0.3 * np.arange(16).reshape(4, 2, 2) % 0.7)), x[i], x[j])
    by_tree = run(g, schedule=Flooding(tol=1e-11, counting="tree"))
    by_number = run(g, schedule=Flooding(tol=1e-11, counting=0.75))
    assert np.isclose(by_tree.total, by_number.total, atol=1e-9)


def test_messages_along_edges_are_those_of_the_formula(rng):
    g, x = loop(rng)
    m, pair, field = run(g, schedule=Flooding(tol=1e-12)), g.factors["pair"], g.factors["field"]
    said = m.message(x[0], pair[0])  # all but what the factor itself says
    others = m.message(field[0], x[0]) + m.message(pair[4], x[0]) + m.message(pair[5], x[0])
    np.testing.assert_allclose(said, others - others.max(), atol=1e-9)
    crossed = np.log(np.exp(g.nodes["J"].value[0] + said[:, None]).sum(axis=0))
    np.testing.assert_allclose(m.message(pair[0], x[1]), crossed - crossed.max(), atol=1e-9)
    belief = said + m.message(pair[0], x[0])
    np.testing.assert_allclose(m.belief["x"][0], belief - np.logaddexp.reduce(belief), atol=1e-9)
    with pytest.raises(GraphError, match=r"pair\[0\] and x\[3\] are not neighbours"):
        m.message(pair[0], x[3])


def test_a_run_may_begin_where_another_ended(rng):
    g, _ = loop(rng)
    first = run(g, schedule=Flooding(tol=1e-10))
    again = run(g, schedule=Flooding(tol=1e-8, start=first))
    assert again.convergence.updates < first.convergence.updates / 4
    np.testing.assert_allclose(again.belief["x"], first.belief["x"], atol=1e-8)
    other, _ = loop(rng)
    with pytest.raises(DataError, match="earlier run on the same graph"):
        run(other, schedule=Flooding(start=first))


def test_the_report_says_how_it_went(rng):
    g, _ = loop(rng)
    m = run(g, schedule=Flooding("flood", tol=1e-9))
    report = m.convergence
    assert report and report.iterations == len(report.history) and report.history[-1] <= 1e-9
    assert report.updates == 12 * report.iterations
    with pytest.warns(ConvergenceWarning):
        early = run(g, schedule=Flooding("flood", tol=1e-9, max_iter=2)).convergence
    assert not early and set(early.moving) <= {f"x[{k}]" for k in range(5)} and early.moving
    with pytest.raises(UnavailableError, match="convergence"):
        _ = run(g, schedule=JunctionTree()).convergence


def test_ties_are_named():
    g = FactorGraph()
    x = g.sequence("x", length=3, states=2)
    g.factor(Table([[1.0, 0.0], [0.0, 1.0]]), x[[0, 1, 2]], x[[1, 2, 0]])
    assert run(g, MaxProduct(), Flooding("flood")).convergence.ties == ("x[0]", "x[1]", "x[2]")


@pytest.mark.parametrize("temperature", [0, -1.0, np.nan, np.inf, "hot", None, True])
def test_a_temperature_is_a_number_above_zero(temperature):
    with pytest.raises(DataError, match="a number > 0"):
        Tempered(temperature)
