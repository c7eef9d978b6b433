"""Attention over any sequence: its weights are a sequence with messages, padding has none, refusals."""

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, check_gradients, run
from msgpass.errors import DataError, ShapeError
from rnn import Attention

KINDS = {
    "additive": {"score": "additive", "size": 5},
    "bias": {"score": "additive", "bias": True},
    "dot": {"score": "dot", "memory_size": 3},
    "scaled": {"score": "scaled", "memory_size": 3},
    "projected": {"score": "scaled", "size": 4},
    "general": {"score": "general", "scale": 2.0},
}


def made(kind, **more):
    return Attention(**{"query_size": 3, "memory_size": 2, "random_state": 0} | KINDS[kind] | more)


def graph_of(attention, rng, masked=False):
    """Queries and a memory that are parameters' own, a loss on the contexts."""
    T, S, B = 3, 4, 2
    g = FactorGraph()
    q = g.observe("q", rng.normal(size=(T, B, attention.query_size)))
    memory = g.observe("memory", rng.normal(size=(S, B, attention.memory_size)))
    mask = g.observe("mask", (np.arange(S)[:, None] < [4, 2])[..., None].astype(float)) if masked else None
    _, context = attention.attach(g, q[:], memory, T, mask)
    goal = rng.normal(size=(T, B, attention.memory_size))
    y = g.observe("y", goal)
    g.factor(
        Loss(lambda c, y: (((c - y) ** 3).sum(), (3 * (c - y) ** 2, None)), vectorized=True), context[:], y[:]
    )
    return g


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
def test_gradients_and_curvature_in_a_graph(kind, masked, rng):
    g = graph_of(made(kind), rng, masked)
    check_gradients(g, ["q", "memory", *run(g).parameters], hvp=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_is_the_graph(kind, rng):
    attention = made(kind)
    g = graph_of(attention, rng, masked=True)
    m = run(g)
    context, weights = attention(g["q"].value, g["memory"].value, lengths=[4, 2])
    np.testing.assert_allclose(weights, m.forward["attention"], rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(context, m.forward["context"], rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(weights.sum(-1), 1)
    assert not weights[:, 1, 2:].any()


def test_what_arrives_at_the_weights_is_the_context_crossed_with_memory(rng):
    g = graph_of(made("general"), rng)
    m = run(g)
    wanted = np.einsum("tbm,sbm->tbs", m.gradient["context"], g["memory"].value)
    np.testing.assert_allclose(m.gradient["attention"], wanted, rtol=1e-12)


def test_padding_has_no_influence(rng):
    attention = made("bias")
    query, memory = rng.normal(size=(2, 2, 3)), rng.normal(size=(5, 2, 2))
    changed = memory.copy()
    changed[3:, 1] = 1e6
    for a, b in zip(attention(query, memory, [5, 3]), attention(query, changed, [5, 3]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_large_scale_is_sharp_and_a_small_one_diffuse(rng):
    query, memory = rng.normal(size=(1, 1, 3)), rng.normal(size=(6, 1, 3))
    _, sharp = made("dot", scale=200.0)(query, memory)
    _, diffuse = made("dot", scale=1e-6)(query, memory)
    best = (memory[:, 0] @ query[0, 0]).argmax()
    assert sharp[0, 0, best] > 0.99
    np.testing.assert_allclose(diffuse, 1 / 6, rtol=1e-4)
    assert made("scaled").scale == pytest.approx(3**-0.5)
    assert made("projected").scale == pytest.approx(0.5)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_by_key(kind, rng):
    attention = made(kind)
    other = made(kind, random_state=1).load_state_dict(attention.state_dict())
    query, memory = rng.normal(size=(1, 2, 3)), rng.normal(size=(4, 2, attention.memory_size))
    np.testing.assert_array_equal(other(query, memory)[1], attention(query, memory)[1])
    if attention.weights:
        assert not np.array_equal(other.reset(1)(query, memory)[1], attention(query, memory)[1])


@pytest.mark.parametrize(
    ("act", "error", "words"),
    [
        (lambda: Attention("cosine", 2, 2), DataError, "score must be one of"),
        (lambda: Attention("dot", 2, 3), ShapeError, "make both alike"),
        (lambda: Attention("scaled", 2, 3), ShapeError, "scaled' with size="),
        (lambda: Attention("dot", 2, 2, 4), DataError, "size is of the scores"),
        (lambda: Attention("general", 2, 2, bias=True), DataError, "has no bias"),
        (lambda: Attention("dot", 2, 2, scale=0), DataError, "scale"),
        (lambda: Attention("dot", 2, 2)(np.zeros((1, 2, 2)), np.zeros((3, 1, 2))), ShapeError, "wanted"),
        (lambda: made("general").load_state_dict({}), DataError, "lacks weight_memory"),
        (
            lambda: made("general")(np.zeros((1, 2, 3)), np.zeros((3, 2, 2)), [4, 1]),
            DataError,
            "lie in 1 … 3",
        ),
        (
            lambda: made("general")(np.zeros((1, 2, 3)), np.zeros((3, 2, 2)), [1]),
            ShapeError,
            "one a sequence",
        ),
    ],
)
def test_refusals(act, error, words):
    with pytest.raises(error, match=words):
        act()
