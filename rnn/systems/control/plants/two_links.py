"""Two rods, one hinged to the other, as both the acrobot and the arm have them (Spong 1995; Tedrake,
Underactuated Robotics, ch. 3).

M(q) q̈ = τ − C(q, q̇) − G(q) − d q̇
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import ShapeError
from rnn.systems.control.checks import positive, real


def parameters(masses, lengths, damping, gravity) -> dict[str, np.ndarray]:
    """Checked, by name."""
    for name, value in (("masses", masses), ("lengths", lengths)):
        if np.shape(value) != (2,):
            raise ShapeError(f"{name} must be two numbers, one a link, got {value!r}")
    return {
        "masses": np.array([positive("masses", m) for m in masses]),
        "lengths": np.array([positive("lengths", l) for l in lengths]),
        "damping": real("damping", damping),
        "gravity": real("gravity", gravity),
    }


def accelerations(x, first, second, p):
    """State's rate (…, 4) from torques at the shoulder and at the elbow, each (…) or a number."""
    q1, q2, v1, v2 = (x[..., k] for k in range(4))
    m1, m2, l1, l2 = p["masses"][0], p["masses"][1], p["lengths"][0], p["lengths"][1]
    g, d = p["gravity"], p["damping"]
    # Rods: centres half-way, moments of inertia about the joints.
    c1, c2, i1, i2 = l1 / 2, l2 / 2, m1 * l1**2 / 3, m2 * l2**2 / 3
    s2, cos2, bend = np.sin(q2), np.cos(q2), m2 * l1 * c2
    a, b, c = i1 + i2 + m2 * l1**2 + 2 * bend * cos2, i2 + bend * cos2, i2
    pull2 = m2 * g * c2 * np.sin(q1 + q2)
    pull1 = (m1 * c1 + m2 * l1) * g * np.sin(q1) + pull2
    f1 = first + bend * s2 * (2 * v1 * v2 + v2**2) - pull1 - d * v1
    f2 = second - bend * s2 * v1**2 - pull2 - d * v2
    det = a * c - b**2
    return np.stack([v1, v2, (c * f1 - b * f2) / det, (a * f2 - b * f1) / det], axis=-1)


def joints(x, lengths=(1.0, 1.0)):
    """(…, 4) places of elbow and tip, (x, y) each, of states (…, 4); the shoulder is at (0, 0).

    Examples
    --------
    >>> joints(np.array([np.pi / 2, np.pi / 2, 0.0, 0.0])).round(9) + 0.0
    array([1., 0., 1., 1.])
    """
    a, b = x[..., 0], x[..., 0] + x[..., 1]
    at = lengths[0] * np.sin(a), -lengths[0] * np.cos(a)
    return np.stack([*at, at[0] + lengths[1] * np.sin(b), at[1] - lengths[1] * np.cos(b)], axis=-1)


def pose(x, p) -> list[np.ndarray]:
    """Shoulder, elbow, tip."""
    return [np.vstack([np.zeros((1, 2)), joints(x, p["lengths"]).reshape(2, 2)])]
