"""Coordinates go there and back, and slopes are differences."""

import numpy as np
import pytest

from msgpass.errors import DataError
from msgpass.learning.distributions import Distributions
from msgpass.learning.domains import Covariance, Normalised, Positive, Real, Unit


def covariances(rng, *shape):
    A = rng.normal(size=shape)
    return A @ np.swapaxes(A, -1, -2) + np.eye(shape[-1])


def cases(rng):
    log_p = np.log(rng.dirichlet([1, 1, 1], 2))
    log_p[0, 1] = -np.inf
    log_p[0] -= np.logaddexp.reduce(log_p[0])
    holes = rng.normal(size=(2, 2))
    holes[1, 0] = -np.inf
    return [
        (Real(), holes),
        (Normalised(Distributions("p", (-1,))), log_p),
        (Positive(), rng.random((2, 3)) + 0.1),
        (Positive(), np.array(2.0)),
        (Unit(), rng.uniform(0.1, 0.9, 4)),
        (Covariance(), covariances(rng, 3, 3)),
        (Covariance(), covariances(rng, 2, 2, 2)),
    ]


@pytest.mark.parametrize("case", range(7))
def test_there_and_back_and_along_the_slope(rng, case):
    domain, value = cases(rng)[case]
    domain.check("x", value)
    point = domain.coordinates(value)
    np.testing.assert_allclose(domain.value(point, value), value, rtol=1e-12)
    weight = rng.normal(size=value.shape)
    if isinstance(domain, Covariance):
        weight = weight + np.swapaxes(weight, -1, -2)

    def f(u):
        moved = domain.value(u, value)
        return float(np.sum(weight * np.where(np.isfinite(moved), moved, 0.0)))

    found = domain.pull(value, np.where(np.isfinite(value), weight, 0.0))
    for k, slope in enumerate(found):
        step = np.eye(len(point))[k] * 1e-6
        assert slope == pytest.approx((f(point + step) - f(point - step)) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (Positive(), [0.0, 1.0]),
        (Unit(), [0.5, 1.0]),
        (Covariance(), [1.0]),
        (Covariance(), [[1.0, 2.0], [0.0, 1.0]]),
        (Covariance(), [[1.0, 2.0], [2.0, 1.0]]),
    ],
)
def test_what_does_not_start_there(domain, value):
    with pytest.raises(DataError, match="'x' is to"):
        domain.check("x", np.array(value))
