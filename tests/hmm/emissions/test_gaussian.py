"""Covariance types, the floor under variances, priors, and what a Gaussian model refuses."""

import numpy as np
import pytest

from hmm import GaussianHMM
from hmm.emissions.gaussian import Gaussian
from hmm.emissions.gaussian_prior import GaussianPrior
from msgpass.errors import DataError, ShapeError
from tests.hmm.drawn import make

TYPES = ("spherical", "diag", "full", "tied")


@pytest.mark.parametrize("covariance_type", TYPES)
def test_covars_are_set_in_their_own_shape_and_read_as_matrices(covariance_type, rng):
    model = make(covariance_type, 3, 2, rng)
    assert model.covars_.shape == (3, 2, 2) and model.n_features == 2
    np.linalg.cholesky(model.covars_)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(
    "X",
    [
        np.zeros((30, 2)),
        np.repeat([[1e-9, 5.0], [2e-9, 5.0]], 15, axis=0),
        np.repeat([[0.1, 1e8]], 30, axis=0),
        np.stack([np.arange(30.0), 2 * np.arange(30.0)], axis=1),
    ],
    ids=["zeros", "two points", "constant", "collinear"],
)
def test_degenerate_data_are_floored(covariance_type, X):
    model = GaussianHMM(2, covariance_type=covariance_type, random_state=0, n_iter=20, tol=0).fit(X)
    assert np.isfinite(model.score(X)) and np.isfinite(model.covars_).all()
    assert (np.linalg.eigvalsh(model.covars_) > 0).all()
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_min_covar_is_the_least_eigenvalue(covariance_type, rng):
    X = rng.normal(size=(60, 2)) * [1e-3, 2.0]
    model = GaussianHMM(
        2, covariance_type=covariance_type, min_covar=0.5, random_state=0, n_iter=5, tol=0
    ).fit(X)
    assert np.linalg.eigvalsh(model.covars_).min() >= 0.5 - 1e-12


@pytest.mark.parametrize("covariance_type", TYPES)
def test_units_do_not_matter(covariance_type, rng):
    X = np.concatenate([rng.normal(0, 1, (40, 2)), rng.normal(4, 2, (40, 2))])
    settings = {"covariance_type": covariance_type, "random_state": 0, "n_iter": 8, "tol": 0}
    large, small = (GaussianHMM(2, **settings).fit(X * unit) for unit in (1.0, 1e-6))
    np.testing.assert_allclose(small.means_ * 1e6, large.means_, rtol=1e-6)
    np.testing.assert_allclose(small.covars_ * 1e12, large.covars_, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("matrices", [False, True])
def test_priors_pull(matrices):
    prior = GaussianPrior(means_prior=1.0, means_weight=2.0, covars_prior=3.0, covars_weight=5.0).check(
        1, 1, matrices
    )
    covars = np.ones((1, 1, 1)) if matrices else np.ones((1, 1))
    emission = Gaussian(np.zeros((1, 1)), covars, "full" if matrices else "diag", 0.0, prior)
    fitted = emission.fit(emission.prepare(np.array([[4.0], [6.0]])), np.ones((2, 1)), "mc")
    mean = (2 * 1 + 10) / (2 + 2)
    assert fitted.means[0, 0] == pytest.approx(mean)
    scatter = (4 - mean) ** 2 + (6 - mean) ** 2 + 2 * (mean - 1) ** 2 + 3
    assert fitted.covars.ravel()[0] == pytest.approx(scatter / (2 + 4))


def test_defaults_are_maximum_likelihood(rng):
    X = rng.normal(3, 1e-3, (50, 2))
    model = GaussianHMM(1).fit(X)
    np.testing.assert_allclose(model.means_[0], X.mean(axis=0))
    np.testing.assert_allclose(np.diag(model.covars_[0]), X.var(axis=0))


def test_a_flat_array_is_ambiguous(rng):
    with pytest.raises(ShapeError, match=r"X.reshape\(-1, 1\)"):
        GaussianHMM(2).fit(rng.normal(size=10))


@pytest.mark.parametrize(
    ("covariance_type", "covars", "error", "text"),
    [
        ("spherical", [1.0], ShapeError, r"wanted \(2,\)"),
        ("diag", [[1.0, 1.0], [1.0, 0.0]], DataError, "variances are above zero"),
        ("full", np.ones((2, 2, 2)), DataError, "positive definite"),
        ("tied", [[1.0, 0.5], [0.4, 1.0]], DataError, "symmetric"),
        ("round", [1.0, 1.0], DataError, "'spherical', 'diag', 'full', 'tied'"),
    ],
)
def test_covars_are_checked_when_they_are_set(covariance_type, covars, error, text):
    with pytest.raises(error, match=text):
        GaussianHMM(2, covariance_type=covariance_type).covars_ = covars


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"covariance_type": "oval"}, "'spherical', 'diag', 'full', 'tied'"),
        ({"min_covar": -1.0}, "min_covar"),
        ({"means_weight": -1.0}, "means_weight"),
        ({"covars_prior": np.nan}, "covars_prior"),
        ({"covars_weight": [1.0, 2.0]}, "covars_weight"),
    ],
)
def test_settings_are_checked(settings, text, rng):
    with pytest.raises((DataError, ShapeError), match=text):
        GaussianHMM(2, **settings).fit(rng.normal(size=(10, 2)))
