"""A car that is driven by its rear axle and steered by its front wheels (Tassa, Mansard & Todorov 2014).

With rolling distances h v of the front wheels in a step h, axles d apart and front wheels at angle w, the
rear axle rolls b = d + h v cos w − √(d² − (h v sin w)²) and turns by arcsin(h v sin w / d), which is exact.
"""

from __future__ import annotations

import numpy as np

from rnn.systems.control.checks import positive
from rnn.systems.control.plant import Plant


def car(dt: float = 0.03, axles=2.0) -> Plant:
    """State (x, y, heading, speed) of the rear axle's middle and of the front wheels, controls (angle of the
    front wheels, acceleration).

    Parameters
    ----------
    dt : float
        Seconds a step.
    axles : float
        Distance between them (m).

    Notes
    -----
    A step needs |dt · speed · sin(angle)| < axles; limits of the wheels' angle, as cars have, keep it.

    Examples
    --------
    >>> car(0.1)(np.array([[0.0, 0.0, 0.0, 10.0]]), np.zeros((1, 2)), np.zeros(1))
    array([[ 1.,  0.,  0., 10.]])
    """
    dt = positive("dt", dt)

    def car(x, u, p):
        heading, speed, angle, d = x[..., 2], x[..., 3], u[..., 0], p["axles"]
        rolled = dt * speed
        across = rolled * np.sin(angle)
        b = d + rolled * np.cos(angle) - np.sqrt(d**2 - across**2)
        moved = [b * np.cos(heading), b * np.sin(heading), np.arcsin(across / d), dt * u[..., 1]]
        return x + np.stack(moved, axis=-1)

    return Plant(
        car, 4, 2, vectorized=True, name="car", dt=dt, params={"axles": positive("axles", axles)}, pose=pose
    )


def pose(x, p) -> list[np.ndarray]:
    """Its outline, and a wedge at the front."""
    d = p["axles"]
    back, front, side = -0.25 * d, 1.25 * d, 0.4 * d
    box = [[back, -side], [front, -side], [front, side], [back, side], [back, -side]]
    wedge = [[d, -0.6 * side], [front, 0.0], [d, 0.6 * side]]
    c, s = np.cos(x[2]), np.sin(x[2])
    turned = np.array([[c, s], [-s, c]])
    return [np.array(shape) @ turned + x[:2] for shape in (box, wedge)]
