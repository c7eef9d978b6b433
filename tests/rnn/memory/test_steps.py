"""Values, VJPs and JVPs of the steps around a memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Step
from rnn.memory.access import READ, WRITE
from rnn.memory.addressing import Addressing
from rnn.memory.similarity import cosine, cosine_vjp


def differences(step: Step, inputs, cotangent, tangents):
    """The derivative of <cotangent, step(inputs)> along the tangents: by VJP, JVP and differences."""
    eps = 1e-6
    ahead = step.f(*(x + eps * t for x, t in zip(inputs, tangents, strict=True)))
    behind = step.f(*(x - eps * t for x, t in zip(inputs, tangents, strict=True)))
    pulled = step.vjp(inputs, cotangent)
    by_vjp = sum((g * t).sum() for g, t in zip(pulled, tangents, strict=True) if g is not None)
    by_jvp = (cotangent * step.jvp(inputs, tangents)).sum()
    return by_vjp, by_jvp, (cotangent * (ahead - behind)).sum() / (2 * eps)


def weighting(rng, *shape):
    w = rng.exponential(size=shape)
    return w / w.sum(axis=-1, keepdims=True)


sizes = st.tuples(*(st.integers(1, 3) for _ in range(3)), st.integers(1, 5))


@given(sizes, st.sampled_from([None, 0, 1, 2]), st.integers(0, 10**6))
def test_addressing(size, reach, seed):
    batch, heads, width, slots = size
    rng = np.random.default_rng(seed)
    addressing = Addressing(width, reach)
    lead = (2, batch)
    inputs = (
        rng.normal(size=(*lead, heads, addressing.size + 2)),
        rng.normal(size=(*lead, slots, width)),
        weighting(rng, *lead, heads, slots),
    )
    step = addressing.step()
    w = step.f(*inputs)
    assert w.shape == (*lead, heads, slots) and (w >= 0).all()
    np.testing.assert_allclose(w.sum(axis=-1), 1)
    tangents = tuple(rng.normal(size=x.shape) for x in inputs)
    by_vjp, by_jvp, wanted = differences(step, inputs, rng.normal(size=w.shape), tangents)
    assert by_vjp == pytest.approx(wanted, rel=1e-5, abs=1e-7)
    assert by_jvp == pytest.approx(by_vjp, rel=1e-9, abs=1e-12)


@given(sizes, st.integers(0, 10**6))
def test_reading_and_writing(size, seed):
    batch, heads, width, slots = size
    rng = np.random.default_rng(seed)
    w, memory = weighting(rng, 2, batch, heads, slots), rng.normal(size=(2, batch, slots, width))
    row = rng.normal(size=(2, batch, heads, 1 + 2 * width))
    for step, inputs in ((READ, (w, memory)), (WRITE, (row, w, memory))):
        value = step.f(*inputs)
        tangents = tuple(rng.normal(size=x.shape) for x in inputs)
        by_vjp, by_jvp, wanted = differences(step, inputs, rng.normal(size=value.shape), tangents)
        assert by_vjp == pytest.approx(wanted, rel=1e-6, abs=1e-7)
        assert by_jvp == pytest.approx(by_vjp, rel=1e-10, abs=1e-12)


def test_write_heads_commute():
    rng = np.random.default_rng(0)
    w, memory, row = weighting(rng, 1, 2, 3, 4), rng.normal(size=(1, 2, 4, 2)), rng.normal(size=(1, 2, 3, 4))
    order = [2, 0, 1]
    np.testing.assert_allclose(
        WRITE.f(row, w, memory), WRITE.f(row[..., order, :], w[..., order, :], memory), rtol=1e-12
    )


def test_one_hot_writing_then_reading_returns_what_was_written():
    w = np.eye(4)[None, None, [2]]
    row = np.concatenate([np.full((1, 1, 1, 3), 800.0), np.array([[[[1.0, 2, 3]]]])], axis=-1)
    memory = WRITE.f(row, w, np.full((1, 1, 4, 3), 7.0))
    np.testing.assert_array_equal(READ.f(w, memory), [[[1.0, 2, 3]]])
    np.testing.assert_array_equal(memory[0, 0, [0, 1, 3]], 7.0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extremes_are_finite(dtype):
    """Empty slots, huge strengths and powers, and one-hot weightings give numbers and derivatives."""
    addressing = Addressing(2, 1)
    row = np.array([0, 0, 500, 500, 500, -500, -500, 800], dtype).reshape(1, 1, 1, -1)
    memory, before = np.zeros((1, 1, 3, 2), dtype), np.array([[[[1, 0, 0]]]], dtype)
    step = addressing.step()
    with np.errstate(all="raise", under="ignore"):
        value = step.f(row, memory, before)
        found = step.vjp((row, memory, before), np.ones_like(value))
        moved = step.jvp((row, memory, before), (row, memory, before))
    assert value.dtype == dtype and all(g.dtype == dtype for g in found)
    for array in (value, *found, moved):
        assert np.isfinite(array).all()


def test_cosine_of_nothing_is_zero_with_finite_slopes():
    keys, memory = np.zeros((1, 2)), np.array([[0.0, 0.0], [3.0, 4.0]])
    np.testing.assert_array_equal(cosine(keys, memory), [[0, 0]])
    for g in cosine_vjp(keys, memory, np.ones((1, 2))):
        assert np.isfinite(g).all()
