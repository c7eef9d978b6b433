"""LSTM's, GRU's and Elman's cells with every option: steps, halves and held steps have true derivatives."""

from itertools import product

import numpy as np
import pytest

from rnn.cells import elman, gru, held, lstm
from tests.rnn.differences import central

CELLS = {
    **{
        f"rnn {act} {n}": elman(act, bias=n < 2, layer_norm=n > 0)
        for act in ("tanh", "relu")
        for n in range(3)
    },
    **{f"gru {b} {n}": gru(b, n) for b, n in product((True, False), repeat=2)},
    **{
        f"lstm {b} {p} {c} {n}": lstm(b, p, c, n)
        for b, p, c, n in product((True, False), (0, 2), (True, False), (True, False))
    },
}


@pytest.fixture(params=CELLS, ids=lambda name: name.replace(" ", "-"))
def cell(request):
    return CELLS[request.param]


def inputs_of(cell, rng, hidden=3, inputs=2, steps=2, batch=2):
    """States and x stacked over steps, and the shared weights."""
    states = [rng.normal(size=(steps, batch, n)) for n in cell.sizes(hidden)]
    weights = [rng.normal(size=s) for s in cell.shapes(inputs, hidden).values()]
    return (*states, rng.normal(size=(steps, batch, inputs)), *weights)


def tupled(value):
    return value if isinstance(value, tuple) else (value,)


def derivatives_are_true(step, given, rng):
    """VJP against differences, JVP as its transpose, HVP as the VJP's difference along a direction."""
    out = tupled(step.f(*given))
    cotangent = tuple(rng.normal(size=o.shape) for o in out)
    packed = cotangent if len(out) > 1 else cotangent[0]
    found = step.vjp(given, packed)
    for k, message in enumerate(found):

        def paired(v, k=k):
            new = tupled(step.f(*given[:k], v, *given[k + 1 :]))
            return sum(float((c * n).sum()) for c, n in zip(cotangent, new, strict=True))

        wanted = central(paired, given[k])
        np.testing.assert_allclose(0 if message is None else message, wanted, rtol=1e-6, atol=1e-7)
    moves = tuple(rng.normal(size=g.shape) for g in given)
    forward = sum(
        float((c * t).sum()) for c, t in zip(cotangent, tupled(step.jvp(given, moves)), strict=True)
    )
    backward = sum(float((m * t).sum()) for m, t in zip(found, moves, strict=True) if m is not None)
    assert forward == pytest.approx(backward, rel=1e-11)
    eps = 1e-6
    up, down = (
        step.vjp(tuple(g + s * eps * t for g, t in zip(given, moves, strict=True)), packed) for s in (1, -1)
    )
    for moved, a, b in zip(step.hvp(given, packed, moves), up, down, strict=True):
        wanted = 0 if a is None else (a - b) / (2 * eps)
        np.testing.assert_allclose(0 if moved is None else moved, wanted, rtol=1e-5, atol=1e-5)


def test_the_step(cell, rng):
    derivatives_are_true(cell.step, inputs_of(cell, rng), rng)


def test_the_halves_are_the_step(cell, rng):
    given, roles, states = inputs_of(cell, rng), [*cell.shapes(2, 3)], len(cell.states)
    weights = dict(zip(roles, given[states + 1 :], strict=True))
    early = [w for role, w in weights.items() if role not in cell.late]
    affine, combine = cell.halves()
    gates = affine.f(*given[: states + 1], *early)
    assert gates.shape[-1] == cell.gates * 3
    new = combine.f(gates, *given[:states], *(weights[role] for role in cell.late))
    for a, b in zip(tupled(new), tupled(cell.step.f(*given)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14)
    derivatives_are_true(affine, (*given[: states + 1], *early), rng)
    derivatives_are_true(combine, (gates, *given[:states], *(weights[r] for r in cell.late)), rng)


def test_a_held_step_keeps_states_where_the_mask_is_zero(cell, rng):
    given, states = inputs_of(cell, rng), len(cell.states)
    mask = np.array([[[1.0], [0.0]], [[0.0], [1.0]]])
    step = held(cell.step, states)
    with_mask = (*given[: states + 1], mask, *given[states + 1 :])
    for new, old, full in zip(tupled(step.f(*with_mask)), given, tupled(cell.step.f(*given)), strict=False):
        np.testing.assert_array_equal(new, np.where(mask == 1, full, old))
    assert step.vjp(with_mask, cell.step.f(*given))[states + 1] is None
    without = type(step)(
        lambda *v: step.f(*v[: states + 1], mask, *v[states + 1 :]),
        vjp=lambda v, c: _drop(step.vjp((*v[: states + 1], mask, *v[states + 1 :]), c), states + 1),
        jvp=lambda v, t: step.jvp(
            (*v[: states + 1], mask, *v[states + 1 :]), (*t[: states + 1], 0 * mask, *t[states + 1 :])
        ),
        hvp=lambda v, c, t: _drop(
            step.hvp(
                (*v[: states + 1], mask, *v[states + 1 :]), c, (*t[: states + 1], 0 * mask, *t[states + 1 :])
            ),
            states + 1,
        ),
    )
    derivatives_are_true(without, given, rng)


def _drop(found, place):
    return (*found[:place], *found[place + 1 :])


def test_single_precision_stays(cell, rng):
    given = tuple(v.astype(np.float32) for v in inputs_of(cell, rng))
    out = tupled(cell.step.f(*given))
    packed = out if len(out) > 1 else out[0]
    found = [*out, *cell.step.vjp(given, packed), *tupled(cell.step.jvp(given, given))]
    found += [m for m in cell.step.hvp(given, packed, given) if m is not None]
    assert {f.dtype.name for f in found} == {"float32"}
