"""The numbers of statsmodels' smoother, its exact diffuse start among them."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from msgpass.kernels.gaussian_chain import GaussianChainArrays, sweep
from tests.msgpass.kernels.gaussian_chain_models import problems

pytestmark = [
    pytest.mark.peers,
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The univariate filtering approach"),
]
CLOSE = {"rtol": 1e-8, "atol": 1e-8}


@pytest.fixture(scope="module")
def peer():
    return pytest.importorskip("statsmodels.tsa.statespace.kalman_smoother")


def stepwise(part, count):
    """(…, count) as statsmodels wants what varies, (…, 1) what does not."""
    full = np.moveaxis(part, 0, -1)
    # The peer wants a matrix for the last row's step, too, which it never uses.
    return np.asfortranarray(
        full if full.shape[-1] == 1 else np.concatenate([full, full[..., -1:]], -1)[..., :count]
    )


def smoothed_by(peer, arrays, k):
    """Results of statsmodels for sequence k."""
    rows = slice(arrays.offsets[k], arrays.offsets[k + 1])
    pairs = slice(rows.start - k, rows.stop - k - 1)
    L, n, p = rows.stop - rows.start, arrays.mean.shape[-1], arrays.y.shape[1]
    own = {
        name: part if len(part) == 1 else part[rows if name in "HR" else pairs]
        for name, part in arrays._asdict().items()
        if name in ("F", "Q", "b", "H", "R")
    }
    own = {name: part if len(part) else np.zeros((1, *part.shape[1:])) for name, part in own.items()}
    model = peer.KalmanSmoother(k_endog=p, k_states=n, k_posdef=n)
    model.bind(np.array(arrays.y[rows]))
    model.tolerance = 0
    names = {"design": "H", "obs_cov": "R", "transition": "F", "state_cov": "Q", "state_intercept": "b"}
    for theirs, name in names.items():
        model[theirs] = stepwise(own[name], L)
    model["selection"] = np.eye(n)
    start = [part[0] if len(part) == 1 else part[k] for part in (arrays.mean, arrays.cov)]
    model.initialize_known(*start)
    if arrays.flat.shape[1]:
        from statsmodels.tsa.statespace.initialization import Initialization

        where = Initialization(n)
        for i in range(n):
            if arrays.flat[i].any():
                where.set(i, "diffuse")
            else:
                where.set(
                    i, "known", constant=start[0][i : i + 1], stationary_cov=start[1][i : i + 1, i : i + 1]
                )
        model.initialization = where
    return model.smooth()


def test_random_models(peer):
    @settings(max_examples=40)
    @given(arrays=problems(flats=False))
    def check(arrays):
        agree(peer, arrays)

    check()


def test_random_models_with_exact_diffuse_starts(peer):
    @settings(max_examples=40)
    @given(arrays=problems())
    def check(arrays):
        # Where F varies, or R of several outputs, the peer's numbers are not those of a dense solve.
        assume(arrays.flat.shape[1] and len(arrays.F) == 1)
        assume(len(arrays.R) == 1 or arrays.y.shape[1] == 1)
        # The peer takes known coordinates one by one.
        keep = np.eye(arrays.cov.shape[-1])
        agree(peer, arrays._replace(cov=arrays.cov * keep))

    check()


def agree(peer, arrays):
    """Totals, filtered and smoothed moments, lag-one covariances."""
    found, d = sweep(arrays), arrays.flat.shape[1]
    for k, first in enumerate(arrays.offsets[:-1]):
        theirs = smoothed_by(peer, arrays, k)
        end = arrays.offsets[k + 1]
        np.testing.assert_allclose(found.totals[k] - d / 2 * np.log(2 * np.pi), theirs.llf_obs.sum(), **CLOSE)
        np.testing.assert_allclose(found.smoothed[0][first:end], theirs.smoothed_state.T, **CLOSE)
        cov = np.moveaxis(theirs.smoothed_state_cov, -1, 0)
        np.testing.assert_allclose(found.smoothed[1][first:end], cov, **CLOSE)
        last = end - 1
        np.testing.assert_allclose(found.filtered[0][last], theirs.filtered_state[:, -1], **CLOSE)
        np.testing.assert_allclose(found.filtered[1][last], theirs.filtered_state_cov[..., -1], **CLOSE)
        begin = theirs.nobs_diffuse  # the peer has none of diffuse rows
        cross = np.moveaxis(theirs.smoothed_state_autocov, -1, 0)[begin : end - first - 1]
        np.testing.assert_allclose(found.lag_one[first - k + begin : last - k], cross, **CLOSE)


NOISES = [((1e-2, 1e-4, 1e-3), R) for R in (1.0, 1e-9, 0.0)] + [((0, 0, 0), 1.0), ((1, 0, 0), 0.0)]


@pytest.mark.parametrize(("variances", "R"), NOISES)
def test_a_seasonal_trend_with_a_diffuse_start(peer, variances, R, rng):
    n = 5
    F = np.zeros((n, n))
    F[:2, :2], F[2, 2:], F[3, 2], F[4, 3] = [[1, 1], [0, 1]], -1, 1, 1
    H = np.array([[1.0, 0, 1, 0, 0]])
    y = 100 + np.cumsum(rng.normal(size=300)) + 3 * np.sin(np.arange(300) * np.pi / 2)
    y[50:60] = np.nan
    agree(
        peer,
        GaussianChainArrays(
            mean=np.zeros((1, n)),
            cov=np.zeros((1, n, n)),
            flat=np.eye(n),
            F=F[None],
            Q=np.diag([*variances, 0.0, 0.0])[None],
            b=np.zeros((1, n)),
            H=H[None],
            R=np.full((1, 1, 1), R),
            y=y[:, None],
            offsets=np.array([0, 300]),
        ),
    )
