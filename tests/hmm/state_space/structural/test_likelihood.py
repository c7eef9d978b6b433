"""Score and slope against a dense solve and differences."""

import numpy as np
import pytest
from hypothesis import given, settings

from hmm.state_space.structural.coordinates import Coordinates
from hmm.state_space.structural.likelihood import Likelihood
from hmm.structural import Irregular, LocalLevel, StructuralTimeSeries
from msgpass.errors import NumericalError
from tests.hmm.state_space.structural.drawn import diffuse_log_likelihood, drawn, models


@given(models())
@settings(max_examples=60)
def test_the_score_is_that_of_a_dense_solve(model):
    assembly, values, y, inputs = model
    found = Likelihood(assembly, y, inputs)(values)
    assert found == pytest.approx(diffuse_log_likelihood(assembly, values, y, inputs), rel=1e-8, abs=1e-7)


@given(models())
@settings(max_examples=30)
def test_the_slope_in_free_coordinates_is_the_derivative(model):
    assembly, values, y, inputs = model
    likelihood, coordinates = Likelihood(assembly, y, inputs), Coordinates(assembly, values)
    point = coordinates.vector(values)
    point = np.where(np.arange(len(point)) % 2, point, -point)  # variances are even functions
    at = coordinates.values(point)
    value, slopes = likelihood.slopes(at)
    assert value == pytest.approx(likelihood(at), rel=1e-12)
    found = coordinates.pullback(point, at, slopes)
    assert len(coordinates.labels()) == len(point) == len(found)
    for j, own in enumerate(found):
        step = 1e-5 * np.eye(len(point))[j]
        ends = [likelihood(coordinates.values(point + sign * step)) for sign in (1, -1)]
        assert own == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-5, abs=1e-5)


@given(models())
@settings(max_examples=20)
def test_a_series_in_another_unit(model):
    assembly, values, y, inputs = model
    found = Likelihood(assembly, 3.0 * y, inputs)(assembly.scaled(values, 3.0))
    d, seen = assembly.flat(values).sum(), (~np.isnan(y)).sum()
    assert found == pytest.approx(Likelihood(assembly, y, inputs)(values) - (seen - d) * np.log(3), abs=1e-7)


def test_slopes_of_what_is_held_are_left_out(rng):
    assembly, values, *_ = drawn(rng, ["constant", "ar"])
    coordinates = Coordinates(assembly, values, frozenset({"ar.coef"}))
    assert coordinates.labels() == ["ar.variance", "irregular.variance"]
    moved = coordinates.values(coordinates.vector(values) + 1)
    np.testing.assert_array_equal(moved["ar.coef"], values["ar.coef"])
    assert moved["constant.variance"] == 0


def test_a_variance_of_zero_is_at_the_edge(rng):
    assembly, values, _, _ = drawn(rng, ["level"])
    coordinates = Coordinates(assembly, values)
    assert coordinates.at_edge(values | {"level.variance": np.array(1e-15)}) == {"level.variance"}


def test_a_model_without_noise_says_so():
    model = StructuralTimeSeries([LocalLevel(variance=0), Irregular(variance=0)])
    model.parameters_ = {}
    with pytest.raises(NumericalError):
        model.score([1.0, 2.0, 4.0])
