"""The floor under covariances."""

import numpy as np

from hmm.emissions.covariance import floored, variance_floor


def test_flooring_eigenvalues_is_the_constrained_maximum(rng):
    S, floor = np.diag([2.0, 1e-4]), np.array([0.1, 0.1])
    rotation = np.linalg.qr(rng.normal(size=(2, 2)))[0]
    S = rotation @ S @ rotation.T

    def objective(covariance):
        return -np.linalg.slogdet(covariance)[1] - np.trace(np.linalg.solve(covariance, S))

    best = floored(S[None], floor)[0]
    for _ in range(200):
        root = rng.normal(size=(2, 2)) * rng.choice([0.01, 0.1, 1])
        assert objective(best) >= objective(best + root @ root.T) - 1e-12
        assert objective(best) >= objective(np.diag(floor) + root @ root.T) - 1e-12


def test_the_floor_follows_each_feature(rng):
    X = rng.normal(size=(100, 2)) * [1.0, 1e3]
    floor = variance_floor(X, None)
    np.testing.assert_allclose(floor, 1e-6 * X.var(axis=0))
    X[:, 1] = np.nan
    assert variance_floor(X, None)[1] > 0
