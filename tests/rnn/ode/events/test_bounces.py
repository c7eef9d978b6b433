"""Ten bounces of a ball against the formula: times, states, gradients."""

import numpy as np
import pytest

from tests.rnn.ode.events.systems import BALL, bounces
from tests.rnn.ode.fields import differences

START, PARAMS, END = np.array([5.0, -0.1]), {"g": 10.0, "e": 0.8}, 8.0
POINT = np.array([*START, *PARAMS.values()])


def height(point, t):
    """After ten bounces."""
    times, speeds = bounces(*point, 10)
    after = t - times[-1]
    return speeds[-1] * after - point[2] * after**2 / 2


@pytest.fixture(scope="module", params=["dopri5", "rk4"])
def run(request):
    step = {"rk4": 0.25}.get(request.param)
    return BALL.solve(START, [0.0, 3.0, END], PARAMS, request.param, step=step)


def gathered(found):
    return np.array([*found.y0, found.params["g"], found.params["e"]])


def test_times_and_states(run):
    times, speeds = bounces(*POINT, 10)
    assert len(run.events) == 10
    np.testing.assert_allclose(run.times(), times, rtol=1e-12)
    np.testing.assert_allclose(run.outcome.after[:, 1], speeds, rtol=1e-12)
    np.testing.assert_allclose(run.outcome.before[:, 1], -speeds / 0.8, rtol=1e-12)
    np.testing.assert_allclose(run.outcome.before[:, 0], 0.0, atol=1e-13)
    np.testing.assert_allclose(run.y[-1, 0], height(POINT, END), rtol=1e-10)


def test_gradient_of_the_end(run):
    expected = differences(lambda point: height(point, END), POINT)
    np.testing.assert_allclose(gathered(run.gradient(lambda o: o.states[-1, 0])), expected, rtol=1e-7)


@pytest.mark.parametrize("n", [1, 4, 10])
def test_gradient_of_event_times(run, n):
    expected = differences(lambda point: bounces(*point, n)[0][-1], POINT)
    np.testing.assert_allclose(gathered(run.gradient(lambda o: o.times[n - 1])), expected, rtol=1e-7)


def test_costates_jump_by_the_saltation_matrix(run):
    found = run.gradient(lambda o: o.states[-1, 0])
    for i in range(10):
        before, after = found.segments[i][1][-1], found.segments[i + 1][1][0]
        np.testing.assert_allclose(before, run.saltation(i).T @ after, rtol=1e-9)
        # Of a bounce, by hand: (−e, 0; −g(1 + e)/v, −e).
        speed = run.events[i].before[1]
        expected = [[-0.8, 0.0], [-10.0 * 1.8 / speed, -0.8]]
        np.testing.assert_allclose(run.saltation(i), expected, rtol=1e-12, atol=1e-12)
