"""The optimisers on functions with known minima, apart from any network."""

import numpy as np
import pytest

from rnn.optimizers import OPTIMIZERS, adam, lbfgs

SCALE = np.array([1.0, 10.0, 0.1])


def bowl(theta):
    """½ Σ s (θ − 1)²."""
    return 0.5 * float(SCALE @ (theta - 1) ** 2), SCALE * (theta - 1)


def rosenbrock(theta):
    """Its minimum is 0 at (1, 1), along a curved valley."""
    a, b = theta
    return (1 - a) ** 2 + 100 * (b - a * a) ** 2, np.array(
        [2 * (a - 1) - 400 * a * (b - a * a), 200 * (b - a * a)]
    )


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_finds_the_minimum_and_records_every_iteration(name):
    losses, seen = [], []

    def objective(theta):
        seen.append(theta.copy())
        return bowl(theta)

    outcome = OPTIMIZERS[name](objective, np.zeros(3), 2000, None, 0.05, losses.append)
    assert losses[0] == bowl(np.zeros(3))[0]
    assert min(losses) < 1e-8
    assert len(losses) <= 2001
    assert outcome.converged == (name == "lbfgs")
    np.testing.assert_array_equal(seen[0], np.zeros(3))


def test_lbfgs_turns_the_corner():
    losses = []
    outcome = lbfgs(rosenbrock, np.array([-1.2, 1.0]), 200, 1e-12, 0.0, losses.append)
    assert outcome == (True, "converged")
    assert losses[-1] < 1e-10
    assert len(losses) < 60


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_stops_after_n_iter(name):
    losses = []
    outcome = OPTIMIZERS[name](rosenbrock, np.array([-1.2, 1.0]), 3, None, 0.01, losses.append)
    assert outcome == (False, "3 iterations")
    assert len(losses) == 4


def test_adam_is_its_paper():
    """m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², θ ← θ − lr m̂ / (√v̂ + ε)."""
    seen, theta, m, v = [], np.array([-1.2, 1.0]), np.zeros(2), np.zeros(2)

    def objective(point):
        seen.append(point.copy())
        return rosenbrock(point)

    adam(objective, theta, 5, None, 0.02, lambda _: None)
    for k in range(5):
        np.testing.assert_allclose(seen[k], theta, rtol=1e-12)
        g = rosenbrock(theta)[1]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        theta = theta - 0.02 * (m / (1 - 0.9 ** (k + 1))) / (np.sqrt(v / (1 - 0.999 ** (k + 1))) + 1e-8)
    np.testing.assert_allclose(seen[5], theta, rtol=1e-12)
