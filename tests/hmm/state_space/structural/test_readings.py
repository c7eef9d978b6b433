"""What is read of a model: it adds up, and it is what dense solves, prefixes and dummies say."""

import numpy as np
import pytest
from hypothesis import assume, given, settings

from hmm.state_space.structural.assembly import Assembly
from hmm.state_space.structural.likelihood import Likelihood
from hmm.structural import (
    Irregular,
    LocalLevel,
    LocalLinearTrend,
    Regression,
    Seasonal,
    StructuralTimeSeries,
)
from msgpass.errors import DataError, NumericalError
from tests.hmm.state_space.structural.drawn import dense, drawn, models


def estimator(assembly, values):
    model = StructuralTimeSeries(list(assembly.components))
    model.parameters_ = values
    return model


@given(models())
@settings(max_examples=25)
def test_contributions_and_noise_add_up_to_the_series(model):
    assembly, values, y, inputs = model
    found = estimator(assembly, values).decompose(y, inputs if assembly.n_inputs else None, level=0.9)
    total = sum(found[name].mean for name in found.contributions)
    np.testing.assert_allclose(total, found.signal.mean, atol=1e-8)
    seen = ~np.isnan(y)
    np.testing.assert_allclose((total + found["irregular"].mean)[seen], y[seen], atol=1e-8)
    np.testing.assert_allclose(found["irregular"].variance[~seen], values["irregular.variance"])
    for own in (found.signal, *found.values()):
        assert (own.variance > -1e-9).all()
        assert (own.lower <= own.mean).all() and (own.mean <= own.upper).all()


@given(models())
@settings(max_examples=25)
def test_the_signal_and_the_forecast_are_those_of_a_dense_solve(model):
    assembly, values, y, inputs = model
    steps, T = 3, len(y)
    ahead = np.random.default_rng(0).normal(size=(steps, assembly.n_inputs))
    own = estimator(assembly, values)
    exog = (inputs, ahead) if assembly.n_inputs else (None, None)
    found = own.forecast(steps, 0.8, exog[1], y=y, past_exog=exog[0])
    longer = np.concatenate([np.where(np.isnan(y), np.nan, y), np.zeros(steps)])
    m, C, A = dense(assembly, values, longer, np.concatenate([inputs, ahead]))
    past = np.arange(len(m)) < len(m) - steps
    seen, W = y[~np.isnan(y)], np.linalg.inv(C[np.ix_(past, past)])
    K = C[np.ix_(~past, past)] @ W
    mean, cov = m[~past] + K @ (seen - m[past]), C[np.ix_(~past, ~past)] - K @ C[np.ix_(past, ~past)]
    if A.shape[1]:
        G, rest = np.linalg.inv(A[past].T @ W @ A[past]), A[~past] - K @ A[past]
        mean = mean + rest @ G @ A[past].T @ W @ (seen - m[past])
        cov = cov + rest @ G @ rest.T
    np.testing.assert_allclose(found.mean, mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.variance, np.diag(cov), rtol=1e-6)
    np.testing.assert_allclose(
        found.variance - found.signal.variance, values["irregular.variance"], rtol=1e-6, atol=1e-9
    )
    np.testing.assert_allclose(
        sum(part.mean for part in found.contributions.values()), found.mean, rtol=1e-9, atol=1e-9
    )
    assert len(found) == steps and len(y) == T


@given(models())
@settings(max_examples=25)
def test_residuals_are_what_each_step_adds_to_the_score(model):
    assembly, values, y, inputs = model
    own = estimator(assembly, values)
    exog = inputs if assembly.n_inputs else None
    found = own.residuals(y, exog)
    for t in range(len(y) - 4, len(y)):
        cut = None if exog is None else (exog[:t], exog[: t + 1])
        try:
            before = own.score(y[:t], cut and cut[0])
            after = own.score(y[: t + 1], cut and cut[1])
        except NumericalError:
            assume(False)
        if np.isnan(y[t]):
            assert np.isnan(found.error[t])
            continue
        density = -0.5 * (np.log(2 * np.pi * found.variance[t]) + found.standardised[t] ** 2)
        assert density == pytest.approx(after - before, abs=1e-6)
        assert found.prediction[t] + found.error[t] == pytest.approx(y[t])


@pytest.mark.parametrize("kinds", [["level"], ["trend", "dummies"], ["constant", "ar"], ["damped", "cycle"]])
def test_an_outlier_and_a_break_are_t_values_of_dummies(kinds, rng):
    """A pulse or a step that is added to the model has this ratio of its coefficient to its error
    (de Jong & Penzer 1998)."""
    assembly, values, y, _ = drawn(rng, kinds)
    found = estimator(assembly, values).auxiliary_residuals(y, None)
    with_dummy = Assembly.of([*assembly.components, Regression(name="dummy")])
    T, level = len(y), next(own.label for own in assembly.components)
    for t in (3, 11, T - 2):
        pulse = np.eye(T)[t]
        step = np.arange(T) >= t
        for name, dummy in (("irregular", pulse), (level, step)):
            if name == level and "damped" in kinds:
                continue
            if np.isnan(y[t]) and name == "irregular":
                assert np.isnan(found[name][t])
                continue
            own = estimator(with_dummy, values).decompose(y, dummy.astype(float))["dummy"]
            ratio = own.mean[-1 if name == level else t] / np.sqrt(own.variance[-1 if name == level else t])
            assert found[name][t] == pytest.approx(ratio, rel=1e-5, abs=1e-6)


def test_a_break_that_is_there_is_found(rng):
    y = rng.normal(size=80) + 8.0 * (np.arange(80) >= 50)
    y[20] += 9
    model = StructuralTimeSeries([LocalLevel(), Irregular()])
    model.parameters_ = {"level.variance": 0.1, "irregular.variance": 1.0}
    found = model.auxiliary_residuals(y)
    assert {(name, t) for name, t, _ in found.beyond(4)} >= {("level", 50), ("irregular", 20)}
    assert found.beyond(4)[0][:2] in {("level", 50), ("irregular", 20)}
    assert np.isnan(found["level"][0])
    assert "level: largest at 50" in repr(found)
    assert list(found.to_frame().columns) == ["irregular", "level"]


def test_constant_coefficients_are_generalised_least_squares(rng):
    assembly, values, y, inputs = drawn(rng, ["constant", "ar", "regression"], T=40)
    found = estimator(assembly, values).decompose(y, inputs)
    m, C, A = dense(assembly, values, y, inputs)
    W = np.linalg.inv(C)
    cov = np.linalg.inv(A.T @ W @ A)
    expected = cov @ A.T @ W @ (y[~np.isnan(y)] - m)
    for k, name in enumerate(("constant", "regression.x0", "regression.x1")):
        np.testing.assert_allclose(found[name].mean, expected[k], rtol=1e-6)
        np.testing.assert_allclose(found[name].variance, cov[k, k], rtol=1e-6)


def test_regressors_that_begin_late_leave_their_own_step_open_only(rng):
    y = rng.normal(size=30)
    step = (np.arange(30) >= 12).astype(float)
    model = StructuralTimeSeries([LocalLevel(), Regression(), Irregular()])
    model.parameters_ = {"level.variance": 0.5, "irregular.variance": 1.0}
    found = model.residuals(y, step)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.standardised)), [0, 12])


def test_there_is_no_forecast_while_a_start_is_open():
    model = StructuralTimeSeries([LocalLevel(), Seasonal(period=4), Irregular()])
    model.parameters_ = {"level.variance": 1.0, "seasonal.variance": 0.1, "irregular.variance": 1.0}
    with pytest.raises(NumericalError):
        model.forecast(2, y=[1.0, 2.0, 3.0])


def test_the_slope_is_read_beside_the_trend(rng):
    y = 2.0 * np.arange(40) + 0.1 * rng.normal(size=40)
    model = StructuralTimeSeries([LocalLinearTrend(slope_variance=0), Irregular()])
    model.parameters_ = {"trend.level_variance": 0.0, "irregular.variance": 0.01}
    found = model.decompose(y)
    assert found.contributions == ("trend",) and list(found) == ["trend", "trend.slope", "irregular"]
    np.testing.assert_allclose(found["trend.slope"].mean, np.polyfit(np.arange(40), y, 1)[0], rtol=1e-6)
    assert list(found.to_frame().columns) == ["observed", "signal", "trend", "trend.slope", "irregular"]
    frame = found["trend"].to_frame(index=np.arange(1900, 1940))
    assert list(frame.columns) == ["mean", "variance", "lower", "upper"] and frame.index[0] == 1900


@pytest.mark.parametrize("level", [0, 1, "much", True])
def test_a_level_is_a_probability(level):
    model = StructuralTimeSeries([LocalLevel(), Irregular()])
    model.parameters_ = {"level.variance": 1.0, "irregular.variance": 1.0}
    with pytest.raises(DataError, match="level is a number between 0 and 1"):
        _ = model.forecast(1, level, y=[1.0, 2.0, 3.0]).lower


def test_many_steps_are_one_run(rng):
    """The graph is kept: scoring again builds none."""
    assembly, values, y, inputs = drawn(rng, ["trend"])
    likelihood = Likelihood(assembly, y, inputs)
    likelihood(values)
    graph = likelihood._graph
    likelihood.slopes(values)
    assert likelihood._graph is graph
