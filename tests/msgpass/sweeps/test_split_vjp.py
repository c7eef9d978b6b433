"""Split VJPs: what can wait is taken once for all steps; the messages are those of the whole VJP. And the
sweep over one sequence gives the bits of the general one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, Loss, Sequential, Step, Truncated, run
from msgpass.errors import GraphError, ShapeError
from msgpass.sweeps import recurrence as sweep
from tests.msgpass.recurrence_models import recurrences

H = 9  # nine times nine numbers: above the size that is linearised


def cell(h, x, g, W, U):
    return np.tanh(h @ W + x @ U + g)


def early(inputs, cotangent):
    z = cotangent * (1 - cell(*inputs) ** 2)
    return z @ inputs[3].T, z @ inputs[4].T, z, None, None


def late(inputs, cotangent):
    z = cotangent * (1 - cell(*inputs) ** 2)
    return None, None, None, *(np.einsum("nbi,nbj->ij", v, z) for v in inputs[:2])


def whole(inputs, cotangent):
    return tuple(
        a if b is None else b for a, b in zip(early(inputs, cotangent), late(inputs, cotangent), strict=True)
    )


def gate(h, V):
    return np.sin(h @ V)


def gate_vjp(inputs, cotangent):
    z = cotangent * np.cos(inputs[0] @ inputs[1])
    return z @ inputs[1].T, np.einsum("nbi,nbj->ij", inputs[0], z)


def graph(lengths, step, seed=0, start=None):
    """A cell of 9 × 9 numbers that reads a gate of the state before."""
    rng, g, total = np.random.default_rng(seed), FactorGraph(), int(np.sum(lengths))
    h, gates = (g.sequence(n, lengths, shape=(H, H)) for n in ("h", "gates"))
    x = g.observe("x", rng.normal(size=(total, H, H)))
    W, U, V = (g.parameter(n, 0.3 * rng.normal(size=(H, H))) for n in "WUV")
    h0 = g.parameter("h0", rng.normal(size=(H, H)))
    g.factor(Step(gate, gate_vjp, vectorized=True), h.after(h0), V, out=gates[:])
    g.factor(step, h.after(h0), x[:], gates[:], W, U, out=h[:], name="cell")
    y = g.observe("y", rng.normal(size=(total, H, H)))
    g.factor(Loss(lambda h, y: (0.5 * ((h - y) ** 2).sum(), (h - y, y - h)), vectorized=True), h[:], y[:])
    return g


def everything(m):
    return {n: m.gradient[n] for n in ("W", "U", "V", "h0", "x", "h", "gates")}


@pytest.mark.parametrize("lengths", [5, [3, 1, 4]])
@pytest.mark.parametrize("schedule", [Sequential(), Truncated(2, 3), Checkpointed(2)], ids=repr)
def test_both_parts_make_the_whole(lengths, schedule):
    found, wanted = (
        run(graph(lengths, step), schedule=schedule)
        for step in (
            Step(cell, vectorized=True, split=(early, late)),
            Step(cell, whole, vectorized=True),
        )
    )
    assert found.total == wanted.total
    for name in ("W", "U", "V", "h0"):
        np.testing.assert_allclose(found.parameters[name], wanted.parameters[name], rtol=1e-11, atol=1e-13)
    if schedule.slots is None:
        for name, value in everything(wanted).items():
            np.testing.assert_allclose(found.gradient[name], value, rtol=1e-11, atol=1e-13, err_msg=name)


def test_what_can_wait_is_asked_once():
    calls = []

    def counted(inputs, cotangent):
        calls.append(len(cotangent))
        return late(inputs, cotangent)

    run(graph(6, Step(cell, vectorized=True, split=(early, counted))))
    assert calls == [6]


def test_a_vjp_is_made_of_both_parts():
    rng = np.random.default_rng(0)
    inputs = tuple(rng.normal(size=s) for s in [(2, H, H)] * 3 + [(H, H)] * 2)
    cotangent = rng.normal(size=(2, H, H))
    step = Step(cell, vectorized=True, split=(early, late))
    for got, wanted in zip(step.vjp(inputs, cotangent), whole(inputs, cotangent), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_refusals():
    with pytest.raises(GraphError, match=r"late part of its split VJP has a cotangent for h\.after"):
        run(graph(3, Step(cell, vectorized=True, split=(early, whole))))
    with pytest.raises(ShapeError, match="late vjp of step 'cell'"):
        run(graph(3, Step(cell, vectorized=True, split=(early, lambda *_: (None,)))))
    with pytest.raises(GraphError, match="late of split"):
        Step(cell, split=(early, 3))


@settings(max_examples=40)
@given(recurrences(lengths=st.integers(1, 5)))
def test_one_sequence_is_swept_to_the_same_bits(problem):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "LINEARISED_STATE", 0)
        found = run(problem)
        patch.setattr(sweep, "fits_one", lambda block: False)
        wanted = run(problem)
    assert found.total == wanted.total
    for name in problem.nodes:
        np.testing.assert_array_equal(found.gradient[name], wanted.gradient[name], err_msg=name)
        if name in wanted.backward:
            np.testing.assert_array_equal(found.backward[name], wanted.backward[name], err_msg=name)
