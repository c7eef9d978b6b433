"""Laws of graphs in which a recurrence feeds tables: conditional random fields, neural HMMs, the structured perceptron."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.msgpass.table_models import seeds
from tests.oracles import Enumeration, Flat, along, random_direction, values_of

from msgpass import Checkpointed, FactorGraph, Loss, MaxProduct, Sequential, Step, SumProduct, Table, run
from msgpass.nodes import Observation, Parameter, Sequence

TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}
GRADIENT = {"rtol": 2e-6, "atol": 1e-7}

K, H = 2, 2


def scores(h, V):
    return h @ V.T


def score_tables(h, V):
    return np.reshape(h @ V.T, (*np.shape(h)[:-1], K, K))


def cell(h, x, W, U):
    return np.tanh(h @ W.T + x @ U.T)


@st.composite
def mixed_graphs(draw):
    """A recurrence whose states score the local tables, the transitions, or both, of a chain or a comb."""
    return mixed_graph(
        np.random.default_rng(draw(seeds)),
        draw(st.sampled_from([1, 2, 4, [2, 1, 2], [3, 2]])),
        draw(st.sampled_from(["local", "transition", "both"])),
        draw(st.sampled_from(["chain", "comb"])),
        draw(st.sampled_from(["none", "some", "all"])),
        draw(st.booleans()),
    )


def mixed_graph(rng, lengths, scored, shape, labels, vectorized) -> FactorGraph:
    """See :func:`mixed_graphs`."""
    g, total = FactorGraph(), int(np.sum(lengths))

    def parameter(name, *size):
        return g.parameter(name, 0.7 * rng.normal(size=size))

    def sequence_of(name, f, V, *size):
        s = g.sequence(name, length=lengths, shape=size)
        g.factor(Step(f, vectorized=vectorized), h[:], V, out=s[:], name=f"{name} step")
        return s

    x, h = g.observe("x", rng.normal(size=(total, 2))), g.sequence("h", length=lengths, shape=(H,))
    g.factor(Step(cell, vectorized=vectorized), h.after(parameter("h0", H)), x[:], parameter("W", H, H), parameter("U", H, 2), out=h[:])
    z = g.sequence("z", length=lengths, states=K)
    if scored != "transition":
        g.factor(Table(sequence_of("s", scores, parameter("V", K, H), K)[:]), z[:], name="local")
    if scored != "local":
        a = sequence_of("a", score_tables, parameter("V2", K * K, H), K, K)
        g.factor(Table(a[1:]), z[:-1], z[1:], name="scored link")
        g.factor(Table(parameter("bias", K)), z[:], name="bias everywhere")
    else:
        g.factor(Table(parameter("A", K, K)), z[:-1], z[1:], name="link")
    if shape == "comb":
        w = g.sequence("w", length=lengths, states=2)
        g.factor(Table(parameter("tooth", K, 2)), z[:], w[:], name="teeth")
        g.factor(Table(parameter("emission", 2, 3)), w[:], g.observe("y", rng.integers(-1, 3, total), states=3)[:], name="emit")
    if labels != "none":
        known = rng.integers(0, K, total)
        g.condition(z, np.where(rng.random(total) < 0.5, -1, known) if labels == "some" else known)
    g.factor(Loss(lambda h: (0.5 * (h**2).sum(), (h,))), h[-1], name="loss")
    return g


@pytest.fixture(params=[SumProduct(), MaxProduct()], ids=["sum", "max"], scope="module")
def algebra(request):
    return request.param


def enumerations(m, algebra):
    """The free enumeration at the run's own scores, and the one with the labels clamped (None: no labels)."""
    reduction = "max" if isinstance(algebra, MaxProduct) else "sum"
    values = {n: v for n, v in values_of(m).items() if n in ("s", "a")}
    labels = m.graph.conditions
    free = Enumeration(Flat.of(m.graph, values), reduction)
    return free, Enumeration(Flat.of(m.graph, {**values, **labels}), reduction) if labels else None


@given(mixed_graphs())
def test_total_is_the_loss(algebra, graph):
    m = run(graph, algebra)
    free, clamped = enumerations(m, algebra)
    offsets = graph["h"].clock.offsets
    loss = 0.5 * (m.forward["h"][offsets[1:] - 1] ** 2).sum()
    np.testing.assert_allclose(m.total, loss + (free.total - clamped.total if clamped else -free.total), **TOLERANCE)


@given(mixed_graphs())
def test_scores_get_marginals(graph):
    """Minus the marginals in a neural HMM, free minus clamped marginals in a conditional random field."""
    m = run(graph)
    free, clamped = enumerations(m, SumProduct())
    z = graph["z"]
    firsts = {int(o) for o in z.clock.offsets[:-1]}
    for t in range(z.clock.total):
        np.testing.assert_allclose(np.exp(m.belief["z"][t]), np.exp(free.marginal(("z", t))), **TOLERANCE)
        for name, keys in (("s", [("z", t)]), ("a", [("z", t - 1), ("z", t)])):
            if name in graph.nodes and (name == "s" or t not in firsts):
                wanted = np.exp(free.marginal(*keys))
                wanted = wanted - np.exp(clamped.marginal(*keys)) if clamped else -wanted
                np.testing.assert_allclose(m.gradient[name][t], wanted, **TOLERANCE)


@given(mixed_graphs(), seeds)
def test_gradients_are_derivatives_of_total(algebra, graph, seed):
    m, rng = run(graph, algebra), np.random.default_rng(seed)
    for node in graph.nodes.values():
        if isinstance(node, Parameter | Observation) and not node.discrete:
            direction = random_direction(rng, node.value)
            np.testing.assert_allclose((m.gradient[node.name] * direction).sum(), along(graph, node.name, direction, algebra, step=1e-6), **GRADIENT)


@given(mixed_graphs())
def test_other_schedules_and_the_flat_graph_say_the_same(algebra, graph):
    m = run(graph, algebra, Sequential())
    kept, flat = run(graph, algebra, Checkpointed(2)), run(graph.unroll(), algebra)
    for other in (kept, flat):
        np.testing.assert_allclose(other.total, m.total, **TOLERANCE)
        for name in m.parameters:
            np.testing.assert_allclose(other.parameters[name], m.parameters[name], **TOLERANCE)
    for node in graph.nodes.values():
        if isinstance(node, Sequence) and not node.discrete:
            for row in range(node.clock.total):
                np.testing.assert_allclose(flat.gradient[f"{node.name}[{row}]"], m.gradient[node.name][row], **TOLERANCE)


@given(mixed_graphs(), st.integers(0, 2**16))
def test_a_perceptron_step_moves_from_the_best_path_to_the_labels(graph, _):
    m = run(graph, MaxProduct())
    if "s" not in graph.nodes or not graph.conditions:
        return
    labels = graph.conditions["z"]
    if (labels < 0).any():
        return
    one = np.eye(K)
    np.testing.assert_array_equal(m.gradient["s"], one[m.assignment["z"]] - one[labels])
