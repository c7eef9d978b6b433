"""Readings of linear-Gaussian chains against dense solves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass.kernels.gaussian_chain import GaussianChainArrays, sweep
from msgpass.kernels.gaussian_chain_compiled import CompiledSweep
from msgpass.kernels.gaussian_chain_sweep import GaussianSweep
from tests.msgpass.kernels.gaussian_chain_models import Dense, problem, problems

CLOSE = {"rtol": 1e-8, "atol": 1e-9}


class AllSquareRoot(GaussianSweep):
    """Every sequence in square-root form."""

    def _filter(self, arrays):
        done, _ = super()._filter(arrays)
        done.suspicious[:] = True
        from msgpass.kernels import gaussian_chain_square_root as form

        return done, {k: form.filter_sequence(arrays, done, k) for k in range(len(arrays.offsets) - 1)}


forms = pytest.mark.parametrize("form", [GaussianSweep, AllSquareRoot, CompiledSweep])


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


def moved(arrays, name, direction, step):
    """The total with one array moved."""
    part = getattr(arrays, name)
    return GaussianSweep(arrays._replace(**{name: part + step * direction})).totals.sum()


@forms
@settings(max_examples=40)
@given(arrays=problems(), seed=st.integers(0, 1000))
def test_gradients_are_differences_of_totals(form, arrays, seed):
    found, rng = form(arrays).gradients, np.random.default_rng(seed)
    keep = np.eye(len(arrays.flat)) - arrays.flat @ arrays.flat.T
    for name, gradient in found.items():
        part = getattr(arrays, name)
        assert gradient.shape == part.shape
        direction = np.where(np.isnan(part), 0, rng.normal(size=part.shape))
        if name in ("cov", "Q", "R"):
            direction = direction @ np.swapaxes(direction, -1, -2)  # upwards, for they may be singular
            if name == "cov":
                direction = keep @ direction @ keep
        step = 1e-3 / (1e2 + abs(float((gradient * direction).sum())))  # the steeper, the more it bends
        if name in ("cov", "Q", "R"):
            slope = forward_difference(lambda s, n=name, v=direction: moved(arrays, n, v, s), 10 * step)
        else:
            ahead, behind = (moved(arrays, name, direction, sign * step) for sign in (1, -1))
            slope = (ahead - behind) / (2 * step)
        np.testing.assert_allclose((gradient * direction).sum(), slope, rtol=2e-5, atol=2e-6, err_msg=name)


def forward_difference(f, step):
    """f′(0) from values at 0, h, 2h, 3h and 4h: fourth order."""
    weights = np.array([-25, 48, -36, 16, -3]) / 12
    return float(weights @ [f(step * i) for i in range(5)]) / step


@forms
@settings(max_examples=40)
@given(arrays=problems())
def test_statistics_are_sums_of_dense_moments(form, arrays):
    found, n = form(arrays).statistics, arrays.mean.shape[-1]
    p = arrays.y.shape[1]
    pairs, rows, starts = np.zeros((1 + 2 * n,) * 2), np.zeros((1 + n + p,) * 2), np.zeros((1 + n,) * 2)

    def raw(mean, cov):
        return np.block([[np.ones((1, 1)), mean[None]], [mean[:, None], cov + np.outer(mean, mean)]])

    for k, first in enumerate(arrays.offsets[:-1]):
        dense = Dense(arrays, k)
        starts += raw(dense.mean[:n], dense.cov[:n, :n])
        for t in range(dense.L):
            if t:
                at = np.r_[dense.state(t - 1), dense.state(t)]
                pairs += raw(dense.mean[at], dense.cov[np.ix_(at, at)])
            if not np.isnan(arrays.y[first + t]).all():
                look = np.zeros((n + p, len(dense.mean)))
                look[:n, dense.state(t)] = np.eye(n)
                look[n:, dense.noise(t)] = np.eye(p)
                look[n:, dense.state(t)] = dense.H[t * p : t * p + p, dense.state(t)]
                rows += raw(look @ dense.mean, look @ dense.cov @ look.T)
    for sums, expected in zip(found, (pairs, rows, starts), strict=True):
        np.testing.assert_allclose(sums.raw, expected, rtol=1e-7, atol=1e-8)
    assert (found.pairs.count, found.starts.count) == (pairs[0, 0], starts[0, 0])


@forms
@settings(max_examples=10)
@given(arrays=problems())
def test_draws_have_the_posterior_moments(form, arrays):
    """Of a linear map of normal numbers: the law is exact for unit vectors in place of random numbers."""
    (T, p), n = arrays.y.shape, arrays.mean.shape[-1]

    class Unit:
        """One path for every normal number: it alone is 1."""

        def standard_normal(self, shape):
            return np.eye(T * (n + p)).reshape(shape)

    found = form(arrays)
    away = found.draws(Unit(), T * (n + p)) - found.smoothed[0]
    for k, first in enumerate(arrays.offsets[:-1]):
        dense = Dense(arrays, k)
        own = away[:, first : first + dense.L].reshape(len(away), -1)
        size = dense.L * n
        np.testing.assert_allclose(own.T @ own, dense.cov[:size, :size], **CLOSE)
    np.testing.assert_allclose(
        found.draws(np.random.default_rng(3), 2), form(arrays).draws(np.random.default_rng(3), 2), rtol=0
    )


def regression(sums, n):
    """Best (matrix, offset, covariance) of the last coordinates given the first n."""
    scatter = sums.scatter
    matrix = np.linalg.solve(scatter[:n, :n], scatter[:n, n:]).T
    rest = scatter[n:, n:] - matrix @ scatter[:n, n:]
    return matrix, sums.mean[n:] - matrix @ sums.mean[:n], (rest + rest.T) / 2 / sums.count


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), missing=st.sampled_from([0.0, 0.4]), d=st.integers(0, 1))
def test_maximising_what_is_expected_never_lowers_the_total(seed, missing, d):
    """An EM iteration from the statistics alone, missing cells and a flat start included."""
    arrays = problem(np.random.default_rng(seed), 2, 3, (30, 20), missing=missing, d=d)
    before = sweep(arrays)
    F, b, Q = regression(before.statistics.pairs, 2)
    H, offset, R = regression(before.statistics.rows, 2)
    new = arrays._replace(F=F[None], b=b[None], Q=Q[None], H=H[None], R=R[None], y=arrays.y - offset)
    if not d:
        starts = before.statistics.starts
        new = new._replace(mean=starts.mean[None], cov=starts.scatter[None] / starts.count)
    assert sweep(new).totals.sum() > before.totals.sum()


@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_noise_covariances_by_gradients_are_those_of_the_statistics(seed):
    """EM's Q for given F and b is Q + 2 Q (∂/∂Q) Q / S; likewise R where nothing is missing."""
    arrays = problem(np.random.default_rng(seed), 2, 2, (10, 5))
    found = sweep(arrays)
    for sums, name, matrix, offset in (
        (found.statistics.pairs, "Q", arrays.F[0], arrays.b[0]),
        (found.statistics.rows, "R", arrays.H[0], np.zeros(2)),
    ):
        given_before = np.hstack([-offset[:, None], -matrix, np.eye(2)])
        expected = given_before @ sums.raw @ given_before.T / sums.count
        old = getattr(arrays, name)[0]
        own = old + 2 * old @ found.gradients[name][0] @ old / sums.count
        np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-10)
