"""A pole that swings on a cart which is pushed along a track (Tedrake, Underactuated Robotics, ch. 3).

ẍ = (u + m sin θ (l θ̇² + g cos θ)) / (M + m sin²θ)
θ̈ = −(u cos θ + m l θ̇² cos θ sin θ + (M + m) g sin θ) / (l (M + m sin²θ))
"""

from __future__ import annotations

import numpy as np

from rnn.systems.control.checks import positive, real
from rnn.systems.control.plant import Plant


def cart_pole(
    dt: float = 0.05, cart=1.0, pole=0.3, length=0.5, gravity=9.81, method="rk4", substeps: int = 1
) -> Plant:
    """State (x, θ, ẋ, θ̇), θ = 0 hanging and π upright; control the force on the cart.

    Parameters
    ----------
    dt : float
        Seconds a step.
    cart, pole : float
        Masses M of the cart and m of the pole's tip (kg).
    length : float
        Of the pole (m).
    gravity : float
    method, substeps
        As for :meth:`Plant.from_ode`.

    Examples
    --------
    >>> cart_pole().linearise(np.zeros((1, 4)), np.zeros((1, 1)), np.zeros(1))[1].shape
    (1, 4, 1)
    """
    params = {
        "cart": positive("cart", cart),
        "pole": positive("pole", pole),
        "length": positive("length", length),
        "gravity": real("gravity", gravity),
    }

    def rate(x, u, p):
        angle, speed, spin = x[..., 1], x[..., 2], x[..., 3]
        M, m, l, g = p["cart"], p["pole"], p["length"], p["gravity"]
        s, c, force = np.sin(angle), np.cos(angle), u[..., 0]
        inertia = M + m * s**2
        push = (force + m * s * (l * spin**2 + g * c)) / inertia
        turn = -(force * c + m * l * spin**2 * c * s + (M + m) * g * s) / (l * inertia)
        return np.stack([speed, spin, push, turn], axis=-1)

    return Plant.from_ode(
        rate, 4, 1, positive("dt", dt), method, substeps, vectorized=True, name="cart-pole", params=params,
        pose=pose,
    )  # fmt: skip


def pose(x, p) -> list[np.ndarray]:
    """The cart as a box a third of the pole wide, and the pole."""
    w, h = p["length"] / 3, p["length"] / 6
    box = np.array([[-w, -h], [w, -h], [w, h], [-w, h], [-w, -h]]) + np.array([x[0], 0.0])
    tip = [x[0] + p["length"] * np.sin(x[1]), -p["length"] * np.cos(x[1])]
    return [box, np.array([[x[0], 0.0], tip])]
