"""Laws of graphs in which a recurrence feeds tables: conditional random fields, neural HMMs, the structured
perceptron."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import Checkpointed, MaxProduct, ParallelScan, Sequential, SumProduct, run
from msgpass.nodes import Observation, Parameter, Sequence
from tests.msgpass.mixed_models import K, mixed_graphs
from tests.msgpass.table_models import seeds
from tests.oracles import Enumeration, Flat, along, random_direction, values_of

TOLERANCE = {"rtol": 1e-9, "atol": 1e-10}
GRADIENT = {"rtol": 2e-6, "atol": 1e-7}


@pytest.fixture(params=[SumProduct(), MaxProduct()], ids=["sum", "max"], scope="module")
def algebra(request):
    return request.param


def enumerations(m, algebra):
    """The free enumeration at the run's own scores, and the one with the labels clamped (None: no labels)."""
    reduction = "max" if isinstance(algebra, MaxProduct) else "sum"
    values = {n: v for n, v in values_of(m).items() if n in ("s", "a", "h")}
    labels = m.graph.conditions
    free = Enumeration(Flat.of(m.graph, values), reduction)
    return free, Enumeration(Flat.of(m.graph, {**values, **labels}), reduction) if labels else None


@given(mixed_graphs())
def test_total_is_the_loss(algebra, graph):
    m = run(graph, algebra)
    free, clamped = enumerations(m, algebra)
    offsets = graph["h"].clock.offsets
    loss = 0.5 * (m.forward["h"][offsets[1:] - 1] ** 2).sum()
    np.testing.assert_allclose(
        m.total, loss + (free.total - clamped.total if clamped else -free.total), **TOLERANCE
    )


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


@settings(max_examples=25)
@given(mixed_graphs(), seeds)
def test_gradients_are_derivatives_of_total(algebra, graph, seed):
    m, rng = run(graph, algebra), np.random.default_rng(seed)
    for node in graph.nodes.values():
        if isinstance(node, Parameter | Observation) and not node.discrete:
            direction = random_direction(rng, node.value)
            np.testing.assert_allclose(
                (m.gradient[node.name] * direction).sum(),
                along(graph, node.name, direction, algebra, step=1e-6),
                **GRADIENT,
            )


@settings(max_examples=30)
@given(mixed_graphs())
def test_other_schedules_and_the_flat_graph_say_the_same(algebra, graph):
    m = run(graph, algebra, Sequential())
    kept, flat = run(graph, algebra, Checkpointed(2)), run(graph.unroll(), algebra)
    for other in (kept, run(graph, algebra, ParallelScan()), flat):
        np.testing.assert_allclose(other.total, m.total, **TOLERANCE)
        for name in m.parameters:
            np.testing.assert_allclose(other.parameters[name], m.parameters[name], **TOLERANCE)
    for node in graph.nodes.values():
        if isinstance(node, Sequence) and not node.discrete:
            for row in range(node.clock.total):
                np.testing.assert_allclose(
                    flat.gradient[f"{node.name}[{row}]"], m.gradient[node.name][row], **TOLERANCE
                )


@given(mixed_graphs(scored=["local", "both"], labels=["all"]))
def test_a_perceptron_step_moves_from_the_best_path_to_the_labels(graph):
    m, labels, one = run(graph, MaxProduct()), graph.conditions["z"], np.eye(K)
    np.testing.assert_array_equal(m.gradient["s"], one[m.assignment["z"]] - one[labels])
