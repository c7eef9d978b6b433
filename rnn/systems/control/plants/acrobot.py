"""Two links, a motor at the elbow alone: τ = (0, u)."""

from __future__ import annotations

from rnn.systems.control.checks import positive
from rnn.systems.control.plant import Plant
from rnn.systems.control.plants.two_links import accelerations, parameters, pose


def acrobot(
    dt: float = 0.05,
    masses=(1.0, 1.0),
    lengths=(1.0, 1.0),
    damping=0.0,
    gravity=9.81,
    method="rk4",
    substeps: int = 1,
) -> Plant:
    """State (q₁, q₂, q̇₁, q̇₂), q₁ = 0 hanging and π upright, q₂ the elbow; control the torque at the elbow.

    Parameters
    ----------
    dt : float
        Seconds a step.
    masses, lengths : two floats
        Of the links: uniform rods (kg, m).
    damping : float
        Torque a unit of speed at both joints (N m s).
    gravity : float
    method, substeps
        As for :meth:`Plant.from_ode`.

    Examples
    --------
    >>> import numpy as np
    >>> plant = acrobot()
    >>> plant(np.zeros((1, 4)), np.zeros((1, 1)), np.zeros(1))
    array([[0., 0., 0., 0.]])
    """

    def rate(x, u, p):
        return accelerations(x, 0.0, u[..., 0], p)

    return Plant.from_ode(
        rate, 4, 1, positive("dt", dt), method, substeps, vectorized=True, name="acrobot",
        params=parameters(masses, lengths, damping, gravity), pose=pose,
    )  # fmt: skip
