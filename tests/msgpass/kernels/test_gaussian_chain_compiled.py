"""The compiled passes against the reference: registers and tiles, groups, two threads, constant gains."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels import gaussian_chain, gaussian_chain_passes
from msgpass.kernels.gaussian_chain_compiled import CompiledSweep
from msgpass.kernels.gaussian_chain_groups import groups
from msgpass.kernels.gaussian_chain_sweep import GaussianSweep
from tests.msgpass.kernels.gaussian_chain_models import problem

MOMENTS = ("predicted", "filtered", "smoothed")


def assert_same(compiled, reference, close=1e-11):
    """Every reading."""

    def alike(a, b, what):
        assert a.shape == b.shape, what
        scale = max(1.0, float(np.abs(b).max(initial=0.0)))
        np.testing.assert_allclose(a, b, rtol=0, atol=close * scale, err_msg=what)

    for what in MOMENTS:
        for a, b in zip(getattr(compiled, what), getattr(reference, what), strict=True):
            alike(a, b, what)
    alike(compiled.totals, reference.totals, "totals")
    alike(compiled.lag_one, reference.lag_one, "lag_one")
    for a, b in zip(compiled.statistics, reference.statistics, strict=True):
        assert a.count == b.count
        alike(a.raw, b.raw, "statistics")
    for name, gradient in reference.gradients.items():
        alike(compiled.gradients[name], gradient, name)


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.sampled_from([(1, 1), (2, 1), (3, 2), (9, 2), (10, 9), (17, 3)]),
    lengths=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    varying=st.sets(st.sampled_from("FQbHRmc")),
    missing=st.sampled_from([0.0, 0.3]),
    full=st.booleans(),
)
def test_any_chain(seed, sizes, lengths, varying, missing, full):
    rng = np.random.default_rng(seed)
    arrays = problem(rng, *sizes, lengths, varying, sizes[0] if full else 1, missing)
    assert_same(CompiledSweep(arrays), GaussianSweep(arrays))


@pytest.mark.parametrize("sizes", [(2, 1), (9, 2)])
def test_flat_starts_go_through_the_compiled_columns(sizes):
    arrays = problem(np.random.default_rng(4), *sizes, [30, 20], (), None, 0.2, 2)
    compiled, reference = CompiledSweep(arrays), GaussianSweep(arrays)
    for what in ("totals", "lag_one"):
        np.testing.assert_allclose(getattr(compiled, what), getattr(reference, what), rtol=1e-10, atol=1e-10)
    for a, b in zip(compiled.smoothed, reference.smoothed, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("sizes", [(2, 1), (9, 2)])
@pytest.mark.parametrize("missing", [0.0, 0.002])
@pytest.mark.parametrize("steady", [False, True])
def test_two_threads_chunks_and_constant_gains(sizes, missing, steady, monkeypatch):
    monkeypatch.setattr(gaussian_chain_passes, "THREADED", 0.0)
    monkeypatch.setattr(gaussian_chain_passes, "SHORT", 0)
    monkeypatch.setattr(gaussian_chain_passes, "CHUNK", 100)
    for lengths in ([1234], [300, 300, 201, 300]):
        arrays = problem(np.random.default_rng(1), *sizes, lengths, "b", None, missing)
        found = CompiledSweep(arrays, steady)
        assert_same(found, GaussianSweep(arrays))
        if not missing:
            assert ((found.converged < np.diff(arrays.offsets)) == steady).all()


def test_series_share_what_does_not_depend_on_data():
    arrays = problem(np.random.default_rng(2), 2, 1, [4, 6, 4, 4, 6], "bm")
    found = groups(arrays, False)
    np.testing.assert_array_equal(found.lead, [0, 1])
    np.testing.assert_array_equal(found.members, [0, 2, 3, 1, 4])
    assert found.total == 10 and not found.alone
    arrays.y[0] = np.nan
    assert len(groups(arrays, True).lead) == 3
    varying = problem(np.random.default_rng(2), 2, 1, [4, 4], "F")
    assert groups(varying, False).alone


def test_readings_run_the_passes_again_with_the_same_bits():
    arrays = problem(np.random.default_rng(3), 3, 2, [300])
    first, second = CompiledSweep(arrays), CompiledSweep(arrays)
    before, filtered = first.filtered, second.smoothed and second.filtered
    for a, b in zip(before, filtered, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first.totals == second.totals == CompiledSweep(arrays, backward=False).totals


def test_size_alone_chooses_the_sweep():
    short, long = (problem(np.random.default_rng(0), 2, 1, [T]) for T in (10, gaussian_chain.COMPILED))
    assert type(gaussian_chain.sweep(short)) is GaussianSweep
    assert type(gaussian_chain.sweep(long)) is CompiledSweep
