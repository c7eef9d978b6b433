"""Transported Jacobians against finite differences of forward runs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Adjoint, Checkpointed, FactorGraph, ForwardOnly, OnEdges, Step, Tangent, run
from msgpass.algebra.rules import Stop
from msgpass.errors import DataError, GraphError, UnavailableError, UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence
from tests.msgpass.recurrence_models import recurrence, recurrences

CLOSE = {"rtol": 1e-6, "atol": 1e-8}


def moved(graph, name, of, step=1e-6):
    """∂(of, all rows)/∂(every number of a given node) by central differences, (T, *row, *shape)."""
    start = np.array(graph[name].value, float)
    found = np.zeros((*run(graph, schedule=ForwardOnly()).forward[of].shape, *start.shape))
    for place in np.ndindex(*start.shape):
        sides = []
        for sign in (1, -1):
            there = start.copy()
            there[place] += sign * step
            sides.append(run(graph, schedule=ForwardOnly(), values={name: there}).forward[of])
        found[(..., *place)] = (sides[0] - sides[1]) / (2 * step)
    return found


@settings(max_examples=40)
@given(recurrences(), st.data())
def test_jacobians_are_finite_differences(graph, data):
    """By states through the input e that is added to each, by data, starts and weights as they are."""
    m = run(graph)
    states = [n.name for n in graph.nodes.values() if isinstance(n, Sequence)]
    of = data.draw(st.sampled_from(states))
    t = data.draw(st.integers(0, graph[of].clock.total - 1))
    given_nodes = [
        n.name
        for n in graph.nodes.values()
        if isinstance(n, Parameter | Observation) and n.name not in ("y", "goal")
    ]
    wrt = data.draw(st.sampled_from(given_nodes))
    wanted = moved(graph, wrt, of)[t]
    if isinstance(graph[wrt], Observation):
        wanted = np.moveaxis(wanted, 1, 0)  # rows in front
    np.testing.assert_allclose(m.jacobian((of, t), wrt), wanted, **CLOSE)
    if wrt.startswith("e_"):
        by_state = m.jacobian(graph[of][t], wrt[2:])
        np.testing.assert_allclose(by_state, wanted, **CLOSE)
        s = data.draw(st.integers(0, len(by_state) - 1))
        np.testing.assert_array_equal(m.jacobian(graph[of][t], (wrt[2:], s)), by_state[s])
    assert run(graph, schedule=ForwardOnly()).jacobian((of, t), wrt).shape == wanted.shape


@pytest.mark.parametrize("vectorized", [False, True])
def test_a_sequence_that_every_step_reads_carries_messages_on(vectorized):
    graph = recurrence(np.random.default_rng(0), "attention", 3, vectorized)
    m = run(graph)
    for t in range(3):
        wanted = np.moveaxis(moved(graph, "x", "top")[t], 1, 0)
        np.testing.assert_allclose(m.jacobian(("top", t), "x"), wanted, **CLOSE)


def batch(H=2, B=3, T=4, mixes=False, vectorized=True, seed=0):
    """Two states a sample; ``mixes``: samples speak to each other."""
    rng = np.random.default_rng(seed)
    g = FactorGraph()
    x, e = g.observe("x", rng.normal(size=(T, B, 2))), g.observe("e_c", np.zeros((T, B, H)))
    h, c = g.sequence("h", T, shape=(B, H)), g.sequence("c", T, shape=(B, H))
    zero = g.observe("zero", np.zeros((B, H)))
    W, U = g.parameter("W", rng.normal(size=(H, H)) / H**0.5), g.parameter("U", rng.normal(size=(H, 2)))

    def cell(h, c, x, e, W, U):
        memory = 0.7 * c + np.tanh(h @ W.T + x @ U.T)
        if mixes:
            memory = memory + 0.1 * np.mean(c, axis=-2, keepdims=True)
        return np.tanh(memory), memory + e

    step = Step(cell, vectorized=vectorized)
    g.factor(step, h.after(zero), c.after(zero), x[:], e[:], W, U, out=(h[:], c[:]), name="cell")
    return g


@pytest.mark.parametrize(("size", "vectorized"), [(2, True), (2, False), (3, True), (30, True)])
def test_blocks_of_samples(size, vectorized):
    g = batch(size, vectorized=vectorized)
    m = run(g)
    blocks = m.jacobian(("h", 3), "c")
    assert blocks.shape == (4, 3, size, size)
    for b in range(3):
        np.testing.assert_allclose(m.jacobian(("h", 3), "c", sample=b), blocks[:, b], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(m.jacobian(("h", 3), ("c", 1)), blocks[1], rtol=1e-12, atol=1e-14)
    if size == 2:
        wanted = moved(g, "e_c", "h")[3]  # (B, H, T, B, H)
        for b in range(3):
            later = np.moveaxis(wanted[b, :, :, b], 1, 0)
            # e is added to c alone, so that h at the same row does not follow.
            np.testing.assert_allclose(blocks[:3, b], later[:3], **CLOSE)
    by_weight = m.jacobian(("h", 3), "W")
    assert by_weight.shape == (3, size, size, size)
    np.testing.assert_allclose(m.jacobian(("h", 3), "W", sample=1), by_weight[1], rtol=1e-12, atol=1e-14)
    if size == 2:
        np.testing.assert_allclose(by_weight, moved(g, "W", "h")[3], **CLOSE)


def test_states_compose():
    """∂(h, c)_3/∂(h, c)_0 is the product of the one-step Jacobians of the joint state."""
    m = run(batch())

    def joint(t, s, b):
        rows = [[m.jacobian((a, t), (z, s), sample=b) for z in ("h", "c")] for a in ("h", "c")]
        return np.block(rows)

    product = joint(3, 2, 1) @ joint(2, 1, 1) @ joint(1, 0, 1)
    np.testing.assert_allclose(joint(3, 0, 1), product, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(joint(1, 1, 0), np.eye(4))
    assert not joint(0, 1, 0).any()


def test_samples_that_speak_to_each_other_are_found():
    g = batch(mixes=True)
    m = run(g)
    with pytest.raises(UnsupportedError, match="speak to each other"):
        m.jacobian(("h", 3), "c")
    own = m.jacobian(("h", 3), ("c", 2), sample=1)
    np.testing.assert_allclose(own, moved(g, "e_c", "h")[3][1, :, 2, 1], **CLOSE)


def test_other_runs():
    g = batch()
    m = run(g)
    wanted = m.jacobian(("h", 2), "x")
    assert wanted.shape == (4, 3, 2, 2)
    for other in (run(g, schedule=Checkpointed(2)), run(g, OnEdges(Adjoint(), {"c": Stop()}))):
        np.testing.assert_allclose(other.jacobian(("h", 2), "x"), wanted, rtol=1e-12)
    with pytest.raises(UnsupportedError, match="tangent"):
        run(g, Tangent({"W": np.ones((2, 2))}, over=Adjoint())).jacobian(("h", 2), "x")


@pytest.mark.parametrize(
    ("of", "wrt", "sample", "error", "says"),
    [
        ("h", "c", None, GraphError, "of which row"),
        (("h", 9), "c", None, UnavailableError, "no row 9"),
        (("h", 1), "q", None, UnavailableError, "no Jacobian of or by 'q'"),
        (("W", 1), "h", None, GraphError, "has no steps"),
        ("x", "h", None, UnsupportedError, "is given"),
        (("h", 1), "c", 3, DataError, "samples 0 to 2"),
        (("h", "1"), "c", None, GraphError, "a row is"),
    ],
)
def test_what_is_not_there_is_named(of, wrt, sample, error, says):
    with pytest.raises(error, match=says):
        run(batch()).jacobian(of, wrt, sample=sample)
