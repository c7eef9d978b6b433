"""The Elman sweeps: reference against finite differences, compiled against reference, and what must not
change bits.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.errors import DataError, ShapeError
from msgpass.kernels import elman, recurrence_layout, runtime
from msgpass.kernels import elman_reference as reference

ACTIVATIONS = ["tanh", "relu"]


def draw_problem(rng, steps, batch, inputs, hidden, dtype=np.float64, masked=False):
    """Inputs, weights of a net that neither explodes nor dies, and local cotangents; with ``masked`` some
    steps of some members hold their state."""

    def normal(*shape, scale=1.0):
        return (scale * rng.normal(size=shape)).astype(dtype)

    return {
        "x": normal(steps, batch, inputs),
        "w_ih": normal(hidden, inputs, scale=inputs**-0.5),
        "w_hh": normal(hidden, hidden, scale=0.8 * hidden**-0.5),
        "bias": normal(hidden, scale=0.1),
        "h0": normal(batch, hidden, scale=0.5),
        "mask": (rng.random((steps, batch)) < 0.7).astype(dtype) if masked else None,
    }, normal(steps, batch, hidden)


def widened(problem):
    return {name: None if value is None else value.astype(np.float64) for name, value in problem.items()}


def gradients(module, problem, cotangent, h, activation, reverse=False, wants=True):
    inputs = {name: problem[name] for name in ("x", "h0", "w_ih", "w_hh", "mask")}
    wanted = {"want_inputs": wants, "want_carried": wants}
    return module.backward(cotangent, h=h, activation=activation, reverse=reverse, **inputs, **wanted)


def assert_close(got, wanted, dtype, steps):
    """Equal up to the rounding of a recursion over ``steps``, relative to the largest entry."""
    assert got.shape == wanted.shape
    assert got.dtype == dtype
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=(100 + 10 * steps) * np.finfo(dtype).eps * scale)


problems = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32 - 1),
        "steps": st.integers(1, 12),
        "batch": st.integers(1, 21),
        "inputs": st.integers(1, 40),
        "hidden": st.integers(1, 70),
    }
)


# --- the reference


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_reference_gradients_are_finite_differences(activation, reverse, masked, rng):
    problem, cotangent = draw_problem(rng, 4, 2, 3, 5, masked=masked)

    def loss(**changed):
        h = reference.forward(**{**problem, **changed}, activation=activation, reverse=reverse)
        return float((cotangent * h).sum())

    h = reference.forward(**problem, activation=activation, reverse=reverse)
    got = gradients(reference, problem, cotangent, h, activation, reverse)
    analytic = {**got._asdict(), "x": got.inputs}
    step = 1e-6
    for name in ("x", "w_ih", "w_hh", "bias", "h0"):
        value = problem[name]
        direction = rng.normal(size=value.shape)
        ahead, behind = (loss(**{name: value + sign * step * direction}) for sign in (1, -1))
        got_slope = float((analytic[name] * direction).sum())
        assert got_slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-7, abs=1e-8), name


def test_reference_three_steps_by_hand():
    """h = tanh(Wh + Ux), loss ½(v·h₃ − 0.3)², recomputed independently."""
    w_hh, w_ih = np.array([[0.5, -0.3], [0.2, 0.4]]), np.array([[1.0], [-1.0]])
    x, h0, v = np.array([1, -0.5, 0.25]).reshape(3, 1, 1), np.zeros((1, 2)), np.array([1.0, -1.0])
    h = reference.forward(x, w_ih, w_hh, np.zeros(2), h0)
    cotangent = np.zeros_like(h)
    cotangent[2, 0] = (v @ h[2, 0] - 0.3) * v
    got = reference.backward(cotangent, x, h, h0, w_ih, w_hh)
    np.testing.assert_allclose(got.h0[0], [0.0001054171, 0.0002533021], atol=5e-11)
    np.testing.assert_allclose(
        got.w_hh.ravel(), [-0.0014038343, -0.0004834026, 0.0025334047, -0.0005838964], atol=5e-11
    )


# --- the compiled sweeps


@settings(max_examples=60)
@given(
    problems,
    st.sampled_from(ACTIVATIONS),
    st.sampled_from([np.float32, np.float64]),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_compiled_sweeps_are_the_reference(sizes, activation, dtype, reverse, masked, wants):
    rng, steps, batch = np.random.default_rng(sizes["seed"]), sizes["steps"], sizes["batch"]
    problem, cotangent = draw_problem(rng, steps, batch, sizes["inputs"], sizes["hidden"], dtype, masked)
    h = elman.forward(**problem, activation=activation, reverse=reverse)
    exact = reference.forward(**widened(problem), activation=activation, reverse=reverse)
    assert_close(h, exact, dtype, steps)
    got = gradients(elman, problem, cotangent, h, activation, reverse, wants)
    wanted = gradients(
        reference, widened(problem), cotangent.astype(float), h.astype(float), activation, reverse
    )
    for name in ("w_ih", "w_hh", "bias", "h0"):
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
    problem, cotangent = draw_problem(rng, steps, batch, 5, 9, dtype)
    h = elman.forward(**problem)
    got = gradients(elman, problem, cotangent, h, "tanh")
    wanted = gradients(reference, widened(problem), cotangent.astype(float), h.astype(float), "tanh")
    for name, value in got._asdict().items():
        assert_close(value, getattr(wanted, name), dtype, steps)


@pytest.mark.parametrize("batch", [8, 9, 13, 32, 300])
def test_bits_do_not_depend_on_the_processors(batch, rng, monkeypatch):
    monkeypatch.setattr(recurrence_layout, "MIN_SPLIT_WORK", 0)
    problem, cotangent = draw_problem(rng, 20, batch, 7, 33, np.float32)
    results = []
    for processors in (2, 1, 2):
        monkeypatch.setattr(runtime, "processors", lambda count=processors: count)
        h = elman.forward(**problem)
        results.append((h, *gradients(elman, problem, cotangent, h, "tanh")))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_halves_of_the_batch_add_up(rng, monkeypatch):
    problem, cotangent = draw_problem(rng, 9, 21, 4, 18)
    h = elman.forward(**problem)
    whole = gradients(elman, problem, cotangent, h, "relu")
    monkeypatch.setattr(recurrence_layout, "MIN_SPLIT_WORK", 0)
    cut = gradients(elman, problem, cotangent, elman.forward(**problem), "relu")
    assert any((a != b).any() for a, b in zip(whole, cut, strict=True)), "the sums were taken in two parts"
    for a, b in zip(whole, cut, strict=True):
        assert_close(a, b, np.float64, 9)


@pytest.mark.parametrize("batch", [2, 5])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_reverse_is_the_recurrence_on_reversed_time(activation, batch, rng):
    problem, cotangent = draw_problem(rng, 6, batch, 3, 20, masked=True)
    turned = {**problem, "x": problem["x"][::-1], "mask": problem["mask"][::-1]}
    h = elman.forward(**problem, activation=activation, reverse=True)
    np.testing.assert_array_equal(h, elman.forward(**turned, activation=activation)[::-1])
    got = gradients(elman, problem, cotangent, h, activation, reverse=True)
    wanted = gradients(elman, turned, cotangent[::-1], h[::-1], activation)
    for name in ("inputs", "carried"):
        np.testing.assert_array_equal(getattr(got, name), getattr(wanted, name)[::-1])
    np.testing.assert_array_equal(got.h0, wanted.h0)
    for name in ("w_ih", "w_hh", "bias"):  # a few rows are added up in the order of memory
        assert_close(getattr(got, name), getattr(wanted, name), np.float64, 6)


@pytest.mark.parametrize("batch", [1, 4])
def test_views_and_read_only_arrays_are_taken_as_they_are(batch, rng):
    problem, cotangent = draw_problem(rng, 5, batch, 3, 16, masked=True)
    h = elman.forward(**problem)
    wanted = gradients(elman, problem, cotangent, h, "tanh")
    odd = {name: np.asfortranarray(value) for name, value in problem.items()}
    for value in odd.values():
        value.flags.writeable = False
    np.testing.assert_array_equal(elman.forward(**odd), h)
    view = np.repeat(cotangent, 2, axis=2)[..., ::2]
    for a, b in zip(gradients(elman, odd, view, h, "tanh"), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(np.shares_memory(value, h) for value in wanted)


def test_not_a_number_is_not_swallowed(rng):
    problem, _ = draw_problem(rng, 3, 2, 3, 4)
    problem["x"][1, 0, 0] = np.nan
    for activation in ACTIVATIONS:
        h = elman.forward(**problem, activation=activation)
        assert np.isnan(h[1:, 0]).all()
        assert np.isfinite(h[:, 1]).all()


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x", (4, 2)),
        ("x", (0, 2, 3)),
        ("w_ih", (5, 4)),
        ("w_hh", (5, 4)),
        ("bias", (1, 5)),
        ("h0", (5,)),
        ("mask", (4,)),
    ],
)
def test_shapes_that_do_not_fit_are_named(name, shape, rng):
    problem, _ = draw_problem(rng, 4, 2, 3, 5)
    problem[name] = np.zeros(shape)
    with pytest.raises(ShapeError, match=rf"^{name} has shape"):
        elman.forward(**problem)


def test_dtypes_and_activations_that_do_not_exist_are_refused(rng):
    problem, cotangent = draw_problem(rng, 4, 2, 3, 5)
    with pytest.raises(DataError, match="choose one of"):
        elman.forward(**problem, activation="softsign")
    h = elman.forward(**problem)
    with pytest.raises(ShapeError, match="cotangent has shape"):
        gradients(elman, problem, cotangent[1:], h, "tanh")
    problem["x"] = problem["x"].astype(np.int64)
    with pytest.raises(DataError, match="convert it to float32 or float64"):
        elman.forward(**problem)
