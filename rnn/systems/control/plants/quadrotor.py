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
    params = {
        "mass": positive("mass", mass),
        "arm": positive("arm", arm),
        "inertia": positive("inertia", inertia),
        "gravity": real("gravity", gravity),
    }

    def rate(x, u, p):
        angle, lift, twist = x[..., 2], u[..., 0] + u[..., 1], u[..., 0] - u[..., 1]
        m, turn = p["mass"], p["arm"] / p["inertia"]
        speeds = [x[..., k] for k in (3, 4, 5)]
        forces = [-lift * np.sin(angle) / m, lift * np.cos(angle) / m - p["gravity"], turn * twist]
        return np.stack([*speeds, *forces], axis=-1)

    return Plant.from_ode(
        rate, 6, 2, positive("dt", dt), method, substeps, vectorized=True, name="quadrotor", params=params,
        pose=pose,
    )  # fmt: skip


def pose(x, p) -> list[np.ndarray]:
    """The bar and a rotor at each end."""
    r, c, s = p["arm"], np.cos(x[2]), np.sin(x[2])
    turned = np.array([[c, s], [-s, c]])
    shapes = [[[-r, 0], [r, 0]], *([[a, 0], [a, r / 3]] for a in (-r, r))]
    shapes += [[[a - r / 3, r / 3], [a + r / 3, r / 3]] for a in (-r, r)]
    return [np.array(shape) @ turned + x[:2] for shape in shapes]
