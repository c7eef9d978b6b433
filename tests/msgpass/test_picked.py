"""Factors over rows that an index array names."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import FactorGraph, Loss, Quadratic, Step, Table, check_gradients, run
from msgpass.errors import GraphError, ShapeError
from msgpass.sweeps.flattened import flatten


def forest(rng, n, states, seen=True):
    """A random tree over the rows of one sequence, written by index arrays."""
    g = FactorGraph()
    x = g.sequence("x", length=n, states=states)
    child = np.arange(1, n)
    parent = np.array([rng.integers(k) for k in child])
    g.factor(Table(g.parameter("pairs", rng.normal(size=(states, states)))), x[parent], x[child], name="pair")
    at = rng.integers(n, size=2 * n)
    y = g.observe("y", rng.integers(-1, 2, size=2 * n), states=2)
    g.factor(Table(g.parameter("seen", rng.normal(size=(states, 2)))), x[at], y[:], name="see")
    return g, parent, child, at


@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(2, 3))
def test_picked_rows_are_the_flat_graph(seed, n, states):
    g, *_ = forest(np.random.default_rng(seed), n, states)
    m, flat = run(g), run(g.unroll())
    assert m.total == pytest.approx(flat.total)
    for t in range(n):
        np.testing.assert_allclose(m.belief["x"][t], flat.belief[f"x[{t}]"], atol=1e-12)
    for name in ("pairs", "seen"):
        np.testing.assert_allclose(m.parameters[name], flat.parameters[name], atol=1e-12)
    assert not check_gradients(g).failed


def test_a_step_s_rows_may_be_picked_twice():
    g = FactorGraph()
    s = g.sequence("s", length=2, shape=(2,))
    w = g.parameter("w", [[0.1, 0.2], [0.3, -0.4]])
    g.factor(Step(lambda one, w: one @ w), g.observe("one", np.eye(2))[:], w, out=s[:])
    x = g.sequence("x", length=3, states=2)
    g.factor(Table(s[[0, 1, 1]]), x[[2, 1, 0]])
    assert not check_gradients(g).failed


def test_gaussian_rows():
    rng = np.random.default_rng(0)
    g = FactorGraph()
    x, y = g.sequence("x", length=4, shape=(2,)), g.observe("y", rng.normal(size=(5, 2)))
    g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x[:])
    relation = Quadratic.linear_gaussian(g.parameter("F", rng.normal(size=(2, 2))), np.eye(2))
    g.factor(relation, x[[0, 0, 1]], x[[1, 2, 3]])
    g.factor(Quadratic.observation(np.eye(2), np.eye(2)), x[[3, 3, 0, 1, 3]], y[:])
    m, flat = run(g), run(g.unroll())
    assert m.total == pytest.approx(flat.total)
    np.testing.assert_allclose(m.belief["x"].mean[3], flat.belief["x[3]"].mean)
    assert not check_gradients(g).failed


def test_scopes_are_numbers():
    g, parent, child, at = forest(np.random.default_rng(1), 5, 2)
    flat = flatten(g.plan().blocks[0])
    np.testing.assert_array_equal(flat.scopes[0], np.stack([parent, child], 1))
    np.testing.assert_array_equal(flat.scopes[1], at[:, None])
    assert flat.label(3) == "x[3]" and flat.owner(3) == ("x", 3)


def test_single_variables_stand_beside_picked_rows():
    g = FactorGraph()
    x, b = g.sequence("x", length=3, states=2), g.variable("b", states=3)
    g.factor(Table(np.arange(6.0).reshape(2, 3)), x[[0, 2]], b)
    g.factor(Table(np.zeros(2)), x[1])
    flat = flatten(g.plan().blocks[0])
    place = flat.first["b"]
    assert flat.scopes[0].tolist() == [[flat.first["x"], place], [flat.first["x"] + 2, place]]
    assert flat.owner(place) == ("b", -1)
    assert run(g).total == pytest.approx(run(g.unroll()).total)


def test_bad_rows_are_told():
    g = FactorGraph()
    x, r = g.sequence("x", length=3, states=2), g.sequence("r", length=[2, 3], states=2)
    h = g.sequence("h", length=3, shape=(1,))
    table = Table(np.zeros((2, 2)))
    with pytest.raises(ShapeError, match=r"row 3 at place 1 is not one of the 3 rows"):
        x[[0, 3]]
    with pytest.raises(GraphError, match="whole numbers"):
        x[[0.5]]
    with pytest.raises(GraphError, match="ragged"):
        r[[0]]
    with pytest.raises(GraphError, match=r"instance 1 names x\[1\] twice"):
        g.factor(table, x[[0, 1]], x[[1, 1]])
    with pytest.raises(ShapeError, match="has 2 rows and x"):
        g.factor(table, x[[0, 1]], x[[1, 2, 0]])
    with pytest.raises(GraphError, match="picks rows"):
        g.factor(Loss(lambda v: (float(v.sum()), (np.ones_like(v),))), h[[0, 1]])
    with pytest.raises(GraphError, match="order in time"):
        g.factor(Step(lambda a, b: a + b), h.after(g.parameter("a", [0.0])), h[[0, 1, 2]], out=h[:])
