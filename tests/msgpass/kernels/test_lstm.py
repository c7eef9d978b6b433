"""The LSTM sweeps: reference against finite differences, compiled against reference, and what must not change
bits.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.errors import DataError, ShapeError
from msgpass.kernels import lstm, recurrence_layout, runtime
from msgpass.kernels import lstm_reference as reference

WEIGHTS = ("x", "w_ih", "w_hh", "h0", "c0")


def draw_problem(rng, steps, batch, inputs, hidden, dtype=np.float64, masked=False):
    """Inputs, weights of a net that neither explodes nor dies, and local cotangents of h and c."""

    def normal(*shape, scale=1.0):
        return (scale * rng.normal(size=shape)).astype(dtype)

    problem = {
        "x": normal(steps, batch, inputs),
        "w_ih": normal(4 * hidden, inputs, scale=inputs**-0.5),
        "w_hh": normal(4 * hidden, hidden, scale=hidden**-0.5),
        "bias": normal(4 * hidden, scale=0.1),
        "h0": normal(batch, hidden, scale=0.5),
        "c0": normal(batch, hidden),
        "mask": (rng.random((steps, batch)) < 0.6).astype(dtype) if masked else None,
    }
    return problem, (normal(steps, batch, hidden), normal(steps, batch, hidden))


def widened(problem):
    return {name: None if value is None else value.astype(np.float64) for name, value in problem.items()}


def gradients(module, problem, local, found, reverse=False, everything=True):
    inputs = {name: problem[name] for name in (*WEIGHTS, "mask")}
    asked = {"inputs": everything, "carried": everything, "reverse": reverse}
    return module.backward(*local, h=found.h, c=found.c, gates=found.gates, **inputs, **asked)


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
        "hidden": st.integers(1, 40),
    }
)


# --- the reference


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_reference_gradients_are_finite_differences(masked, reverse, rng):
    problem, local = draw_problem(rng, 5, 3, 3, 4, masked=masked)

    def loss(**changed):
        found = reference.forward(**{**problem, **changed}, reverse=reverse)
        return float((local[0] * found.h).sum() + (local[1] * found.c).sum())

    found = reference.forward(**problem, reverse=reverse)
    got = gradients(reference, problem, local, found, reverse)._asdict()
    step = 1e-6
    for name in (*WEIGHTS, "bias"):
        direction = rng.normal(size=problem[name].shape)
        ahead, behind = (loss(**{name: problem[name] + sign * step * direction}) for sign in (1, -1))
        got_slope = float((got[name] * direction).sum())
        assert got_slope == pytest.approx((ahead - behind) / (2 * step), rel=1e-7, abs=1e-8), name


@pytest.mark.parametrize("cut", [1, 4])
def test_what_a_step_hears_is_the_gradient_of_a_later_start(cut, rng):
    """λ_t without its local part is ∂L/∂(h0, c0) of the recurrence that starts after t."""
    problem, local = draw_problem(rng, 6, 2, 3, 4, masked=True)
    found = reference.forward(**problem)
    whole = gradients(reference, problem, local, found)
    tail = {**problem, "x": problem["x"][cut:], "mask": problem["mask"][cut:]}
    tail |= {"h0": found.h[cut - 1], "c0": found.c[cut - 1]}
    part = gradients(reference, tail, tuple(v[cut:] for v in local), reference.forward(**tail))
    np.testing.assert_allclose(whole.carried_h[cut - 1], part.h0, rtol=1e-12)
    np.testing.assert_allclose(whole.carried_c[cut - 1], part.c0, rtol=1e-12)


# --- the compiled sweeps


@settings(max_examples=60)
@given(problems, st.sampled_from([np.float32, np.float64]), st.booleans(), st.booleans(), st.booleans())
def test_compiled_sweeps_are_the_reference(sizes, dtype, masked, reverse, everything):
    rng, steps, batch = np.random.default_rng(sizes["seed"]), sizes["steps"], sizes["batch"]
    problem, local = draw_problem(rng, steps, batch, sizes["inputs"], sizes["hidden"], dtype, masked)
    found = lstm.forward(**problem, reverse=reverse)
    exact = reference.forward(**widened(problem), reverse=reverse)
    assert_close(found.h, exact.h, dtype, steps)
    assert_close(found.c, exact.c, dtype, steps)
    got = gradients(lstm, problem, local, found, reverse, everything)
    wanted = gradients(reference, widened(problem), [v.astype(float) for v in local], exact, reverse)
    for name, value in got._asdict().items():
        if everything or name not in ("x", "carried_h", "carried_c"):
            assert_close(value, getattr(wanted, name), dtype, steps * batch)
        else:
            assert value is None


@pytest.mark.parametrize("which", [0, 1])
def test_a_state_without_a_local_cotangent(which, rng):
    problem, local = draw_problem(rng, 4, 3, 2, 5)
    found = lstm.forward(**problem)
    given_one = tuple(v if k == which else None for k, v in enumerate(local))
    zeros = tuple(v if k == which else np.zeros_like(v) for k, v in enumerate(local))
    for a, b in zip(
        gradients(lstm, problem, given_one, found), gradients(lstm, problem, zeros, found), strict=True
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("batch", [1, 9])
def test_gates_are_kept_only_where_they_are_asked_for(batch, rng):
    problem, _ = draw_problem(rng, 6, batch, 3, 18)
    kept, dropped = lstm.forward(**problem), lstm.forward(**problem, keep=False)
    assert dropped.gates is None
    np.testing.assert_array_equal(kept.h, dropped.h)
    np.testing.assert_array_equal(kept.c, dropped.c)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 3, 64, 300])
def test_many_chunks_of_weight_gradients(batch, dtype, rng):
    """More rows than wait for one product, in chunks that do not divide them, down to one step a chunk."""
    steps = 700 // batch + 3
    problem, local = draw_problem(rng, steps, batch, 5, 9, dtype, masked=True)
    found, exact = lstm.forward(**problem), reference.forward(**widened(problem))
    got = gradients(lstm, problem, local, found)
    wanted = gradients(reference, widened(problem), [v.astype(float) for v in local], exact)
    for name, value in got._asdict().items():
        assert_close(value, getattr(wanted, name), dtype, steps)


@pytest.mark.parametrize("batch", [8, 9, 13, 32, 300])
def test_bits_do_not_depend_on_the_processors(batch, rng, monkeypatch):
    monkeypatch.setattr(recurrence_layout, "MIN_SPLIT_WORK", 0)
    problem, local = draw_problem(rng, 20, batch, 7, 33, np.float32)
    results = []
    for processors in (2, 1, 2):
        monkeypatch.setattr(runtime, "processors", lambda count=processors: count)
        found = lstm.forward(**problem)
        results.append((*found, *gradients(lstm, problem, local, found)))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_halves_of_the_batch_add_up(rng, monkeypatch):
    problem, local = draw_problem(rng, 9, 21, 4, 18)
    whole = gradients(lstm, problem, local, lstm.forward(**problem))
    monkeypatch.setattr(recurrence_layout, "MIN_SPLIT_WORK", 0)
    cut = gradients(lstm, problem, local, lstm.forward(**problem))
    assert any((a != b).any() for a, b in zip(whole, cut, strict=True)), "the sums were taken in two parts"
    for a, b in zip(whole, cut, strict=True):
        assert_close(a, b, np.float64, 9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("batch", "hidden"), [(1, 70), (9, 18), (32, 32)])
def test_gates_written_past_the_cache_are_the_same(batch, hidden, dtype, rng, monkeypatch):
    problem, _ = draw_problem(rng, 7, batch, 5, hidden, dtype)
    found = lstm.forward(**problem)
    monkeypatch.setattr(lstm, "CACHE", 0)
    for a, b in zip(lstm.forward(**problem), found, strict=True):
        np.testing.assert_array_equal(a, b)


def test_reverse_is_the_recurrence_on_reversed_time(rng):
    problem, local = draw_problem(rng, 6, 5, 3, 20, masked=True)
    turned = {**problem, "x": problem["x"][::-1], "mask": problem["mask"][::-1]}
    found, other = lstm.forward(**problem, reverse=True), lstm.forward(**turned)
    np.testing.assert_array_equal(found.h, other.h[::-1])
    got = gradients(lstm, problem, local, found, reverse=True)
    wanted = gradients(lstm, turned, tuple(v[::-1] for v in local), other)
    for name, value in got._asdict().items():
        stepped = name in ("x", "carried_h", "carried_c")
        np.testing.assert_array_equal(
            value, getattr(wanted, name)[::-1] if stepped else getattr(wanted, name)
        )


def test_masked_steps_hold_the_states(rng):
    """A batch of lengths in one array is each sequence by itself, whatever stands in the rest."""
    problem, local = draw_problem(rng, 7, 3, 2, 5)
    lengths = (7, 4, 1)
    problem["mask"] = (np.arange(7)[:, None] < lengths).astype(float)
    problem["x"][problem["mask"] == 0] = 1e30
    found = lstm.forward(**problem)
    local = tuple(v * problem["mask"][:, :, None] for v in local)
    got = gradients(lstm, problem, local, found)
    total = 0.0
    for b, n in enumerate(lengths):
        own = {**problem, "mask": None, "x": problem["x"][:n, b : b + 1]}
        own |= {"h0": problem["h0"][b : b + 1], "c0": problem["c0"][b : b + 1]}
        alone = lstm.forward(**own)
        np.testing.assert_allclose(found.h[-1, b], alone.h[-1, 0], rtol=1e-12)
        np.testing.assert_allclose(found.c[n - 1 :, b], np.repeat(alone.c[-1], 7 - n + 1, 0), rtol=1e-12)
        part = gradients(lstm, own, tuple(v[:n, b : b + 1] for v in local), alone)
        np.testing.assert_allclose(got.c0[b], part.c0[0], rtol=1e-10)
        total = total + part.w_hh
    np.testing.assert_allclose(got.w_hh, total, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("batch", [1, 16])
def test_extreme_inputs_saturate(dtype, batch, rng):
    problem, local = draw_problem(rng, 12, batch, 4, 20, dtype)
    problem["x"] = np.where(rng.random(problem["x"].shape) < 0.5, 1e4, -1e4).astype(dtype)
    found = lstm.forward(**problem)
    for value in (*found, *gradients(lstm, problem, local, found)):
        assert np.isfinite(value).all()
    assert (np.abs(found.h) <= 1).all()


def test_not_a_number_is_not_swallowed(rng):
    problem, _ = draw_problem(rng, 3, 2, 3, 4)
    problem["x"][1, 0, 0] = np.nan
    found = lstm.forward(**problem)
    assert np.isnan(found.h[1:, 0]).all()
    assert np.isnan(found.c[1:, 0]).all()
    assert np.isfinite(found.h[:, 1]).all()


def test_views_and_read_only_arrays_are_taken_as_they_are(rng):
    problem, local = draw_problem(rng, 5, 4, 3, 16, masked=True)
    found = lstm.forward(**problem)
    wanted = gradients(lstm, problem, local, found)
    odd = {name: np.asfortranarray(value) for name, value in problem.items()}
    for value in odd.values():
        value.flags.writeable = False
    np.testing.assert_array_equal(lstm.forward(**odd).h, found.h)
    view = tuple(np.repeat(v, 2, axis=2)[..., ::2] for v in local)
    for a, b in zip(gradients(lstm, odd, view, found), wanted, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not any(np.shares_memory(value, found.h) for value in wanted)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("x", (4, 2)), ("x", (0, 2, 3)), ("w_ih", (20, 4)), ("w_hh", (19, 5)), ("bias", (4, 5)),
        ("h0", (5,)), ("c0", (2, 4)), ("mask", (2, 4)),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit_are_named(name, shape, rng):
    problem, _ = draw_problem(rng, 4, 2, 3, 5)
    problem[name] = np.zeros(shape)
    with pytest.raises(ShapeError, match=rf"^{name} has shape"):
        lstm.forward(**problem)


def test_cotangents_and_dtypes_that_do_not_fit_are_refused(rng):
    problem, local = draw_problem(rng, 4, 2, 3, 5)
    found = lstm.forward(**problem)
    with pytest.raises(ShapeError, match="local_h has shape"):
        gradients(lstm, problem, (local[0][1:], None), found)
    problem["x"] = problem["x"].astype(np.int64)
    with pytest.raises(DataError, match="convert it to float32 or float64"):
        lstm.forward(**problem)
