"""Two links, a motor at the elbow alone (Spong 1995; Tedrake, Underactuated Robotics, ch. 3).

M(q) q̈ = (0, u) − C(q, q̇) − G(q) − d q̇
"""

from __future__ import annotations

import numpy as np

from rnn.systems.control.checks import positive, real
from rnn.systems.control.plant import Plant


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
    >>> plant = acrobot()
    >>> plant(np.zeros((1, 4)), np.zeros((1, 1)), np.zeros(1))
    array([[0., 0., 0., 0.]])
    """
    m1, m2 = (positive("masses", m) for m in masses)
    l1, l2 = (positive("lengths", l) for l in lengths)
    g, d = float(real("gravity", gravity)), float(real("damping", damping))
    # Rods: centres half-way, moments of inertia about the joints.
    c1, c2, i1, i2 = l1 / 2, l2 / 2, m1 * l1**2 / 3, m2 * l2**2 / 3

    def rate(x, u):
        q1, q2, v1, v2 = (x[..., k] for k in range(4))
        s2, cos2, bend = np.sin(q2), np.cos(q2), m2 * l1 * c2
        a, b, c = i1 + i2 + m2 * l1**2 + 2 * bend * cos2, i2 + bend * cos2, i2
        pull2 = m2 * g * c2 * np.sin(q1 + q2)
        pull1 = (m1 * c1 + m2 * l1) * g * np.sin(q1) + pull2
        f1 = bend * s2 * (2 * v1 * v2 + v2**2) - pull1 - d * v1
        f2 = u[..., 0] - bend * s2 * v1**2 - pull2 - d * v2
        det = a * c - b**2
        return np.stack([v1, v2, (c * f1 - b * f2) / det, (a * f2 - b * f1) / det], axis=-1)

    return Plant.from_ode(rate, 4, 1, positive("dt", dt), method, substeps, vectorized=True, name="acrobot")
