"""The passes of a linear-Gaussian chain by scans, against those that go row by row and a dense solve."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass.errors import NumericalError
from msgpass.kernels import gaussian_chain_information, gaussian_chain_reference, gaussian_chain_scan
from msgpass.kernels.gaussian_chain_sweep import GaussianSweep
from tests.msgpass.kernels.gaussian_chain_models import Dense, problem, problems

CLOSE = {"rtol": 1e-8, "atol": 1e-8}


@settings(max_examples=100)
@given(problems(flats=False))
def test_the_filter_is_that_of_rows_one_after_another(arrays):
    found = gaussian_chain_scan.filter_pass(arrays)
    wanted = gaussian_chain_reference.filter_pass(arrays)
    for name in wanted._fields[:8]:
        np.testing.assert_allclose(getattr(found, name), getattr(wanted, name), err_msg=name, **CLOSE)


@settings(max_examples=100)
@given(problems())
def test_readings_are_those_of_rows_one_after_another(arrays):
    found, wanted = GaussianSweep(arrays, gaussian_chain_scan), GaussianSweep(arrays)
    np.testing.assert_allclose(found.totals, wanted.totals, **CLOSE)
    for name in ("filtered", "smoothed"):
        for ours, theirs in zip(getattr(found, name), getattr(wanted, name), strict=True):
            np.testing.assert_allclose(ours, theirs, **CLOSE)
    np.testing.assert_allclose(found.lag_one, wanted.lag_one, **CLOSE)
    for name, theirs in wanted.gradients.items():
        size = 1 + np.abs(theirs).max(initial=0.0)
        np.testing.assert_allclose(found.gradients[name] / size, theirs / size, err_msg=name, atol=1e-7)
    draws = (s.draws(np.random.default_rng(1), 2) for s in (found, wanted))
    np.testing.assert_allclose(*draws, **CLOSE)


@given(problems(flats=False))
def test_smoothed_moments_are_those_of_one_solve(arrays):
    found = GaussianSweep(arrays, gaussian_chain_scan)
    for k, first in enumerate(arrays.offsets[:-1]):
        dense = Dense(arrays, k)
        np.testing.assert_allclose(found.totals[k], dense.total, **CLOSE)
        for t in range(dense.L):
            np.testing.assert_allclose(found.smoothed[0][first + t], dense.mean[dense.state(t)], **CLOSE)


@given(problems(flats=False))
def test_backward_messages_are_the_suffixes(arrays):
    wanted = gaussian_chain_information.backward_information(arrays)
    h, precision = gaussian_chain_scan.backward_information(arrays)
    np.testing.assert_allclose(h, wanted.h, **CLOSE)
    np.testing.assert_allclose(precision, wanted.precision, **CLOSE)


def test_most_chains_do_scan(monkeypatch):
    """Nothing falls back on rows one after another without a reason."""
    monkeypatch.setattr(gaussian_chain_scan.sequential, "filter_pass", None)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        arrays = problem(rng, 3, 2, (60, 1, 40), "FQbHR" if seed % 2 else "", 1 + seed % 3, 0.2)
        gaussian_chain_scan.filter_pass(arrays)


def test_blocks_change_rounding_alone(monkeypatch):
    arrays = problem(np.random.default_rng(0), 3, 2, (400, 30))
    alone = GaussianSweep(arrays, gaussian_chain_scan)
    alone.smoothed  # noqa: B018
    monkeypatch.setattr("msgpass.kernels.scan.LARGE_ELEMENT", 1)
    monkeypatch.setattr("msgpass.kernels.scan.BLOCK", 700)
    cut = GaussianSweep(arrays, gaussian_chain_scan)
    for one, other in zip(alone.smoothed, cut.smoothed, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-11)
    assert np.abs(alone.smoothed[0] - cut.smoothed[0]).max() > 0, "the second one was cut"


@pytest.mark.parametrize("start", [1e4, 1e8, 1e12])
@pytest.mark.parametrize("noise", [1.0, 1e-4, 1e-8])
def test_wide_starts_keep_their_digits(start, noise):
    """M = I + C J is then so uneven that the scan loses digits; the row's own step tells."""
    for seed in range(8):
        arrays = problem(np.random.default_rng(seed), 3, 1, (30,))
        arrays = arrays._replace(cov=arrays.cov * start, R=arrays.R * noise, Q=arrays.Q * 1e-6)
        found = gaussian_chain_scan.filter_pass(arrays)
        wanted = gaussian_chain_reference.filter_pass(arrays)
        spread = np.sqrt(np.abs(np.diagonal(wanted.filtered_cov, axis1=1, axis2=2)).max(axis=1))
        gap = np.abs(found.filtered_mean - wanted.filtered_mean).max(axis=1)
        assert (gap <= 1e-8 * (spread + np.abs(wanted.filtered_mean).max(axis=1))).all()
        np.testing.assert_array_equal(found.suspicious, wanted.suspicious)


def test_a_difference_of_states_that_cancels_is_noted():
    """x₀ has two coordinates that are nearly one, and F takes one from the other."""
    arrays = problem(np.random.default_rng(3), 2, 1, (4, 4))
    arrays = arrays._replace(
        cov=np.stack([np.full((2, 2), 1e8) + 1e-3 * np.eye(2), np.eye(2)]),
        F=np.array([[[1.0, -1.0], [0.0, 1.0]]]),
        Q=np.zeros((1, 2, 2)),
        H=np.array([[[0.0, 1.0]]]),
        y=np.full((8, 1), np.nan),
    )
    found, wanted = (m.filter_pass(arrays) for m in (gaussian_chain_scan, gaussian_chain_reference))
    assert found.suspicious.tolist() == wanted.suspicious.tolist() == [True, False]


def test_without_noise_rows_go_one_after_another():
    """p(y_t | x_{t−1}) has no density where neither R nor Q leaves noise in y, though the filter exists."""
    arrays = problem(np.random.default_rng(1), 2, 1, (6,), rank=0)
    arrays = arrays._replace(R=np.zeros((1, 1, 1)), cov=np.eye(2)[None], y=np.full((6, 1), np.nan))
    arrays.y[[0, 3]] = 1.0
    found, wanted = GaussianSweep(arrays, gaussian_chain_scan), GaussianSweep(arrays)
    np.testing.assert_allclose(found.smoothed[0], wanted.smoothed[0], **CLOSE)
    assert gaussian_chain_scan.backward_information(arrays) is None


def test_a_singular_innovation_names_its_step():
    arrays = problem(np.random.default_rng(2), 2, 1, (5,), rank=0)
    arrays = arrays._replace(R=np.zeros((1, 1, 1)), cov=np.zeros((1, 2, 2)))
    with pytest.raises(NumericalError, match="singular at step 0"):
        GaussianSweep(arrays, gaussian_chain_scan).totals  # noqa: B018
