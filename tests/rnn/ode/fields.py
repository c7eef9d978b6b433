"""Right-hand sides that the tests share."""

import numpy as np

LV = np.array([1.5, 1.0, 3.0, 1.0])
ROBERTSON = np.array([0.04, 1e4, 3e7])


def lotka_volterra(t, y, p):
    """u' = αu − βuv, v' = −γv + δuv."""
    return np.stack([p[0] * y[0] - p[1] * y[0] * y[1], -p[2] * y[1] + p[3] * y[0] * y[1]])


def robertson(t, y, p):
    """The stiff kinetics of Robertson 1966."""
    a, b, c = p[0] * y[0], p[1] * y[1] * y[2], p[2] * y[1] ** 2
    return np.stack([-a + b, a - b - c, c])


def forced(t, y, p):
    """Depends on time, and couples; any leading axes."""
    return np.tanh(y @ p["W"] + p["b"]) * np.cos(t) - 0.3 * y


def forced_params(rng, width=2):
    """For :func:`forced`."""
    return {"W": rng.normal(size=(width, width)), "b": rng.normal(size=width)}


def differences(function, point, step=1e-6):
    """Central differences of a number by an array."""
    found = np.zeros_like(point)
    for j in range(point.size):
        sides = []
        for sign in (1, -1):
            moved = point.copy()
            moved.flat[j] += sign * step
            sides.append(function(moved))
        found.flat[j] = (sides[0] - sides[1]) / (2 * step)
    return found
