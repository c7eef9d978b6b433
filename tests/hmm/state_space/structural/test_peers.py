"""The same numbers as statsmodels at the same parameters, and fits that are at least as good."""

import warnings

import numpy as np
import pytest

from hmm import structural
from hmm.structural import (
    AR,
    ARMA,
    Cycle,
    Irregular,
    LocalLevel,
    LocalLinearTrend,
    Regression,
    Seasonal,
    StructuralTimeSeries,
)
from msgpass import data

pytestmark = pytest.mark.peers


@pytest.fixture
def peer():
    api = pytest.importorskip("statsmodels.tsa.api")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield api


def series(rng, T=90, gaps=True):
    t = np.arange(T)
    y = rng.normal(size=T).cumsum() + 2 * np.sin(2 * np.pi * t / 4) + rng.normal(size=T)
    if gaps:
        y[[7, 30, 31, 32, 60]] = np.nan
    return y


# (components, statsmodels' settings, its parameters by full name in its order)
PERIODS = (3, 30)

CASES = {
    "level": ([LocalLevel(), Irregular()], {"level": "llevel"}, ["irregular.variance", "level.variance"]),
    "trend": (
        [LocalLinearTrend(), Irregular()],
        {"level": "lltrend"},
        ["irregular.variance", "trend.level_variance", "trend.slope_variance"],
    ),
    "smooth trend": (
        [LocalLinearTrend(smooth=True), Irregular()],
        {"level": "strend"},
        ["irregular.variance", "trend.slope_variance"],
    ),
    "constant": ([LocalLevel(variance=0), Irregular()], {"level": "dconstant"}, ["irregular.variance"]),
    "drift": (
        [LocalLinearTrend(slope_variance=0), Irregular()],
        {"level": "lldtrend"},
        ["irregular.variance", "trend.level_variance"],
    ),
    "dummies": (
        [LocalLinearTrend(), Seasonal(period=4), Irregular()],
        {"level": "lltrend", "seasonal": 4},
        ["irregular.variance", "trend.level_variance", "trend.slope_variance", "seasonal.variance"],
    ),
    "fixed dummies": (
        [LocalLevel(), Seasonal(period=4, variance=0), Irregular()],
        {"level": "llevel", "seasonal": 4, "stochastic_seasonal": False},
        ["irregular.variance", "level.variance"],
    ),
    "harmonics": (
        [LocalLevel(), Seasonal(period=7, form="trigonometric", harmonics=2), Irregular()],
        {"level": "llevel", "freq_seasonal": [{"period": 7, "harmonics": 2}]},
        ["irregular.variance", "level.variance", "seasonal.variance"],
    ),
    "cycle": (
        [LocalLevel(), Cycle(initial="flat", damping=0.8, periods=PERIODS), Irregular()],
        {
            "level": "llevel",
            "cycle": True,
            "stochastic_cycle": True,
            "damped_cycle": True,
            "cycle_period_bounds": PERIODS,
        },
        ["irregular.variance", "level.variance", "cycle.variance", "cycle.frequency", "cycle.damping"],
    ),
    "fixed cycle": (
        [LocalLevel(), Cycle(damped=False, stochastic=False, periods=PERIODS), Irregular()],
        {"level": "llevel", "cycle": True, "cycle_period_bounds": PERIODS},
        ["irregular.variance", "level.variance", "cycle.frequency"],
    ),
    "ar": (
        [LocalLevel(), AR(order=2), Irregular()],
        {"level": "llevel", "autoregressive": 2},
        ["irregular.variance", "level.variance", "ar.variance", "ar.coef"],
    ),
    "regression": (
        [LocalLevel(), Regression(columns=2), Irregular()],
        {"level": "llevel", "mle_regression": False},
        ["irregular.variance", "level.variance"],
    ),
}


def set_up(case, rng, peer, y, exog=None):
    components, settings, order = CASES[case]
    ours = StructuralTimeSeries(components)
    values = {name: rng.uniform(0.2, 2) for name in order}
    values |= {n: v for n, v in {"cycle.frequency": 0.9, "cycle.damping": 0.8}.items() if n in order}
    if "ar.coef" in order:
        values["ar.coef"] = np.array([0.5, 0.3])
    ours.parameters_ = values
    if exog is not None:
        settings = settings | {"exog": exog}
    theirs = peer.UnobservedComponents(y, use_exact_diffuse=True, **settings)
    return ours, theirs, np.concatenate([np.atleast_1d(values[name]) for name in order])


@pytest.mark.parametrize("case", CASES)
def test_everything_that_is_read_at_the_same_parameters(case, peer, rng):
    y = series(rng)
    exog = rng.normal(size=(len(y) + 6, 2)) if case == "regression" else None
    past, future = (None, None) if exog is None else (exog[:-6], exog[-6:])
    ours, theirs, params = set_up(case, rng, peer, y, past)
    found = theirs.smooth(params)
    assert ours.score(y, past) == pytest.approx(found.llf, rel=1e-9)
    if case != "cycle":  # whose damping we hold
        assert ours.aic(y, past) == pytest.approx(found.aic, rel=1e-9)
    x = ours.messages(y, past).belief["x"]
    np.testing.assert_allclose(x.mean, found.smoother_results.smoothed_state.T, rtol=1e-7, atol=1e-8)
    cov = np.moveaxis(found.smoother_results.smoothed_state_cov, 2, 0)
    np.testing.assert_allclose(x.cov, cov, rtol=1e-6, atol=1e-8)
    ahead = ours.forecast(6, 0.9, future, y=y, past_exog=past)
    theirs_ahead = found.get_forecast(6, **({} if future is None else {"exog": future}))
    np.testing.assert_allclose(ahead.mean, theirs_ahead.predicted_mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(ahead.variance, theirs_ahead.se_mean**2, rtol=1e-8)
    ends = theirs_ahead.conf_int(alpha=0.1)
    np.testing.assert_allclose(np.column_stack([ahead.lower, ahead.upper]), ends, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("case", CASES)
def test_residuals_and_their_tests(case, peer, rng):
    y = series(rng, gaps=False)
    exog = rng.normal(size=(len(y), 2)) if case == "regression" else None
    ours, theirs, params = set_up(case, rng, peer, y, exog)
    found = theirs.smooth(params)
    d = int(found.nobs_diffuse)
    e, theirs_e = ours.residuals(y, exog).standardised, found.standardized_forecasts_error[0]
    np.testing.assert_allclose(e[d:], theirs_e[d:], rtol=1e-7, atol=1e-8)
    assert np.isnan(e[:d]).all()
    own = ours.diagnostics(y, exog, lags=8, adjust=False)
    serial = found.test_serial_correlation("ljungbox", lags=8)[0]
    np.testing.assert_allclose(own.serial, serial[:, -1], rtol=1e-7)
    adjusted = ours.diagnostics(y, exog, lags=8).serial.pvalue
    serial = found.test_serial_correlation("ljungbox", lags=8, df_adjust=True)[0]
    assert adjusted == pytest.approx(serial[1, -1], rel=1e-6)
    np.testing.assert_allclose(own.normality, found.test_normality("jarquebera")[0][:2], rtol=1e-6)
    np.testing.assert_allclose(
        own.heteroscedasticity, found.test_heteroskedasticity("breakvar")[0], rtol=1e-6
    )


@pytest.mark.parametrize("case", ["level", "trend", "dummies", "ar", "regression"])
def test_auxiliary_residuals_are_standardised_smoothed_disturbances(case, peer, rng):
    y = series(rng)
    exog = rng.normal(size=(len(y), 2)) if case == "regression" else None
    ours, theirs, params = set_up(case, rng, peer, y, exog)
    smoothed = theirs.smooth(params).smoother_results
    found = ours.auxiliary_residuals(y, exog)
    seen = ~np.isnan(y)
    noise = smoothed.smoothed_measurement_disturbance[0]
    spread = params[0] - smoothed.smoothed_measurement_disturbance_cov[0, 0]
    np.testing.assert_allclose(
        found["irregular"][seen], (noise / np.sqrt(spread))[seen], rtol=1e-6, atol=1e-7
    )
    assert np.isnan(found["irregular"][~seen]).all()
    names = [name for name in found if name != "irregular" and "regression" not in name]
    variances = [p for p in params[1:]]
    for k, name in enumerate(names):
        shock = smoothed.smoothed_state_disturbance[k, :-1]
        spread = variances[k] - smoothed.smoothed_state_disturbance_cov[k, k, :-1]
        there = spread > 1e-8
        np.testing.assert_allclose(
            found[name][1:][there], shock[there] / np.sqrt(spread[there]), rtol=1e-5, atol=1e-6
        )


@pytest.mark.parametrize(("p", "q"), [(1, 0), (2, 1), (0, 2), (3, 3)])
def test_arma(p, q, peer, rng):
    y = series(rng) - 1
    ours = StructuralTimeSeries([ARMA(p=p, q=q)])
    ar, ma = np.array([0.5, 0.2, -0.1])[:p], np.array([0.4, -0.3, 0.1])[:q]
    ours.parameters_ = {"arma.ar": ar, "arma.ma": ma, "arma.variance": 1.7}
    found = peer.SARIMAX(y, order=(p, 0, q)).smooth(np.concatenate([ar, ma, [1.7]]))
    assert ours.score(y) == pytest.approx(found.llf, rel=1e-9)
    ahead, theirs = ours.forecast(5, y=y), found.get_forecast(5)
    np.testing.assert_allclose(ahead.mean, theirs.predicted_mean, rtol=1e-8)
    np.testing.assert_allclose(ahead.variance, theirs.se_mean**2, rtol=1e-8)


@pytest.mark.parametrize("case", [case for case in CASES if case != "cycle"])
def test_fits_are_as_good(case, peer, rng):
    y = series(rng)
    exog = rng.normal(size=(len(y), 2)) if case == "regression" else None
    components, settings, _ = CASES[case]
    ours = StructuralTimeSeries(components, n_init=3, random_state=0).fit(y, exog)
    if exog is not None:
        settings = settings | {"exog": exog}
    theirs = peer.UnobservedComponents(y, use_exact_diffuse=True, **settings)
    best = max(theirs.fit(disp=False, method=m, maxiter=500).llf for m in ("lbfgs", "powell"))
    assert ours.log_likelihood_ >= best - 1e-4


@pytest.mark.parametrize(("p", "q"), [(2, 0), (1, 1), (2, 2)])
def test_fits_of_arma_are_as_good(p, q, peer, rng):
    e = rng.normal(size=122)
    y = e[2:] + 0.4 * e[1:-1] - 0.2 * e[:-2]
    ours = structural.arma(p, q, mean=False, n_init=3, random_state=0).fit(y)
    theirs = peer.SARIMAX(y, order=(p, 0, q)).fit(disp=False, maxiter=500)
    assert ours.log_likelihood_ >= theirs.llf - 1e-4


def test_standard_errors(peer):
    y = data.load("nile").values
    ours = structural.local_level(random_state=0).fit(y)
    theirs = peer.UnobservedComponents(y, "llevel", use_exact_diffuse=True)
    at = [float(ours.parameters_[f"{own}.variance"]) for own in ("irregular", "level")]
    found = theirs.smooth(at, cov_type="approx")
    errors = ours.standard_errors()
    own = [float(errors[f"{own}.variance"]) for own in ("irregular", "level")]
    np.testing.assert_allclose(own, found.bse, rtol=1e-3)
