"""The estimator: what a fit finds, what it refuses, and that it is scikit-learn's kind of object."""

import numpy as np
import pytest
from sklearn.base import clone

import hmm
from hmm import structural
from hmm.structural import (
    AR,
    Cycle,
    Irregular,
    LocalLevel,
    LocalLinearTrend,
    Regression,
    Seasonal,
    StructuralTimeSeries,
)
from msgpass import data
from msgpass.errors import ConvergenceWarning, DataError, NotFittedError, NumericalError, ShapeError
from tests.hmm.state_space.structural.drawn import drawn


@pytest.fixture(scope="module")
def nile():
    return structural.local_level(random_state=0).fit(data.load("nile").values)


def test_the_nile(nile):
    """Durbin & Koopman (2012, section 2.2.5)."""
    assert float(nile.parameters_["level.variance"]) == pytest.approx(1469.1, rel=1e-3)
    assert float(nile.parameters_["irregular.variance"]) == pytest.approx(15098.5, rel=1e-3)
    assert nile.score() == nile.log_likelihood_ == pytest.approx(-633.4645636, abs=1e-6)
    assert nile.messages().total == pytest.approx(-632.5456251, abs=1e-6)  # flat starts of density 1
    assert nile.aic() == pytest.approx(2 * 633.4645636 + 2 * 3, abs=1e-5)
    assert nile.bic() == pytest.approx(2 * 633.4645636 + 3 * np.log(100), abs=1e-5)
    ahead = nile.forecast(5)
    np.testing.assert_allclose(ahead.mean, 798.37, atol=0.05)  # section 2.6
    assert nile.components_ is nile.components_
    assert nile.monitor_.converged


def test_a_fit_is_a_maximum(nile):
    likelihood = nile._likelihood(None, None)
    _, slopes = likelihood.slopes(nile.parameters_)
    for name, slope in slopes.items():
        assert abs(slope * nile.parameters_[name]) < 1e-2


def test_standard_errors_are_those_of_second_differences(nile):
    values = nile.parameters_
    names = list(values)
    steps = {name: 1e-3 * float(values[name]) for name in names}

    def score(moved):
        model = clone(nile)
        model.parameters_ = {
            name: values[name] + k * steps[name] for name, k in zip(names, moved, strict=True)
        }
        return model.score(data.load("nile").values)

    information = np.empty((2, 2))
    for i in range(2):
        for j in range(2):
            a, b = np.eye(2)[i], np.eye(2)[j]
            second = score(a + b) - score(a - b) - score(b - a) + score(-a - b)
            information[i, j] = -second / (4 * steps[names[i]] * steps[names[j]])
    errors = nile.standard_errors()
    expected = np.sqrt(np.diag(np.linalg.inv(information)))
    np.testing.assert_allclose([float(errors[name]) for name in names], expected, rtol=1e-3)
    intervals = nile.confidence_intervals(level=0.9)
    for name in names:
        low, high = intervals[name]
        assert 0 < low < values[name] < high
    text = nile.summary()
    assert "level.variance" in text and "log-likelihood -633.465" in text and "Jarque-Bera" in text


def test_a_variance_of_zero_is_found_and_has_no_error(rng):
    y = 5 + np.diff(rng.normal(size=61))  # changes turn back sooner than any level would let them
    model = StructuralTimeSeries([LocalLevel(), Irregular()], random_state=0, n_init=2).fit(y)
    assert model.parameters_["level.variance"] < 1e-6
    errors = model.standard_errors()
    assert np.isnan(errors["level.variance"]) and errors["irregular.variance"] > 0
    constant = StructuralTimeSeries([LocalLevel(variance=0), Irregular()], random_state=0).fit(y)
    assert model.log_likelihood_ == pytest.approx(constant.log_likelihood_, abs=1e-5)
    assert constant.parameters_["level.variance"] == 0


def test_what_is_held_stays_and_the_unit_does_not_matter(rng):
    y = rng.normal(size=80).cumsum()
    components = [LocalLevel(variance=0.5), Seasonal(period=4, variance=0.0), Irregular()]
    small = StructuralTimeSeries(components, random_state=0, n_init=1).fit(y)
    assert small.parameters_["level.variance"] == 0.5
    components = [LocalLevel(variance=0.5e6), Seasonal(period=4, variance=0.0), Irregular()]
    large = StructuralTimeSeries(components, random_state=0, n_init=1).fit(1000 * y)
    ratio = large.parameters_["irregular.variance"] / small.parameters_["irregular.variance"]
    assert ratio == pytest.approx(1e6, rel=1e-3)


def test_a_cycle_is_found(rng):
    t = np.arange(80)
    y = 3 * np.cos(2 * np.pi * t / 11 + 1) + 0.5 * rng.normal(size=80)
    y[30:40] = np.nan
    model = StructuralTimeSeries(
        [LocalLevel(variance=0), Cycle(periods=(4, 40)), Irregular()], random_state=0, n_init=2
    ).fit(y)
    assert 2 * np.pi / float(model.parameters_["cycle.frequency"]) == pytest.approx(11, abs=0.3)


def test_a_regression_is_found_by_name(rng):
    pandas = pytest.importorskip("pandas")
    u = rng.normal(size=(100, 3))
    y = 2 * u[:, 0] - u[:, 2] + rng.normal(size=100).cumsum() * 0.1 + 0.2 * rng.normal(size=100)
    frame = pandas.DataFrame(u, columns=["a", "b", "c"])
    components = [LocalLevel(), Regression(columns=("c", "a")), Irregular()]
    model = StructuralTimeSeries(components, random_state=0, n_init=1).fit(y, frame)
    assert model.components_["regression.c"].mean[-1] == pytest.approx(-1, abs=0.1)
    assert model.components_["regression.a"].mean[-1] == pytest.approx(2, abs=0.1)
    same = StructuralTimeSeries(components, random_state=0, n_init=1).fit(y, u[:, [2, 0]])
    assert same.log_likelihood_ == model.log_likelihood_
    with pytest.raises(DataError, match="no column a"):
        model.fit(y, frame[["b", "c"]])
    with pytest.raises(DataError, match="takes 2 column"):
        model.forecast(2)


def test_one_seed_the_same_bits(rng):
    y = rng.normal(size=60).cumsum() + rng.normal(size=60)
    one, other = (structural.local_linear_trend(random_state=3).fit(y) for _ in range(2))
    assert one.log_likelihood_ == other.log_likelihood_
    for name, value in one.parameters_.items():
        np.testing.assert_array_equal(value, other.parameters_[name])


def test_more_starts_are_not_worse(rng):
    y = rng.normal(size=60).cumsum() + np.sin(np.arange(60)) + rng.normal(size=60)
    components = [LocalLevel(), AR(order=2), Irregular()]
    few, many = (
        StructuralTimeSeries(components, n_init=k, random_state=0).fit(y).log_likelihood_ for k in (1, 5)
    )
    assert many >= few - 1e-9


def test_stopping_early_warns(rng):
    y = rng.normal(size=60).cumsum()
    with pytest.warns(ConvergenceWarning, match="raise n_iter"):
        structural.local_linear_trend(n_iter=1, n_init=1, random_state=0).fit(y)


@pytest.mark.parametrize("y", [np.zeros(12), np.full(12, 3.0), np.arange(12.0)])
def test_a_series_without_noise_has_no_likeliest_variance(y):
    with pytest.raises(NumericalError, match="explain the series exactly"):
        structural.local_linear_trend(n_init=2, random_state=0).fit(y)
    held = StructuralTimeSeries([LocalLinearTrend(), Irregular(variance=1e-4)], n_init=2, random_state=0)
    np.testing.assert_allclose(held.fit(y).forecast(1).mean, 2 * y[-1] - y[-2], atol=1e-2)


def test_it_is_an_estimator():
    model = structural.basic(4, n_init=2, random_state=7)
    copy = clone(model)
    assert copy is not model and copy.get_params()["n_init"] == 2
    assert copy.components == model.components
    assert hmm.StructuralTimeSeries is StructuralTimeSeries and hmm.structural is structural


@pytest.mark.parametrize(
    ("make", "labels"),
    [
        (structural.local_level, ["level", "irregular"]),
        (structural.local_linear_trend, ["trend", "irregular"]),
        (structural.smooth_trend, ["trend", "irregular"]),
        (lambda: structural.basic(12), ["trend", "seasonal", "irregular"]),
        (lambda: structural.trend_and_cycle((4, 12)), ["trend", "cycle", "irregular"]),
        (lambda: structural.arma(1, 1), ["mean", "arma"]),
        (lambda: structural.arma(1, 1, mean=False), ["arma"]),
    ],
)
def test_ready_made_models(make, labels):
    assert [own.label for own in make().components] == labels


@pytest.mark.parametrize(
    ("components", "message"),
    [
        ([], "needs a component besides"),
        ([Irregular()], "needs a component besides"),
        (["level"], "components are such as"),
        (5, "components are such as"),
        ([LocalLevel(), LocalLevel()], "several components are called level"),
    ],
)
def test_components_that_are_none(components, message):
    with pytest.raises(DataError, match=message):
        StructuralTimeSeries(components).fit([1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        ([np.nan] * 5, DataError, "no observed value"),
        (np.ones((5, 2)), ShapeError, "one series"),
        ([1.0, np.inf, 2.0], DataError, "infinite"),
        (["a", "b"], DataError, "numbers"),
        ([1.0, np.nan, 2.0], DataError, "at least 3 are needed"),
    ],
)
def test_series_that_are_none(y, error, message):
    with pytest.raises(error, match=message):
        structural.local_linear_trend().fit(y)


def test_regressors_that_do_not_fit(rng):
    model = StructuralTimeSeries([LocalLevel(), Regression(columns=2), Irregular()], n_init=1)
    y, u = rng.normal(size=20), rng.normal(size=(20, 2))
    with pytest.raises(DataError, match="takes 2 column"):
        model.fit(y)
    with pytest.raises(ShapeError, match=r"wanted \(20, 2\)"):
        model.fit(y, u[:, :1])
    with pytest.raises(DataError, match="missing at row 3, column 1"):
        model.fit(y, np.where(np.arange(40).reshape(20, 2) == 7, np.nan, u))
    with pytest.raises(DataError, match="no component is a Regression"):
        structural.local_level().fit(y, u)
    with pytest.raises(NumericalError, match=r"State coordinates: 0 level, 1-2 regression"):
        model.fit(y, np.column_stack([u[:, 0], 2 * u[:, 0]]))


def test_parameters_that_are_set():
    model = structural.local_level()
    with pytest.raises(NotFittedError, match="no parameters yet"):
        model.score([1.0, 2.0])
    with pytest.raises(DataError, match=r"irregular\.variance has no value yet"):
        model.parameters_ = {"level.variance": 1.0}
    with pytest.raises(DataError, match="there is no parameter slope"):
        model.parameters_ = {"slope": 1.0}
    model.parameters_ = {"level.variance": 1.0, "irregular.variance": 2.0}
    model.parameters_ = {"level.variance": 3.0}
    assert {k: float(v) for k, v in model.parameters_.items()} == {
        "level.variance": 3.0,
        "irregular.variance": 2.0,
    }
    with pytest.raises(DataError, match="not negative"):
        model.parameters_ = {"level.variance": -1.0}
    with pytest.raises(ShapeError, match=r"level\.variance"):
        model.parameters_ = {"level.variance": [1.0, 2.0]}
    with pytest.raises(NotFittedError, match="seen no series"):
        model.score()
    with pytest.raises(DataError, match="exog was given without y"):
        model.score(None, np.ones((2, 1)))


def test_off_a_maximum_there_are_no_errors():
    model = structural.local_level()
    model.parameters_ = {"level.variance": 1e5, "irregular.variance": 1e6}
    y = data.load("nile").values
    with pytest.raises(NumericalError, match="not positive definite"):
        model.standard_errors(y)
    assert "no standard errors" in model.summary(y)


def test_figures(nile):
    pytest.importorskip("matplotlib")
    years = np.arange(1871, 1971)
    assert len(nile.plot_components(index=years).axes) == 3
    assert len(nile.plot_auxiliary_residuals(index=years).axes) == 2
    assert len(nile.plot_diagnostics(index=years).axes) == 3
    figure = nile.plot_forecast(10, index=np.arange(1871, 1981))
    assert figure.axes[0].get_xlim() == (1931, 1980)
    trend = structural.local_linear_trend()
    trend.parameters_ = {f"trend.{k}_variance": 1.0 for k in ("level", "slope")} | {"irregular.variance": 1.0}
    assert len(trend.plot_components(data.load("nile").values).axes) == 4
    with pytest.raises(ShapeError, match="index has shape"):
        nile.plot_components(index=years[:5])


def test_the_damped_trend_of_a_series_that_levels_off(rng):
    t = np.arange(80)
    y = 10 * (1 - 0.9**t) + 0.05 * rng.normal(size=80)
    model = StructuralTimeSeries([LocalLinearTrend(damped=True), Irregular()], random_state=0, n_init=2).fit(
        y
    )
    assert model.parameters_["trend.damping"] == pytest.approx(0.9, abs=0.03)
    assert model.forecast(50).mean[-1] == pytest.approx(10, abs=0.2)


def test_a_model_comes_back_from_its_file_as_it_was(tmp_path, rng):
    y, u = rng.normal(size=40).cumsum(), rng.normal(size=40)
    components = [
        LocalLinearTrend(name="t", damped=True),
        Seasonal(period=4.5, form="trigonometric", harmonics=(1, 2)),
        Cycle(periods=(3, np.inf), frequency=1.0),
        Regression(columns=("price",), random_walk=True),
        Irregular(variance=0.3),
    ]
    model = StructuralTimeSeries(components, n_init=1, random_state=0, n_iter=20, tol=1.0).fit(y, u)
    path = tmp_path / "model.safetensors"
    model.save(path)
    back = hmm.load(path)
    assert back.components == components and back.get_params()["tol"] == 1.0
    assert back.score() == model.score() == model.log_likelihood_ == back.log_likelihood_
    np.testing.assert_array_equal(back.forecast(3, exog=u[:3]).mean, model.forecast(3, exog=u[:3]).mean)
    assert back.monitor_.history == model.monitor_.history
    with pytest.raises(NotFittedError):
        structural.local_level().save(path)


@pytest.mark.parametrize("kinds", [["trend", "dummies"], ["constant", "ar"], ["level", "regression"]])
def test_the_same_model_as_a_state_space(kinds, rng):
    assembly, values, y, inputs = drawn(rng, kinds)
    model = StructuralTimeSeries(list(assembly.components))
    model.parameters_ = values
    exog = inputs if assembly.n_inputs else None
    other, m = model.state_space(exog), model.messages(y, exog)
    assert other.score(y) == pytest.approx(m.total, rel=1e-10)
    np.testing.assert_allclose(other.smooth(y).mean, m.belief["x"].mean, rtol=1e-8, atol=1e-8)
    if exog is not None:
        with pytest.raises(DataError, match="takes 2 column"):
            model.state_space()


def test_misread_arguments_are_named():
    model = structural.local_level()
    model.parameters_ = {"level.variance": 1.0, "irregular.variance": 2.0}
    y = [1.0, 3.0, 2.0]
    with pytest.raises(DataError, match="another series to go on from is y="):
        model.forecast(y, 3)
    for read in (lambda: model.forecast(3, 95, y=y), lambda: model.decompose(y, level=2)):
        with pytest.raises(DataError, match="level is a number between 0 and 1"):
            read()
    with pytest.raises(DataError, match="dict of values by name"):
        model.parameters_ = [1.0, 2.0]
    with pytest.raises(DataError, match=r"parameter level.variance is not an array of numbers"):
        model.parameters_ = {"level.variance": "a"}
    with pytest.raises(DataError, match="coef is 2 numbers"):
        structural.AR(order=2, coef=[0.2])
    with pytest.raises(DataError, match=r"Seasonal\(period=12\)"):
        structural.Seasonal(12)
    driven = structural.StructuralTimeSeries(
        [structural.LocalLevel(), structural.Regression(), structural.Irregular()]
    )
    driven.parameters_ = {"level.variance": 1.0, "irregular.variance": 2.0}
    with pytest.raises(DataError, match=r"give exog=, an array \(3, 1\) of the steps ahead"):
        driven.forecast(3, y=y, past_exog=[0.0, 0.0, 1.0])


def test_a_single_observation():
    model = structural.local_level()
    model.parameters_ = {"level.variance": 1.0, "irregular.variance": 2.0}
    np.testing.assert_allclose(model.score([5.0]), -0.5 * np.log(2 * np.pi))
    np.testing.assert_allclose(model.decompose([5.0])["level"].mean, 5.0)
    np.testing.assert_allclose(model.decompose([5.0])["level"].variance, 2.0)
    assert np.isnan(model.residuals([5.0]).error).all()
