"""A two-link arm with a motor at each joint, in a horizontal plane (or, with gravity, a vertical one)."""

from __future__ import annotations

from rnn.systems.control.checks import positive
from rnn.systems.control.plant import Plant
from rnn.systems.control.plants.two_links import accelerations, joints, parameters, pose


def arm(
    dt: float = 0.05,
    masses=(1.0, 1.0),
    lengths=(1.0, 1.0),
    damping=0.0,
    gravity=0.0,
    method="rk4",
    substeps: int = 1,
) -> Plant:
    """State (q₁, q₂, q̇₁, q̇₂) with q₁ = 0 downwards and q₂ the elbow, 0 where it is straight; controls the
    torques at shoulder and elbow.

    Parameters
    ----------
    dt : float
        Seconds a step.
    masses, lengths : two floats
        Of the links: uniform rods (kg, m).
    damping : float
        Torque a unit of speed at both joints (N m s).
    gravity : float
        0 in a horizontal plane.
    method, substeps
        As for :meth:`Plant.from_ode`.

    Notes
    -----
    :func:`arm_tip` says where a state's tip is, for costs of reaching a point.

    Examples
    --------
    >>> import numpy as np
    >>> after = arm()(np.zeros((1, 4)), np.array([[0.0, 1.0]]), np.zeros(1))
    >>> bool(after[0, 1] > 0 > after[0, 0])
    True
    """

    def rate(x, u, p):
        return accelerations(x, u[..., 0], u[..., 1], p)

    return Plant.from_ode(
        rate, 4, 2, positive("dt", dt), method, substeps, vectorized=True, name="arm",
        params=parameters(masses, lengths, damping, gravity), pose=pose,
    )  # fmt: skip


def arm_tip(x, lengths=(1.0, 1.0)):
    """(…, 2): where the tip of an arm (or an acrobot) in states (…, 4) is, the shoulder at (0, 0).

    Examples
    --------
    >>> import numpy as np
    >>> arm_tip(np.array([np.pi / 2, np.pi / 2, 0.0, 0.0])).round(9) + 0.0
    array([1., 1.])
    """
    return joints(x, lengths)[..., 2:]
