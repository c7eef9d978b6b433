"""The GRU sweeps: reference against finite differences, compiled against reference, and what must not change
bits.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.errors import DataError, ShapeError
from msgpass.kernels import gru, recurrence_layout, runtime
from msgpass.kernels import gru_reference as reference

NAMES = ("w_ih", "w_hh", "b_ih", "b_hh", "h0")


def draw_problem(rng, steps, batch, inputs, hidden, dtype=np.float64, masked=False):
    """Inputs, weights and local cotangents; with ``masked`` some steps of some members hold their state."""

    def normal(*shape, scale=1.0):
        return (scale * rng.normal(size=shape)).astype(dtype)

    return {
        "x": normal(steps, batch, inputs),
        "w_ih": normal(3 * hidden, inputs, scale=inputs**-0.5),
        "w_hh": normal(3 * hidden, hidden, scale=hidden**-0.5),
        "b_ih": normal(3 * hidden, scale=0.3),
        "b_hh": normal(3 * hidden, scale=0.3),
        "h0": normal(batch, hidden, scale=0.5),
        "mask": (rng.random((steps, batch)) < 0.7).astype(dtype) if masked else None,
    }, normal(steps, batch, hidden)


def widened(problem):
    return {name: None if value is None else value.astype(np.float64) for name, value in problem.items()}


def both(problem, cotangent, reverse=False, **wants):
    """States and gradients of the compiled sweep."""
    h, kept = gru.forward(**problem, reverse=reverse, keep=True)
    return h, gru.backward(cotangent, h=h, kept=kept, reverse=reverse, **problem, **wants)


def exact(problem, cotangent, h, reverse=False):
    """Gradients by the reference in double precision, at the given states."""
    wants = {"want_inputs": True, "want_carried": True}
    return reference.backward(
        cotangent.astype(float), h=h.astype(float), reverse=reverse, **widened(problem), **wants
    )


def assert_close(got, wanted, dtype, steps):
    """Equal up to the rounding of a recursion over ``steps``, relative to the largest entry."""
    assert got.shape == wanted.shape
    assert got.dtype == dtype
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=(100 + 10 * steps) * np.finfo(dtype).eps * scale)


# --- the reference


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_reference_gradients_are_finite_differences(reverse, masked, rng):
    problem, cotangent = draw_problem(rng, 5, 3, 3, 4, masked=masked)

    def loss(**changed):
        return float((cotangent * reference.forward(**{**problem, **changed}, reverse=reverse)).sum())

    got = exact(problem, cotangent, reference.forward(**problem, reverse=reverse), reverse)
    analytic = {**got._asdict(), "x": got.inputs}
    step = 1e-6
    for name in (*NAMES, "x"):
        direction = rng.normal(size=problem[name].shape)
        ahead, behind = (loss(**{name: problem[name] + sign * step * direction}) for sign in (1, -1))
        got_slope = float((analytic[name] * direction).sum())
        assert got_slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-7, abs=1e-8), name


def test_reference_holds_where_the_mask_is_zero(rng):
    problem, _ = draw_problem(rng, 4, 2, 3, 5)
    problem["mask"] = np.array([[1.0, 1], [0, 1], [0, 1], [1, 0]])
    h = reference.forward(**problem)
    np.testing.assert_array_equal(h[1:3, 0], h[[0, 0], 0])
    np.testing.assert_array_equal(h[3, 1], h[2, 1])
    assert (h[3, 0] != h[2, 0]).all()


# --- the compiled sweeps


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {
            "seed": st.integers(0, 2**32 - 1),
            "steps": st.integers(1, 12),
            "batch": st.integers(1, 21),
            "inputs": st.integers(1, 40),
            "hidden": st.integers(1, 70),
        }
    ),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_compiled_sweeps_are_the_reference(sizes, dtype, reverse, masked, wants):
    rng, steps, batch = np.random.default_rng(sizes["seed"]), sizes["steps"], sizes["batch"]
    problem, cotangent = draw_problem(rng, steps, batch, sizes["inputs"], sizes["hidden"], dtype, masked)
    h, got = both(problem, cotangent, reverse, want_inputs=wants, want_carried=wants)
    assert_close(h, reference.forward(**widened(problem), reverse=reverse), dtype, steps)
    wanted = exact(problem, cotangent, h, reverse)
    for name in NAMES:
        assert_close(getattr(got, name), getattr(wanted, name), dtype, steps * batch)
    for name in ("inputs", "carried"):
        if wants:
            assert_close(getattr(got, name), getattr(wanted, name), dtype, steps)
        else:
            assert getattr(got, name) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 3, 64, 300])
def test_many_chunks_of_weight_gradients(batch, dtype, rng):
    """More rows than wait for one product, in chunks that do not divide them, down to one step a chunk."""
    steps = 700 // batch + 3
    problem, cotangent = draw_problem(rng, steps, batch, 5, 9, dtype, masked=True)
    h, got = both(problem, cotangent)
    wanted = exact(problem, cotangent, h)
    for name in NAMES:
        assert_close(getattr(got, name), getattr(wanted, name), dtype, steps)


@pytest.mark.parametrize("batch", [8, 13, 32, 300])
def test_bits_do_not_depend_on_the_processors(batch, rng, monkeypatch):
    monkeypatch.setattr(recurrence_layout, "MIN_SPLIT_WORK", 0)
    problem, cotangent = draw_problem(rng, 20, batch, 7, 33, np.float32, masked=True)
    results = []
    for processors in (2, 1, 2):
        monkeypatch.setattr(runtime, "processors", lambda count=processors: count)
        h, got = both(problem, cotangent, want_inputs=True, want_carried=True)
        results.append((h, *got))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_halves_of_the_batch_add_up(rng, monkeypatch):
    problem, cotangent = draw_problem(rng, 9, 21, 4, 18)
    _, whole = both(problem, cotangent)
    monkeypatch.setattr(recurrence_layout, "MIN_SPLIT_WORK", 0)
    _, cut = both(problem, cotangent)
    assert (whole.w_hh != cut.w_hh).any(), "the sums were taken in two parts"
    for name in NAMES:
        assert_close(getattr(cut, name), getattr(whole, name), np.float64, 9)


@pytest.mark.parametrize("batch", [2, 5])
def test_reverse_is_the_recurrence_on_reversed_time(batch, rng):
    problem, cotangent = draw_problem(rng, 6, batch, 3, 20, masked=True)
    turned = {**problem, "x": problem["x"][::-1], "mask": problem["mask"][::-1]}
    h, got = both(problem, cotangent, reverse=True, want_inputs=True, want_carried=True)
    h_turned, wanted = both(turned, cotangent[::-1], want_inputs=True, want_carried=True)
    np.testing.assert_array_equal(h, h_turned[::-1])
    np.testing.assert_array_equal(got.h0, wanted.h0)
    for name in NAMES:  # a few rows are added up in the order of memory
        assert_close(getattr(got, name), getattr(wanted, name), np.float64, 6)
    for name in ("inputs", "carried"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name)[::-1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_saturated_gates_neither_overflow_nor_lose_the_state(dtype, rng):
    """Pre-activations of ±10⁴: gates are exactly 0 or 1, gradients finite."""
    problem, cotangent = draw_problem(rng, 6, 9, 4, 17, dtype)
    for sign in (-1, 1):
        problem["b_ih"] = np.zeros_like(problem["b_ih"])
        problem["b_ih"][17:34] = sign * 1e4
        h, got = both(problem, cotangent)
        if sign == 1:
            np.testing.assert_array_equal(h, np.broadcast_to(problem["h0"], h.shape))
        wanted = exact(problem, cotangent, h)
        for name in NAMES:
            assert_close(getattr(got, name), getattr(wanted, name), dtype, 54)


@pytest.mark.parametrize("batch", [1, 4])
def test_views_and_read_only_arrays_are_taken_as_they_are(batch, rng):
    problem, cotangent = draw_problem(rng, 5, batch, 3, 16, masked=True)
    h, wanted = both(problem, cotangent)
    odd = {name: np.asfortranarray(value) for name, value in problem.items()}
    for value in odd.values():
        value.flags.writeable = False
    view = np.repeat(cotangent, 2, axis=2)[..., ::2]
    again, got = both(odd, view)
    np.testing.assert_array_equal(again, h)
    for name in NAMES:
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name))
        assert not np.shares_memory(getattr(got, name), h)


def test_not_a_number_is_not_swallowed(rng):
    problem, _ = draw_problem(rng, 3, 2, 3, 4)
    problem["x"][1, 0, 0] = np.nan
    h, _ = gru.forward(**problem)
    assert np.isnan(h[1:, 0]).all()
    assert np.isfinite(h[:, 1]).all()


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x", (4, 2)), ("x", (0, 2, 3)), ("w_ih", (15, 4)), ("w_hh", (5, 5)), ("b_ih", (5,)),
        ("b_hh", (1, 15)), ("h0", (5,)), ("mask", (2, 4)),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_named(name, shape, rng):
    problem, _ = draw_problem(rng, 4, 2, 3, 5)
    problem[name] = np.zeros(shape)
    with pytest.raises(ShapeError, match=rf"^{name} has shape"):
        gru.forward(**problem)


def test_what_backward_is_given_is_checked(rng):
    problem, cotangent = draw_problem(rng, 4, 2, 3, 5)
    h, kept = gru.forward(**problem, keep=True)
    with pytest.raises(ShapeError, match="cotangent has shape"):
        gru.backward(cotangent[1:], h=h, kept=kept, **problem)
    with pytest.raises(ShapeError, match="kept has shape"):
        gru.backward(cotangent, h=h, kept=kept[1:], **problem)
    problem["x"] = problem["x"].astype(np.int64)
    with pytest.raises(DataError, match="convert it to float32 or float64"):
        gru.forward(**problem)
