"""The square-root form compiled against NumPy: moments, gains, terms; roots agree up to their signs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import gaussian_chain_square_root as form
from msgpass.kernels.gaussian_chain_reference import empty_pass
from msgpass.kernels.gaussian_chain_square_root_compiled import filter_compiled, smooth_compiled
from tests.msgpass.kernels.gaussian_chain_models import problem, problems
from tests.msgpass.kernels.test_gaussian_chain_numerics import STIFF


def close(a, b, what, rtol, spread=0.0):
    """In units of the largest entry, means also in units of ``spread``."""
    assert a.shape == b.shape
    scale = max(float(np.abs(b).max(initial=0.0)), spread, 1e-300)
    np.testing.assert_allclose(a, b, rtol=0, atol=rtol * scale, err_msg=what)


def squares(roots):
    return roots @ np.swapaxes(roots, -1, -2)


def assert_same(arrays, rtol=1e-10):
    one, two = empty_pass(arrays), empty_pass(arrays)
    for k in range(len(arrays.offsets) - 1):
        mine, known = filter_compiled(arrays, one, k), form.filter_reference(arrays, two, k)
        close(squares(mine), squares(known), "roots", rtol)
        if two.singular[k] < 0:
            found, wanted = smooth_compiled(arrays, known, k), form.smooth_reference(arrays, known, k)
            close(found.cov, wanted.cov, "cov", rtol)
            close(found.lag, wanted.lag, "lag", rtol)
            # Where P′ is singular, gains are determined on its range alone.
            P = two.predicted_cov[arrays.offsets[k] + 1 : arrays.offsets[k + 1]]
            close(found.gains @ P, wanted.gains @ P, "gains", rtol)
    np.testing.assert_array_equal(one.singular, two.singular)
    spread = float(np.sqrt(two.predicted_cov.max()))
    for name in two._fields[:8]:
        mine, known = getattr(one, name), getattr(two, name)
        if name == "gain":
            # What it adds to a state for an innovation of 1/√(S⁻¹)_ii; a state's own spread is the measure.
            size = np.sqrt(np.diagonal(two.precision, axis1=1, axis2=2))[:, None, :]
            mine, known = (part / np.where(size > 0, size, 1.0) for part in (mine, known))
        close(mine, known, name, rtol, spread * (name == "gain" or name.endswith("mean")))


@settings(max_examples=60)
@given(problems(flats=False))
def test_any_chain(arrays):
    assert_same(arrays)


@pytest.mark.parametrize("name", STIFF)
def test_stiff_chains(name):
    assert_same(STIFF[name], 1e-5)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 5), stepped=st.booleans())
def test_no_noise_in_what_is_seen(seed, n, stepped):
    """A moving average: one shock, R = 0, states that are forgotten and a singular predicted covariance."""
    rng = np.random.default_rng(seed)
    arrays = problem(rng, n, 1, [12, 1, 5], "bH" if stepped else "b", 1, 0.2)
    F = np.diag(np.ones(n - 1), 1)
    F[0, 0] = 0.5
    shock = np.r_[1.0, rng.uniform(-0.5, 0.5, n - 1)]
    H = np.zeros_like(arrays.H)
    H[:, 0, 0] = 1
    assert_same(
        arrays._replace(F=F[None], Q=np.outer(shock, shock)[None], H=H, R=np.zeros_like(arrays.R)), 1e-8
    )


def test_a_singular_row_ends_both():
    arrays = problem(np.random.default_rng(1), 2, 2, [6, 4], "RH", 2)
    arrays.R[3], arrays.H[3, 1] = 0, arrays.H[3, 0]
    assert_same(arrays)
    done = empty_pass(arrays)
    filter_compiled(arrays, done, 0)
    assert done.singular[0] == 3


@pytest.mark.parametrize(("rows", "n", "runs"), [(64, 1, False), (64, 2, True), (1000, 33, False)])
def test_size_alone_chooses_the_form(rows, n, runs):
    assert form.compiled(rows, n) is runs
