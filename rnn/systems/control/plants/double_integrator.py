"""A mass on a line: position and speed, driven by its acceleration; exact for a control held over the
step."""

from __future__ import annotations

import numpy as np

from rnn.systems.control.checks import positive
from rnn.systems.control.plant import Plant


def double_integrator(dt: float = 0.1) -> Plant:
    """State (position, speed), control acceleration.

    Parameters
    ----------
    dt : float
        Seconds a step.

    Examples
    --------
    >>> double_integrator()(np.array([[0.0, 1.0]]), np.array([[2.0]]), np.zeros(1))
    array([[0.11, 1.2 ]])
    """
    dt = positive("dt", dt)
    A, B = np.array([[1.0, dt], [0.0, 1.0]]), np.array([[dt**2 / 2], [dt]])
    return Plant(lambda x, u: x @ A.T + u @ B.T, 2, 1, vectorized=True, name="double integrator", dt=dt,
                 pose=pose)  # fmt: skip


def pose(x) -> list[np.ndarray]:
    """A box on the line."""
    corners = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0]])
    return [0.1 * corners + np.array([x[0], 0.0])]
