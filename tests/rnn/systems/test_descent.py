"""L-BFGS-B within bounds; what is taken for convergence."""

import numpy as np
import pytest

from msgpass.errors import DataError, NumericalError, ShapeError
from rnn.systems.descent import descend


def test_a_quadratic_within_bounds():
    H, g = np.diag([1.0, 4.0]), np.array([-3.0, 4.0])
    found = descend(lambda x: (0.5 * x @ H @ x + g @ x, H @ x + g), np.zeros(2), lower=[-9, -0.5])
    assert found.converged and (np.diff(found.values) <= 0).all()
    np.testing.assert_allclose(found.x, [3.0, -0.5], atol=1e-7)


def test_rounding_is_no_failure_and_a_kink_is_one():
    """Near a large constant a step gains nothing that can be seen; at a kink the slope does not shrink."""
    smooth = descend(lambda x: (1e9 + float(x @ x), 2 * x), np.array([30.0, -20.0]), tol=1e-12)
    assert smooth.converged
    kinked = descend(lambda x: (float(np.abs(x).sum()), np.where(x > 0, 1.0, -1.0)), np.array([0.3, -0.7]))
    assert kinked.value < 0.3
    assert not kinked.converged or kinked.value < 1e-6


def test_a_cost_that_is_not_finite():
    with pytest.raises(NumericalError, match="nan"):
        descend(lambda x: (np.nan, x), np.ones(2))


@pytest.mark.parametrize(
    "settings, error, text",
    [
        ({"lower": 2.0, "upper": 1.0}, DataError, "lower ≤ upper, got 2 and 1"),
        ({"upper": np.nan}, DataError, "numbers"),
        ({"lower": [0.0, 1.0]}, DataError, r"\(2,\).*wanted \(3,\)"),
        ({"n_iter": 0}, ShapeError, "n_iter"),
        ({"tol": -1.0}, DataError, "tol"),
    ],
)
def test_settings(settings, error, text):
    with pytest.raises(error, match=text):
        descend(lambda x: (0.0, x), np.ones(3), **settings)
