"""Laws of Adjoint and Tangent over recurrences of every shape: values by the steps themselves, messages by
finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Adjoint, Checkpointed, ForwardOnly, ParallelScan, Step, Tangent, run
from msgpass.nodes import Observation, Parameter, Sequence
from tests.msgpass.recurrence_models import KINDS, LENGTHS, recurrence, recurrences
from tests.msgpass.table_models import seeds
from tests.oracles import along, cells_of, instances_of, random_direction, values_of

EXACT = {"rtol": 1e-9, "atol": 1e-11}
GRADIENT = {"rtol": 1e-6, "atol": 1e-8}
UNROLLED = [k for k in KINDS if k != "attention"]  # a flat graph has no node for a whole sequence


@given(recurrences())
def test_every_step_holds_and_total_is_the_sum_of_losses(graph):
    m = run(graph)
    values, losses = values_of(m), 0.0
    for factor in graph.factors.values():
        for inputs, outputs in instances_of(factor, values):
            if isinstance(factor.potential, Step):
                found = factor.potential.f(*inputs)
                for got, wanted in zip(outputs, found if isinstance(found, tuple) else (found,), strict=True):
                    np.testing.assert_allclose(got, wanted, **EXACT)
            elif not any(np.isnan(v).all() for v in inputs):
                losses += factor.potential.value_and_grad(*inputs)[0]
    np.testing.assert_allclose(m.total, losses, **EXACT)
    np.testing.assert_allclose(run(graph, Adjoint(), ForwardOnly()).total, losses, **EXACT)


@settings(max_examples=50)
@given(recurrences(), seeds)
def test_gradients_are_derivatives_of_total(graph, seed):
    m, rng = run(graph), np.random.default_rng(seed)
    for node in graph.nodes.values():
        if isinstance(node, Parameter | Observation):
            direction = random_direction(rng, node.value)
            np.testing.assert_allclose(
                (m.gradient[node.name] * direction).sum(), along(graph, node.name, direction), **GRADIENT
            )
        elif f"e_{node.name}" in graph.nodes:
            np.testing.assert_allclose(m.gradient[node.name], m.gradient[f"e_{node.name}"], **EXACT)


def direction_of(graph, name):
    """The clock of the recurrence that computes a sequence: −1 where it runs against the data's."""
    return -1 if name == "r" or (name == "h" and "hT" in graph.nodes) else 1


@given(recurrences(kinds=UNROLLED))
def test_cotangents_at_a_row_add_up_and_those_of_later_slices_are_backward(graph):
    m = run(graph)
    arriving = {
        n.name: np.zeros((n.clock.total, *n.shape)) for n in graph.nodes.values() if isinstance(n, Sequence)
    }
    later = {name: np.zeros_like(a) for name, a in arriving.items()}
    for factor in graph.factors.values():
        outs = cells_of(factor.out[0], factor) if factor.out else None
        for s in factor.args:
            for j, (read, row) in enumerate(cells_of(s, factor)):
                name = read.node.name
                if name in arriving:
                    message = m.message(factor[j], read.node[row])
                    arriving[name][row] += message
                    if outs and (
                        s.edge is read or (outs[j][1] - row) * direction_of(graph, outs[j][0].node.name) > 0
                    ):
                        later[name][row] += message
        for j, (read, row) in enumerate(outs or ()):
            np.testing.assert_array_equal(
                m.message(read.node[row], factor[j]), m.gradient[read.node.name][row]
            )
            np.testing.assert_array_equal(
                m.message(factor[j], read.node[row]), m.forward[read.node.name][row]
            )
    for name in arriving:
        np.testing.assert_allclose(arriving[name], m.gradient[name], **EXACT)
        np.testing.assert_allclose(later[name], m.backward[name], **EXACT)


@given(recurrences())
def test_messages_at_a_parameter_add_up_to_its_gradient(graph):
    m = run(graph)
    for node in graph.nodes.values():
        if isinstance(node, Parameter):
            places = [(f, s) for f in graph.factors.values() for s in f.args if s.node is node]
            if places:
                found = sum(m.message(f[j], node) for f, _ in places for j in range(len(f)))
                np.testing.assert_allclose(found, m.parameters[node.name], **EXACT)
                np.testing.assert_array_equal(m.message(node, places[0][0][0]), node.value)


@given(recurrences(), seeds)
def test_tangent_is_the_gradient_dotted_with_the_direction(graph, seed):
    rng, m = np.random.default_rng(seed), run(graph)
    names = [n.name for n in graph.nodes.values() if isinstance(n, Parameter | Observation)]
    moved = [n for n in names if rng.random() < 0.5] or names[:1]
    directions = {n: rng.normal(size=graph[n].value.shape) for n in moved}
    value, tangent = run(graph, Tangent(directions)).total
    np.testing.assert_allclose(value, m.total, **EXACT)
    np.testing.assert_allclose(
        tangent, sum((m.gradient[n] * d).sum() for n, d in directions.items()), rtol=1e-8, atol=1e-10
    )


@given(recurrences(), st.integers(1, 3), st.sampled_from([None, 1, 2, 3]))
def test_checkpointed_is_sequential(graph, slots, stretch):
    m, kept = run(graph), run(graph, schedule=Checkpointed(slots, stretch))
    assert kept.total == pytest.approx(m.total, rel=1e-12)
    for node in graph.nodes.values():
        np.testing.assert_allclose(kept.gradient[node.name], m.gradient[node.name], **EXACT)


@given(recurrences())
def test_a_scan_is_sequential(graph):
    m, scanned = run(graph), run(graph, schedule=ParallelScan())
    assert scanned.total == m.total
    for node in graph.nodes.values():
        np.testing.assert_allclose(scanned.gradient[node.name], m.gradient[node.name], **EXACT)
        if isinstance(node, Sequence):
            np.testing.assert_allclose(scanned.backward[node.name], m.backward[node.name], **EXACT)


@given(recurrences(kinds=UNROLLED))
def test_flat_is_sliced(graph):
    several_starts = any(
        isinstance(n, Parameter) and n.name[-1] in "0T" and n.value.ndim == 2 for n in graph.nodes.values()
    )
    if several_starts:
        return  # a start for each sequence in one array has no flat counterpart
    m, flat = run(graph), run(graph.unroll())
    np.testing.assert_allclose(flat.total, m.total, **EXACT)
    for node in graph.nodes.values():
        if isinstance(node, Parameter):
            np.testing.assert_allclose(flat.parameters[node.name], m.parameters[node.name], **EXACT)
        elif isinstance(node, Sequence):
            for row in range(node.clock.total):
                np.testing.assert_allclose(
                    flat.gradient[f"{node.name}[{row}]"], m.gradient[node.name][row], **EXACT
                )


@given(st.sampled_from(KINDS), LENGTHS, seeds, st.booleans())
def test_vectorised_steps_give_the_same_messages(kind, lengths, seed, own):
    one, many = (
        run(recurrence(np.random.default_rng(seed), kind, lengths, vectorized, own))
        for vectorized in (False, True)
    )
    np.testing.assert_allclose(many.total, one.total, **EXACT)
    for name in one.gradient:
        np.testing.assert_allclose(many.gradient[name], one.gradient[name], **EXACT)
