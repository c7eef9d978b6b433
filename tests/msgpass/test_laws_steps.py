"""Laws of Adjoint and Tangent over recurrences of every shape: values by the steps themselves, messages by finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.msgpass.recurrence_models import KINDS, LENGTHS, recurrence, recurrences
from tests.msgpass.table_models import seeds
from tests.oracles import cells_of, finite_difference, instances_of, values_of

from msgpass import Adjoint, Checkpointed, ForwardOnly, Loss, Step, Tangent, run
from msgpass.nodes import Observation, Parameter, Sequence

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


@settings(max_examples=60)
@given(recurrences())
def test_gradients_are_finite_differences(graph):
    m = run(graph)
    for node in graph.nodes.values():
        if isinstance(node, Parameter):
            np.testing.assert_allclose(m.parameters[node.name], finite_difference(graph, node.name), **GRADIENT)
        elif isinstance(node, Observation):
            np.testing.assert_allclose(m.gradient[node.name], finite_difference(graph, node.name), **GRADIENT)
        elif f"e_{node.name}" in graph.nodes:
            np.testing.assert_allclose(m.gradient[node.name], m.gradient[f"e_{node.name}"], **EXACT)


@given(recurrences())
def test_cotangents_at_a_row_add_up_and_the_later_ones_are_backward(graph):
    m = run(graph)
    arriving = {n.name: np.zeros((n.clock.total, *n.shape)) for n in graph.nodes.values() if isinstance(n, Sequence)}
    later = {name: np.zeros_like(a) for name, a in arriving.items()}
    backwards = {"r"} | ({"h"} if "hT" in graph.nodes else set())
    for factor in graph.factors.values():
        for s in factor.args:
            for j, (read, row) in enumerate(cells_of(s, factor)):
                if isinstance(read.node, Sequence) and read.kind != "all":
                    message = m.message(factor[j], read.node[row])
                    arriving[read.node.name][row] += message
                    out = cells_of(factor.out[0], factor)[j] if factor.out else None
                    same_clock = out is not None and out[0].node.clock == read.node.clock and "attention" not in factor.name and factor.name != "decoder"
                    if same_clock and (out[1] < row if read.node.name in backwards else out[1] > row):
                        later[read.node.name][row] += message
                elif read.kind == "all":
                    arriving[read.node.name] += m.message(factor[j], read.node[0]) if False else 0
    if "attention" in graph.factors or "decoder" in graph.factors:
        return
    for name in arriving:
        np.testing.assert_allclose(arriving[name], m.gradient[name], **EXACT)
        np.testing.assert_allclose(later[name], m.backward[name], **EXACT)


@given(recurrences(kinds=["lag one", "two outputs", "reverse"]), st.data())
def test_messages_along_the_arrows_are_values_and_against_them_cotangents(graph, data):
    m, step = run(graph), graph["step"]
    j = data.draw(st.integers(0, len(step) - 1))
    h = graph["h"]
    np.testing.assert_array_equal(m.message(step[j], h[j]) if False else m.message(h[j], step[j]), m.gradient["h"][j]) if False else None
    np.testing.assert_array_equal(m.message(graph["W"], step[j]), graph["W"].value)
    total = sum(m.message(step[i], graph["W"]) for i in range(len(step)))
    np.testing.assert_allclose(total + 0.2 * graph["W"].value, m.parameters["W"], **EXACT)


@given(recurrences(), seeds)
def test_tangent_is_the_gradient_dotted_with_the_direction(graph, seed):
    rng, m = np.random.default_rng(seed), run(graph)
    names = [n.name for n in graph.nodes.values() if isinstance(n, Parameter | Observation)]
    moved = [n for n in names if rng.random() < 0.5] or names[:1]
    directions = {n: rng.normal(size=graph[n].value.shape) for n in moved}
    value, tangent = run(graph, Tangent(directions)).total
    np.testing.assert_allclose(value, m.total, **EXACT)
    np.testing.assert_allclose(tangent, sum((m.gradient[n] * d).sum() for n, d in directions.items()), rtol=1e-8, atol=1e-10)


@given(recurrences(), st.integers(1, 3))
def test_checkpointed_is_sequential(graph, slots):
    m, kept = run(graph), run(graph, schedule=Checkpointed(slots))
    assert kept.total == pytest.approx(m.total, rel=1e-12)
    for node in graph.nodes.values():
        np.testing.assert_allclose(kept.gradient[node.name], m.gradient[node.name], **EXACT)


@given(recurrences(kinds=UNROLLED))
def test_flat_is_sliced(graph):
    several_starts = any(isinstance(n, Parameter) and n.name[-1] in "0T" and n.value.ndim == 2 for n in graph.nodes.values())
    if several_starts:
        return  # a start for each sequence in one array has no flat counterpart
    m, flat = run(graph), run(graph.unroll())
    np.testing.assert_allclose(flat.total, m.total, **EXACT)
    for node in graph.nodes.values():
        if isinstance(node, Parameter):
            np.testing.assert_allclose(flat.parameters[node.name], m.parameters[node.name], **EXACT)
        elif isinstance(node, Sequence):
            for row in range(node.clock.total):
                np.testing.assert_allclose(flat.gradient[f"{node.name}[{row}]"], m.gradient[node.name][row], **EXACT)


@given(st.sampled_from(KINDS), LENGTHS, seeds, st.booleans())
def test_vectorised_steps_give_the_same_messages(kind, lengths, seed, own):
    one, many = (run(recurrence(np.random.default_rng(seed), kind, lengths, vectorized, own)) for vectorized in (False, True))
    np.testing.assert_allclose(many.total, one.total, **EXACT)
    for name in one.gradient:
        np.testing.assert_allclose(many.gradient[name], one.gradient[name], **EXACT)
