"""A quadrotor in the plane: two rotors on a bar (Tedrake, Underactuated Robotics, ch. 3).

m ẍ = −(u₁ + u₂) sin θ,   m ÿ = (u₁ + u₂) cos θ − m g,   I θ̈ = r (u₁ − u₂)
"""

from __future__ import annotations

import numpy as np

from rnn.systems.control.checks import positive, real
from rnn.systems.control.plant import Plant


def quadrotor(
    dt: float = 0.05,
    mass=0.486,
    arm=0.25,
    inertia=0.00383,
    gravity=9.81,
    method="rk4",
    substeps: int = 1,
) -> Plant:
    """State (x, y, θ, ẋ, ẏ, θ̇), θ = 0 level; controls the thrusts of the two rotors, mg/2 each to hover.

    Parameters
    ----------
    dt : float
        Seconds a step.
    mass, inertia : float
        kg and kg m².
    arm : float
        From the centre to a rotor (m).
    gravity : float
    method, substeps
        As for :meth:`Plant.from_ode`.

    Examples
    --------
    >>> hover = np.full((1, 2), 0.486 * 9.81 / 2)
    >>> quadrotor()(np.zeros((1, 6)), hover, np.zeros(1)).round(12) + 0.0
    array([[0., 0., 0., 0., 0., 0.]])
    """
    m, r, i = positive("mass", mass), positive("arm", arm), positive("inertia", inertia)
    g = float(real("gravity", gravity))

    def rate(x, u):
        angle, lift, twist = x[..., 2], u[..., 0] + u[..., 1], u[..., 0] - u[..., 1]
        speeds = [x[..., k] for k in (3, 4, 5)]
        forces = [-lift * np.sin(angle) / m, lift * np.cos(angle) / m - g, r * twist / i]
        return np.stack([*speeds, *forces], axis=-1)

    return Plant.from_ode(rate, 6, 2, positive("dt", dt), method, substeps, vectorized=True, name="quadrotor")
