"""``Energy``: ½ Σ_k w_k u_k², what the controls spend."""

from __future__ import annotations

import numpy as np

from msgpass.errors import ShapeError
from rnn.systems.control.checks import real
from rnn.systems.control.costs.base import Cost, Expansion


class Energy(Cost):
    """Half the weighted sum of squares of the controls.

    Parameters
    ----------
    weight : float or (m,) array

    Examples
    --------
    >>> Energy([2.0, 1.0]).value(np.zeros((1, 4)), np.array([[1.0, 3.0]]), np.zeros(1))
    array([5.5])
    """

    def __init__(self, weight=1.0):
        weight = real("weight", weight)
        if weight.ndim > 1:
            raise ShapeError(f"weight has shape {weight.shape}, wanted a number or one a control")
        self.parameters = {"weight": weight}

    def check(self, name, states, inputs):
        """As many weights as controls."""
        shape = self.parameters["weight"].shape
        if not inputs:
            raise ShapeError(f"{name}: there is no control at the end, so that Energy costs nothing there")
        if shape not in ((), (inputs,)):
            raise ShapeError(f"{name}: Energy has {shape[0]} weights, but the plant has {inputs} controls")

    def value(self, x, u, t):
        """Of each row."""
        return 0.5 * (self.parameters["weight"] * u**2).sum(axis=1)

    def gradient(self, x, u, t):
        """0 and w u."""
        return np.zeros_like(x), self.parameters["weight"] * u

    def parameter_gradient(self, x, u, t, weights=1.0):
        """½ u², added up."""
        total = 0.5 * (np.reshape(weights, (-1, 1)) * u**2).sum(axis=0)
        return {"weight": total if self.parameters["weight"].ndim else total.sum()}

    def expansion(self, x, u, t):
        """Exact."""
        (N, n), m = x.shape, u.shape[1]
        uu = np.broadcast_to(np.diag(np.broadcast_to(self.parameters["weight"], m)), (N, m, m))
        at_x, at_u = self.gradient(x, u, t)
        return Expansion(at_x, at_u, np.zeros((N, n, n)), np.zeros((N, n, m)), uu)
