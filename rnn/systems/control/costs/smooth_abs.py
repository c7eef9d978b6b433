"""``SmoothAbs``: Σ_k w_k (√((x_k − s_k)² + p_k²) − p_k), |x − s| with its kink rounded (Tassa, Mansard &
Todorov 2014): quadratic within p, then linear, so that what is far pulls no harder than what is near.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.control.checks import vector
from rnn.systems.control.costs.base import Cost, Expansion


class SmoothAbs(Cost):
    """A rounded distance of the states from a target, number by number.

    Parameters
    ----------
    weight : (n,) array
        0 where a state costs nothing.
    rounding : float or (n,) array
        p > 0, the width over which the kink is round.
    target : (n,) array, optional
        Zero by default.

    Examples
    --------
    >>> SmoothAbs([1.0, 0.0], 0.1).value(np.array([[3.0, 5.0]]), np.zeros((1, 0)), np.zeros(1)).round(3)
    array([2.902])
    """

    def __init__(self, weight, rounding=0.1, target=None):
        weight = np.atleast_1d(weight)
        n = weight.size
        given = np.broadcast_to(rounding, n) if np.ndim(rounding) == 0 else rounding
        self.parameters = {
            "weight": vector("weight", weight, n),
            "rounding": vector("rounding", given, n),
            "target": vector("target", np.zeros(n) if target is None else target, n),
        }
        if not (self.parameters["rounding"] > 0).all():
            raise DataError(f"rounding must be > 0, got {rounding!r}")

    def check(self, name, states, inputs):
        """As many weights as states."""
        n = len(self.parameters["weight"])
        if n != states:
            raise ShapeError(f"{name}: SmoothAbs has {n} weights, but the plant has {states} states")

    def _parts(self, x):
        w, p, s = (self.parameters[name] for name in ("weight", "rounding", "target"))
        e = x - s
        return w, p, e, np.sqrt(e**2 + p**2)

    def value(self, x, u, t):
        """Of each row."""
        w, p, _, root = self._parts(x)
        return (root - p) @ w

    def gradient(self, x, u, t):
        """w e / √(e² + p²)."""
        w, _, e, root = self._parts(x)
        return w * e / root, np.zeros_like(u)

    def parameter_gradient(self, x, u, t, weights=1.0):
        """Of weight, rounding and target."""
        w, p, e, root = self._parts(x)
        rows = {"weight": root - p, "rounding": w * (p / root - 1), "target": -w * e / root}
        return {name: (np.reshape(weights, (-1, 1)) * g).sum(axis=0) for name, g in rows.items()}

    def expansion(self, x, u, t):
        """Exact: w p² / (e² + p²)^{3/2} on the diagonal."""
        w, p, _, root = self._parts(x)
        (N, n), m = x.shape, u.shape[1]
        xx = (w * p**2 / root**3)[:, :, None] * np.eye(n)
        at_x, at_u = self.gradient(x, u, t)
        return Expansion(at_x, at_u, xx, np.zeros((N, n, m)), np.zeros((N, m, m)))
