"""Compiled blocks of one long Gaussian chain against its rows one after another."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from msgpass.errors import NumericalError
from msgpass.kernels import gaussian_chain_scan_blocks as kernel
from msgpass.kernels.gaussian_chain import BLOCKS, sweep
from msgpass.kernels.gaussian_chain_compiled import CompiledSweep
from msgpass.kernels.gaussian_chain_sweep import GaussianSweep
from tests.msgpass.kernels.gaussian_chain_models import problem

CLOSE = {"rtol": 1e-9, "atol": 1e-9}
SIZES = [(1, 1), (2, 1), (3, 2), (9, 3)]


@pytest.fixture
def cut(monkeypatch):
    """Sets the number of blocks, for chains of any length."""

    def set_to(count):
        monkeypatch.setattr(kernel, "blocks", lambda rows, n, p: count)
        monkeypatch.setattr(kernel, "CHUNK", 8)
        monkeypatch.setattr(kernel, "SHORT", 0)

    set_to(2)
    return set_to


def agrees(found, wanted):
    np.testing.assert_allclose(found.totals, wanted.totals, **CLOSE)
    for name in ("predicted", "filtered", "smoothed"):
        for ours, theirs in zip(getattr(found, name), getattr(wanted, name), strict=True):
            np.testing.assert_allclose(ours, theirs, err_msg=name, **CLOSE)
    np.testing.assert_allclose(found.lag_one, wanted.lag_one, **CLOSE)
    for name, theirs in wanted.gradients.items():
        size = 1 + np.abs(theirs).max(initial=0.0)
        np.testing.assert_allclose(found.gradients[name] / size, theirs / size, err_msg=name, atol=1e-8)
    for ours, theirs in zip(found.statistics, wanted.statistics, strict=True):
        np.testing.assert_allclose(ours.raw, theirs.raw, rtol=1e-8, atol=1e-8)
    draws = (s.draws(np.random.default_rng(1), 2) for s in (found, wanted))
    np.testing.assert_allclose(*draws, **CLOSE)


def static(arrays):
    """The first coordinate never moves, so that no window forgets it."""
    F, Q = arrays.F.copy(), arrays.Q.copy()
    F[:, 0], F[:, :, 0], Q[:, 0], Q[:, :, 0] = 0, 0, 0, 0
    F[:, 0, 0] = 1
    return arrays._replace(F=F, Q=Q)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from(SIZES),
    rows=st.integers(100, 400),
    varying=st.sets(st.sampled_from("FQbHR")),
    singular=st.booleans(),
    still=st.booleans(),
    missing=st.sampled_from([0.0, 0.3]),
    count=st.integers(2, 5),
)
def test_readings_are_those_of_rows_one_after_another(
    cut, seed, size, rows, varying, singular, still, missing, count
):
    n, p = size
    rank = n - 1 if singular else n
    arrays = problem(np.random.default_rng(seed), n, p, (rows,), varying, rank, missing)
    arrays = static(arrays) if still else arrays
    cut(count)
    agrees(kernel.BlockSweep(arrays), CompiledSweep(arrays))


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("varying", ["", "H", "FQbHR"])
def test_both_kinds_of_window_occur(cut, size, varying):
    arrays = problem(np.random.default_rng(2), *size, (2000,), varying)
    arrays = arrays._replace(F=0.7 * arrays.F)
    for given_arrays, forgets in ((arrays, True), (static(arrays), False)):
        found = kernel.BlockSweep(given_arrays)
        assert found._run is not None
        assert len(found._run.cuts) == 2
        assert [w.forgets for w in found._run.windows] == [forgets]
        np.testing.assert_allclose(found.smoothed[0], GaussianSweep(given_arrays).smoothed[0], **CLOSE)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_a_window_that_ended_too_early_is_found_out(cut, monkeypatch, count):
    """Its own end then differs from what the rows behind it began with."""
    cut(count)
    monkeypatch.setattr(kernel, "FORGOTTEN", 1e-2)
    arrays = problem(np.random.default_rng(3), 3, 2, (300,), "FQHR")
    found, wanted = kernel.BlockSweep(arrays), CompiledSweep(arrays)
    np.testing.assert_allclose(found.smoothed[1], wanted.smoothed[1], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(found.totals, wanted.totals, rtol=1e-13)
    assert not found._run.windows


@pytest.mark.parametrize("missing", [0.0, 0.02])
def test_gains_are_constant_from_the_same_row(cut, missing):
    arrays = problem(np.random.default_rng(4), 2, 1, (900,), missing=missing)
    arrays.y[-200:] = 1.0
    found, wanted = kernel.BlockSweep(arrays), CompiledSweep(arrays)
    assert abs(found.converged[0] - wanted.converged[0]) <= (3 if missing else 0)
    assert found.converged[0] < 900


def test_slow_convergence_is_seen_across_blocks(cut):
    """Constant gains are reached in the first block, long after the rows that are tried first."""
    arrays = problem(np.random.default_rng(5), 1, 1, (4000,))
    one = np.ones((1, 1, 1))
    arrays = arrays._replace(F=one, Q=2e-3 * one, R=one, H=one)
    found, wanted = kernel.BlockSweep(arrays), CompiledSweep(arrays)
    assert 250 < wanted.converged[0] < 2000
    assert found.converged[0] == wanted.converged[0]
    np.testing.assert_allclose(found.totals, wanted.totals, rtol=1e-12)


@pytest.mark.parametrize("start", [1e4, 1e12])
@pytest.mark.parametrize("noise", [1.0, 1e-8, 0.0])
def test_wide_starts_and_exact_observations(cut, start, noise):
    for seed in range(4):
        arrays = problem(np.random.default_rng(seed), 3, 1, (300,), "H")
        arrays = arrays._replace(cov=arrays.cov * start, R=arrays.R * noise)
        found, wanted = kernel.BlockSweep(arrays), CompiledSweep(arrays)
        np.testing.assert_allclose(found.totals, wanted.totals, rtol=1e-8)
        np.testing.assert_allclose(found.filtered[0], wanted.filtered[0], rtol=1e-7, atol=1e-7)


def test_a_flat_start_and_several_sequences(cut):
    for arrays in (
        problem(np.random.default_rng(6), 2, 1, (300,), d=1),
        problem(np.random.default_rng(7), 2, 1, (200, 1, 99), "H"),
    ):
        agrees(kernel.BlockSweep(arrays), CompiledSweep(arrays))


def test_a_singular_innovation_names_its_step(cut):
    arrays = problem(np.random.default_rng(8), 2, 1, (300,), "R")
    R, Q = arrays.R.copy(), np.repeat(arrays.Q, 299, 0)
    H = np.repeat(arrays.H, 300, 0)
    R[210], H[210] = 0.0, 0.0
    with pytest.raises(NumericalError, match="singular at step 210"):
        kernel.BlockSweep(arrays._replace(R=R, Q=Q, H=H)).totals  # noqa: B018


def test_the_same_bits_each_time(cut):
    arrays = problem(np.random.default_rng(9), 3, 2, (500,), "FH")
    one, other = (kernel.BlockSweep(arrays) for _ in range(2))
    for a, b in zip((one.totals, *one.smoothed), (other.totals, *other.smoothed), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("varying", ["", "FH"])
def test_adjoint_takes_up_what_is_behind(cut, size, varying):
    """Rows are swept where they are asked for, and no others."""
    arrays = problem(np.random.default_rng(10), *size, (200,), varying)
    run = kernel.BlockRun(arrays)
    assert run.fine
    run.filter_means()
    none = np.empty(0), np.empty((1, 0))
    run.s, run.lost = np.full(200 * run.n, np.nan), np.full(1, -1)
    behind = run._nothing_behind()
    run._back(120, 200, *none, *behind)
    swept = ~np.isnan(run.s.reshape(200, -1)).any(1)
    np.testing.assert_array_equal(swept, np.arange(200) >= 120)
    run._back(0, 120, *none, *behind)
    np.testing.assert_allclose(run.s.reshape(200, -1), GaussianSweep(arrays).smoothed[0], **CLOSE)


def test_blocks_by_size_alone(monkeypatch):
    monkeypatch.setattr(kernel, "processors", lambda: 4)
    assert kernel.blocks(100_000, 2, 1) == 4
    assert kernel.blocks(3000, 32, 8) == 2
    assert kernel.blocks(3000, 2, 1) == 1
    arrays = problem(np.random.default_rng(0), 2, 1, (BLOCKS,))
    assert isinstance(sweep(arrays, scan=True), kernel.BlockSweep)
    assert type(sweep(arrays)) is CompiledSweep
    short = problem(np.random.default_rng(0), 2, 1, (BLOCKS - 1,))
    assert type(sweep(short, scan=True)) is GaussianSweep
