"""A pendulum driven at its pivot: m l² θ̈ = u − d θ̇ − m g l sin θ."""

from __future__ import annotations

import numpy as np

from rnn.systems.control.checks import positive, real
from rnn.systems.control.plant import Plant


def pendulum(
    dt: float = 0.05, mass=1.0, length=1.0, damping=0.0, gravity=9.81, method="rk4", substeps: int = 1
) -> Plant:
    """State (θ, θ̇), θ = 0 hanging and π upright; control the torque at the pivot.

    Parameters
    ----------
    dt : float
        Seconds a step.
    mass, length : float
        A point mass (kg) on a rod without weight (m).
    damping : float
        Torque a unit of speed (N m s).
    gravity : float
    method, substeps
        As for :meth:`Plant.from_ode`.

    Examples
    --------
    >>> plant = pendulum(dt=0.01)
    >>> plant(np.array([[np.pi, 0.0]]), np.zeros((1, 1)), np.zeros(1)).round(6)
    array([[ 3.141593, -0.      ]])
    """
    params = {
        "mass": positive("mass", mass),
        "length": positive("length", length),
        "damping": real("damping", damping),
        "gravity": real("gravity", gravity),
    }

    def rate(x, u, p):
        angle, speed = x[..., 0], x[..., 1]
        l = p["length"]
        pull = (u[..., 0] - p["damping"] * speed) / (p["mass"] * l**2)
        return np.stack([speed, pull - p["gravity"] / l * np.sin(angle)], axis=-1)

    return Plant.from_ode(
        rate, 2, 1, positive("dt", dt), method, substeps, vectorized=True, name="pendulum", params=params,
        pose=pose,
    )  # fmt: skip


def pose(x, p) -> list[np.ndarray]:
    """The rod, from the pivot at (0, 0)."""
    return [p["length"] * np.array([[0.0, 0.0], [np.sin(x[0]), -np.cos(x[0])]])]
