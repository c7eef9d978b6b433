"""Hybrid systems that the tests share."""

import numpy as np

from rnn.ode.events import Event, HybridSystem

BALL = HybridSystem(
    lambda t, y, p: np.stack([y[1], -p["g"]]),
    Event(lambda t, y, p: y[0], lambda t, y, p: np.stack([y[0], -p["e"] * y[1]]), "down", name="bounce"),
)

FIRE = HybridSystem(
    lambda t, u, p: p["I"] - u,
    Event(lambda t, u, p: u - p["level"], lambda t, u, p: p["reset"], "up", name="spike"),
)


def driven(t, y, p):
    """Nonlinear, and depends on time."""
    return np.stack([y[1], -p["k"] * np.sin(y[0]) - p["c"] * y[1] + 0.3 * np.cos(2 * t)])


KICKED = HybridSystem(
    driven,
    [
        Event(
            lambda t, y, p: y[0] - p["wall"] - 0.05 * t,
            lambda t, y, p: np.stack([y[0] - 0.1 * p["e"], -p["e"] * y[1] * (1 + 0.1 * np.sin(t))]),
            "up",
            name="wall",
        ),
        Event(
            lambda t, y, p: y[1] + p["slow"] * y[0],
            lambda t, y, p: y * (1 + p["slow"]) + np.stack([0.0 * t, 0.01 * t]),
            "down",
            name="slow",
        ),
        Event(lambda t, y, p: y[0] + 0.2 * t - 0.3, name="marked"),
    ],
)
"""Walls that move, jumps that depend on time, state and parameters, and a zero at which nothing jumps."""

KICKED_START = np.array([0.2, 0.9])
KICKED_PARAMS = {"k": 3.0, "c": 0.1, "wall": 0.4, "e": 0.8, "slow": 0.3}


def bounces(z, v, g, e, n):
    """(times, speeds just after) of the first n bounces, by the formula."""
    times, speed = [(v + np.sqrt(v * v + 2 * g * z)) / g], np.sqrt(v * v + 2 * g * z)
    speeds = [e * speed]
    for _ in range(n - 1):
        times.append(times[-1] + 2 * speeds[-1] / g)
        speeds.append(e * speeds[-1])
    return np.array(times), np.array(speeds)
