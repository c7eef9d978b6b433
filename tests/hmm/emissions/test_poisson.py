"""Rates of zero, the gamma prior, and what a Poisson model refuses."""

import numpy as np
import pytest

from hmm import PoissonHMM
from hmm.emissions.poisson import Poisson
from msgpass.errors import DataError, ShapeError


def test_a_rate_of_zero_emits_zeros_only():
    emission = Poisson(np.array([[0.0, 1.0], [2.0, 1.0]]))
    density = emission.log_density(emission.prepare(np.array([[0.0, 1.0], [3.0, 1.0], [np.nan, 1.0]])))
    assert (
        density[0, 0] == pytest.approx(-1) and density[1, 0] == -np.inf and density[2, 0] == pytest.approx(-1)
    )
    assert np.isfinite(density[:, 1]).all()


def test_a_state_that_only_sees_zeros_gets_rate_zero_and_the_fit_goes_on():
    X = np.array([0] * 20 + [9, 8, 10, 9] * 5)
    model = PoissonHMM(2, random_state=0).fit(X)
    assert np.sort(model.lambdas_.ravel()) == pytest.approx([0, 9], abs=1e-3)
    assert np.isfinite(model.score(X))


def test_the_prior_counts_as_more_observations():
    emission = Poisson(np.array([[1.0]]), total=6.0, weight=3.0)
    fitted = emission.fit(emission.prepare(np.array([[4.0], [5.0]])), np.ones((2, 1)), "l")
    assert fitted.lambdas[0, 0] == pytest.approx((4 + 5 + 6) / (2 + 3))


@pytest.mark.parametrize("X", [[[-1]], [[0.5]], [[2.0], [-3.0]]])
def test_counts_are_whole_and_not_negative(X):
    with pytest.raises(DataError, match="counts are whole numbers ≥ 0"):
        PoissonHMM(1).fit(X)


@pytest.mark.parametrize(
    ("lambdas", "error", "text"),
    [
        ([[1.0], [-2.0]], DataError, "not negative"),
        ([[1.0]], ShapeError, r"shape \(1, 1\), wanted \(2, 1\)"),
        ([[1.0], [np.inf]], DataError, "infinite"),
    ],
)
def test_rates_are_checked(lambdas, error, text):
    model = PoissonHMM(2)
    model.startprob_, model.transmat_, model.lambdas_ = [0.5, 0.5], np.full((2, 2), 0.5), lambdas
    with pytest.raises(error, match=text):
        model.score([1, 2])


def test_flat_rates_and_flat_counts():
    model = PoissonHMM(2)
    model.startprob_, model.transmat_, model.lambdas_ = [0.5, 0.5], np.full((2, 2), 0.5), [1.0, 3.0]
    assert model.score([1, 2]) == model.score([[1], [2]])
    assert model.n_features == 1
