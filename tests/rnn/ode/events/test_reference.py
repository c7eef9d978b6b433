"""Drops, bounces and resets with published answers."""

import numpy as np
import pytest

from rnn.ode.events import Event, HybridSystem
from tests.rnn.ode.events.systems import BALL

METHODS = [{}, {"method": "rk4", "step": 0.1}, {"method": "kvaerno5"}, {"method": "tsit5"}]


@pytest.mark.parametrize("options", METHODS)
@pytest.mark.parametrize("height", [1.0, 10.0])
def test_drop(height, options):
    """dt*/dx₀ = 1/(4√x₀) with g = 8."""
    fall = HybridSystem(
        lambda t, y, g: np.stack([y[1], -g]), Event(lambda t, y, g: y[0], direction="down", terminal=True)
    )
    run = fall.solve([height, 0.0], [0.0, 10.0], 8.0, **options)
    np.testing.assert_allclose(run.times(), [np.sqrt(height) / 2], rtol=1e-12)
    found = run.gradient(lambda outcome: outcome.times[0])
    np.testing.assert_allclose(found.y0[0], 1 / (4 * np.sqrt(height)), rtol=1e-9)
    np.testing.assert_allclose(found.params, -np.sqrt(height) / 32, rtol=1e-9)


@pytest.mark.parametrize("options", METHODS)
def test_bounce_then_go_on(options):
    run = BALL.solve([5.0, -0.1], [0.0, 1.9], {"g": 10.0, "e": 0.8}, **options)
    np.testing.assert_allclose(run.times("bounce"), [0.9900500], atol=5e-8)
    np.testing.assert_allclose(run.y[-1, 0], 3.1399190, atol=5e-8)
    found = run.gradient(lambda outcome: outcome.states[-1, 0])
    got = [*found.y0, found.params["g"], found.params["e"]]
    np.testing.assert_allclose(got, [0.8378281, 0.1015317, -0.1039068, 9.0999550], atol=5e-8)


@pytest.mark.parametrize("p", [0.55, 0.7, 0.95])
def test_reset_at_a_parameter(p):
    """u′ = 1, reset to 0 when u = p: u(1) = 1 − p."""
    reset = Event(lambda t, u, p: u - p, lambda t, u, p: 0.0 * u)
    system = HybridSystem(lambda t, u, p: 1.0 + 0.0 * u, reset)
    run = system.solve(0.0, [0.0, 1.0], p)
    np.testing.assert_allclose(run.y[-1], 1 - p, rtol=1e-12)
    np.testing.assert_allclose(run.gradient(lambda outcome: outcome.states[-1]).params, -1.0, rtol=1e-10)


def test_first_time_of_a_level():
    """u = q first at T = q: dT/dq = 1."""
    system = HybridSystem(lambda t, u, q: 1.0 + 0.0 * u, Event(lambda t, u, q: u - q, terminal=True))
    run = system.solve(0.0, [0.0, 3.0], 1.7)
    np.testing.assert_allclose(run.times(), [1.7], rtol=1e-12)
    np.testing.assert_allclose(run.gradient(lambda outcome: outcome.times[0]).params, 1.0, rtol=1e-12)
