"""The compiled densities and moments of normal emissions are those of NumPy, whatever the shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm import GaussianHMM
from hmm.emissions import diagonal_normal, matrix_normal
from hmm.emissions.cells import Cells
from hmm.emissions.covariance import COVARIANCE_TYPES
from hmm.kernels import normal, policy
from msgpass.errors import ShapeError

NEVER = 1 << 60
SHAPES = {"n_steps": st.integers(1, 200), "n_states": st.integers(1, 19), "n_features": st.integers(1, 5)}
seeds = st.integers(0, 2**32 - 1)


def model(rng, n_states, n_features):
    means = 3 * rng.normal(size=(n_states, n_features))
    factors = rng.normal(size=(n_states, n_features, 2 * n_features))
    return means, factors @ np.swapaxes(factors, 1, 2)


def data(rng, n_steps, n_features, missing):
    X = 3 * rng.normal(size=(n_steps, n_features))
    X[rng.random(X.shape) < missing] = np.nan
    return Cells.of(X)


def compiled_and_not(function, *arguments):
    """What a function gives by the compiled pass, in one part and in two, and by NumPy."""
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for compiled, threaded in ((0, NEVER), (0, 0), (NEVER, NEVER)):
            patch.setattr(policy, "COMPILED", compiled)
            patch.setattr(normal, "THREADED", threaded)
            found.append(function(*arguments))
    return found


def agree(function, *arguments, scale=1.0):
    whole, halves, numpy = compiled_and_not(function, *arguments)
    np.testing.assert_allclose(whole, numpy, rtol=1e-11, atol=1e-11 * scale)
    np.testing.assert_allclose(halves, numpy, rtol=1e-11, atol=1e-11 * scale)


@settings(max_examples=40)
@given(**SHAPES, missing=st.sampled_from([0.0, 0.3, 1.0]), seed=seeds)
def test_independent_features(n_steps, n_states, n_features, missing, seed):
    rng = np.random.default_rng(seed)
    means, covariances = model(rng, n_states, n_features)
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    cells, weights = data(rng, n_steps, n_features, missing), rng.random((n_steps, n_states))
    agree(diagonal_normal.log_density, cells, means, variances)
    agree(lambda *a: np.stack(diagonal_normal.moments(*a)), cells, weights, scale=10 * n_steps)
    agree(diagonal_normal.scatter, cells, weights, means)


@settings(max_examples=40)
@given(**SHAPES, seed=seeds)
def test_correlated_features(n_steps, n_states, n_features, seed):
    rng = np.random.default_rng(seed)
    means, covariances = model(rng, n_states, n_features)
    cells, weights = data(rng, n_steps, n_features, 0.0), rng.random((n_steps, n_states))
    worst = 1 / np.linalg.eigvalsh(covariances).min()
    agree(matrix_normal.log_density, cells, means, covariances, scale=worst * 100)
    agree(matrix_normal.scatter, cells, weights, means, scale=100 * n_steps)


def test_weights_of_any_layout_and_of_any_type():
    rng = np.random.default_rng(0)
    cells, weights = data(rng, 50, 2, 0.0), rng.integers(0, 3, (4, 50)).T
    agree(diagonal_normal.scatter, cells, weights, np.zeros((4, 2)))


def test_rows_of_weights_that_are_missing_are_an_error():
    with pytest.raises(ShapeError, match="3 rows of weights for 5 rows of data"):
        normal.weighted_sums(np.ones((3, 2)), np.ones((1, 5)))


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_nothing_cancels_far_from_the_origin(covariance_type):
    """With a mean of 10⁸ and a variance of 1, E[x²] − μ² has no digit left."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(6000, 2))
    far, near = (
        GaussianHMM(2, covariance_type, random_state=0, n_iter=3, tol=0, min_covar=1e-9).fit(X + shift)
        for shift in (1e8, 0.0)
    )
    assert policy.worth(len(X), 2, 2)
    np.testing.assert_allclose(far.covars_, near.covars_, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_a_fit_is_the_same_by_either(covariance_type):
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(m, 1 + m / 5, (40, 3)) for m in (0, 4, 0, 4)])

    def fitted():
        found = GaussianHMM(2, covariance_type, random_state=0, n_iter=8, tol=-np.inf).fit(X)
        return np.concatenate([np.ravel(found.monitor_.history), found.means_.ravel(), found.covars_.ravel()])

    agree(fitted, scale=100)


def test_matrices_of_many_features_stay_with_blas():
    assert policy.worth(policy.COMPILED, 1, policy.MOST_FEATURES)
    assert not policy.worth(policy.COMPILED, 1, policy.MOST_FEATURES + 1)
    assert not policy.worth(policy.COMPILED - 1, 1)
