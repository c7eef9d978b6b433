"""L-BFGS turns corners, records every iteration, and stops when it is told to."""

import numpy as np
import pytest

from rnn.optimizers import LBFGS


def rosenbrock(theta):
    """Its minimum is 0 at (1, 1), along a curved valley."""
    a, b = theta
    value = (1 - a) ** 2 + 100 * (b - a * a) ** 2
    return value, np.array([2 * (a - 1) - 400 * a * (b - a * a), 200 * (b - a * a)])


START = np.array([-1.2, 1.0])


def test_it_turns_the_corner_and_records_every_iteration():
    losses, places = [], []

    def record(loss, theta):
        losses.append(loss)
        places.append(theta.copy())

    outcome = LBFGS().minimize(rosenbrock, START, 200, 1e-12, record)
    assert outcome == (True, "converged")
    assert losses[0] == rosenbrock(START)[0] and losses[-1] < 1e-10 and len(losses) < 60
    assert losses == [rosenbrock(theta)[0] for theta in places]


def test_it_stops_after_n_iter():
    losses = []
    outcome = LBFGS().minimize(rosenbrock, START, 3, None, lambda loss, _: losses.append(loss))
    assert outcome == (False, "3 iterations") and len(losses) == 4


@pytest.mark.parametrize("after", [1, 4])
def test_it_stops_for_a_reason(after):
    losses = []

    def record(loss, _):
        losses.append(loss)
        return "enough" if len(losses) == after else None

    outcome = LBFGS().minimize(rosenbrock, START, 100, None, record)
    assert outcome == (False, "enough") and len(losses) == after
