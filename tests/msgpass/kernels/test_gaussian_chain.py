"""Readings of linear-Gaussian chains against dense solves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels.gaussian_chain import GaussianChainArrays, sweep
from msgpass.kernels.gaussian_chain_sweep import GaussianSweep
from tests.msgpass.kernels.gaussian_chain_models import Dense, problems

CLOSE = {"rtol": 1e-8, "atol": 1e-9}


class AllSquareRoot(GaussianSweep):
    """Every sequence in square-root form."""

    def _filter(self, arrays):
        done, _ = super()._filter(arrays)
        done.suspicious[:] = True
        from msgpass.kernels import gaussian_chain_square_root as form

        return done, {k: form.filter_sequence(arrays, done, k) for k in range(len(arrays.offsets) - 1)}


forms = pytest.mark.parametrize("form", [GaussianSweep, AllSquareRoot])


@forms
@settings(max_examples=60)
@given(arrays=problems())
def test_smoothed_moments_are_those_of_one_solve(form, arrays):
    found = form(arrays)
    for k, first in enumerate(arrays.offsets[:-1]):
        dense = Dense(arrays, k)
        np.testing.assert_allclose(found.totals[k], dense.total, **CLOSE)
        for t in range(dense.L):
            at = dense.state(t)
            np.testing.assert_allclose(found.smoothed[0][first + t], dense.mean[at], **CLOSE)
            np.testing.assert_allclose(found.smoothed[1][first + t], dense.cov[at, at], **CLOSE)
            if t:
                cross = dense.cov[at, dense.state(t - 1)]
                np.testing.assert_allclose(found.lag_one[first + t - 1 - k], cross, **CLOSE)


@forms
@settings(max_examples=40)
@given(arrays=problems(), where=st.floats(0, 1))
def test_filtered_and_predicted_moments_are_those_of_earlier_rows(form, arrays, where):
    found, d = form(arrays), arrays.flat.shape[1]
    for k, first in enumerate(arrays.offsets[:-1]):
        L = int(arrays.offsets[k + 1] - first)
        t = int(where * (L - 1))
        if t < arrays.flat.shape[0] + 1 and d:
            t = L - 1  # all directions are determined there
        for (mean, cov), stop in ((found.predicted, t), (found.filtered, t + 1)):
            dense = Dense(arrays, k, stop)
            at = dense.state(t)
            np.testing.assert_allclose(mean[first + t], dense.mean[at], **CLOSE)
            np.testing.assert_allclose(cov[first + t], dense.cov[at, at], **CLOSE)


def local_level(y, cov=10.0, Q=1.0, R=2.0, flat=False) -> GaussianChainArrays:
    """One level."""
    return GaussianChainArrays(
        mean=np.zeros((1, 1)),
        cov=np.full((1, 1, 1), 0.0 if flat else cov),
        flat=np.ones((1, int(flat))),
        F=np.ones((1, 1, 1)),
        Q=np.full((1, 1, 1), Q),
        b=np.zeros((1, 1)),
        H=np.ones((1, 1, 1)),
        R=np.full((1, 1, 1), R),
        y=np.asarray(y, float)[:, None],
        offsets=np.array([0, len(y)]),
    )


def test_published_local_level():
    found = sweep(local_level([1, 3, 2, 5]))
    mean, cov = found.smoothed
    tight = {"rtol": 0, "atol": 5e-11}
    np.testing.assert_allclose(mean[:, 0], [1.8482905983, 2.4572649573, 2.7948717949, 3.5299145299], **tight)
    np.testing.assert_allclose(
        cov[:, 0, 0], [0.9188034188, 0.7521367521, 0.7692307692, 1.0085470085], **tight
    )
    assert found.lag_one[0, 0, 0] == pytest.approx(0.4700854701, abs=5e-11)
    assert found.totals[0] == pytest.approx(-8.73171144370706, abs=1e-13)
