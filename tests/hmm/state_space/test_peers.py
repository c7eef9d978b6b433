"""The same numbers as statsmodels, pykalman and dynamax, where they are installed."""

import warnings

import numpy as np
import pytest

from hmm import LinearGaussianSSM
from hmm.interop import from_statsmodels, to_statsmodels
from msgpass import data
from msgpass.errors import ConvergenceWarning
from tests.hmm.state_space.dense import random_model, with_gaps

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # of the peers' own imports


@pytest.fixture
def sm():
    return pytest.importorskip("statsmodels.api")


@pytest.mark.parametrize("seed", range(8))
def test_statsmodels_smoother(seed, sm):
    rng = np.random.default_rng(seed)
    n, p, k, T = 1 + seed % 3, 1 + seed % 2, seed % 2, 30
    model = random_model(rng, n, p, k, steps=T if seed % 4 == 3 else None)
    y, u = with_gaps(rng, rng.normal(size=(T, p))), rng.normal(size=(T, k)) if k else None
    theirs = to_statsmodels(model, y, inputs=u).ssm.smooth()
    states = model.smooth(y, inputs=u)
    np.testing.assert_allclose(states.mean, theirs.smoothed_state.T, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(
        states.cov, np.moveaxis(theirs.smoothed_state_cov, -1, 0), rtol=1e-8, atol=1e-8
    )
    assert model.score(y, inputs=u) == pytest.approx(theirs.llf_obs.sum(), rel=1e-9)
    np.testing.assert_allclose(
        model.predictive_log_density(y, inputs=u), theirs.llf_obs, rtol=1e-8, atol=1e-8
    )
    np.testing.assert_allclose(model.filter(y, inputs=u).mean, theirs.filtered_state.T, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_statsmodels_exact_diffuse_start(n, sm, rng):
    model = random_model(rng, n, 2, initial="diffuse")
    y = with_gaps(rng, rng.normal(size=(20, 2)), 0.1)
    theirs = to_statsmodels(model, y).ssm.smooth()
    np.testing.assert_allclose(model.smooth(y).mean, theirs.smoothed_state.T, rtol=1e-7, atol=1e-7)
    assert model.score(y) - n / 2 * np.log(2 * np.pi) == pytest.approx(theirs.llf_obs.sum(), rel=1e-8)


def test_models_of_statsmodels_come_over(sm):
    y = data.load("nile").values
    kinds = [
        (sm.tsa.SARIMAX(y - y.mean(), order=(2, 0, 1)), [0.3, 0.2, 0.1, 20000.0], 0),
        (sm.tsa.UnobservedComponents(y, "lltrend", use_exact_diffuse=True), [15000.0, 1400.0, 10.0], 2),
        (sm.tsa.UnobservedComponents(y, "rwalk", exog=np.arange(100.0)), [1000.0, 0.5], None),
    ]
    for theirs, params, flat in kinds:
        theirs.ssm.tolerance = 0  # else it takes gains as settled that are not
        found = theirs.smooth(params)
        ours = from_statsmodels(found)
        own = theirs.endog
        np.testing.assert_allclose(ours.smooth(own).mean, found.smoothed_state.T, rtol=1e-6, atol=1e-4)
        if flat is not None:  # approximately diffuse starts leave the first terms out
            assert ours.score(own) - flat / 2 * np.log(2 * np.pi) == pytest.approx(found.llf, rel=1e-8)
        ahead = found.get_forecast(
            3, exog=np.arange(100.0, 103.0)[:, None] if theirs.exog is not None else None
        )
        if theirs.exog is None:
            forecast = ours.forecast(own, steps=3)
            np.testing.assert_allclose(forecast.mean.ravel(), ahead.predicted_mean, rtol=1e-6)
            np.testing.assert_allclose(np.sqrt(forecast.variance.ravel()), ahead.se_mean, rtol=1e-6)


def test_statsmodels_maximum_and_its_standard_errors(sm):
    y = data.load("nile").values
    held = ["transition_matrix", "observation_matrix"]
    ours = LinearGaussianSSM(
        1, initial="diffuse", transition_matrix=1, observation_matrix=1, frozen=held, method="lbfgs", tol=1e-9
    ).fit(y)
    errors = ours.standard_errors(y)
    estimates = [ours.observation_covariance_[0, 0], ours.transition_covariance_[0, 0]]
    theirs = sm.tsa.UnobservedComponents(y, "llevel", use_exact_diffuse=True).fit(
        estimates, disp=0, cov_type="approx"
    )
    np.testing.assert_allclose(estimates, theirs.params, rtol=2e-3)
    own = [errors["observation_covariance_"][0, 0], errors["transition_covariance_"][0, 0]]
    np.testing.assert_allclose(own, theirs.bse, rtol=2e-2)


def test_pykalman_em(rng):
    pykalman = pytest.importorskip("pykalman")
    learned = [
        "transition_matrix", "transition_covariance", "transition_offset", "observation_matrix",
        "observation_covariance", "observation_offset", "initial_mean", "initial_covariance",
    ]  # fmt: skip
    ours = random_model(rng, 2, 3, learned=learned, n_iter=1, tol=0)
    y, _ = ours.sample(50, 0)
    y[10] = np.nan
    ours.transition_offset, ours.observation_offset = np.zeros(2), np.zeros(3)
    ours.learned = [name for name in learned if not name.endswith("offset")]
    theirs = pykalman.KalmanFilter(
        transition_matrices=ours.transition_matrix,
        transition_covariance=ours.transition_covariance,
        observation_matrices=ours.observation_matrix,
        observation_covariance=ours.observation_covariance,
        initial_state_mean=ours.initial_mean,
        initial_state_covariance=ours.initial_covariance,
        em_vars=[
            "transition_matrices", "transition_covariance", "observation_matrices", "observation_covariance",
            "initial_state_mean", "initial_state_covariance",
        ],
    )  # fmt: skip
    hidden = np.ma.masked_invalid(y)
    assert ours.score(y) == pytest.approx(theirs.loglikelihood(hidden), rel=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours.fit(y)
    theirs.em(hidden, n_iter=1)
    np.testing.assert_allclose(ours.transition_matrix_, theirs.transition_matrices, rtol=1e-7)
    np.testing.assert_allclose(ours.transition_covariance_, theirs.transition_covariance, rtol=1e-6)
    np.testing.assert_allclose(ours.observation_matrix_, theirs.observation_matrices, rtol=1e-7)
    np.testing.assert_allclose(ours.observation_covariance_, theirs.observation_covariance, rtol=1e-6)
    np.testing.assert_allclose(ours.initial_mean_, theirs.initial_state_mean, rtol=1e-7)
    np.testing.assert_allclose(ours.initial_covariance_, theirs.initial_state_covariance, rtol=1e-6)
