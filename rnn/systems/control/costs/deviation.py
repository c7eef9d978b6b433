"""``Deviation``: ½ Σ_k w_k (y_k − s_{t,k})², how far what is followed, y = x or y = of(x), is from a path."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.control import derivatives
from rnn.systems.control.checks import real
from rnn.systems.control.costs.base import Cost, Expansion, summed


class Deviation(Cost):
    """Half the weighted squared distance from a point or a path.

    Parameters
    ----------
    path : (p,) array, or (steps, p)
        s; with an axis of steps a row for every step at which it costs, T + 1 where the end counts, too.
    weight : float or (p,) array
    of : callable, optional
        ``of(x)`` (n,) → (p,): what follows the path, such as the tip of an arm; the state itself by default.
    vectorized : bool
        ``of`` takes a leading axis of steps.

    Notes
    -----
    The Hessian is JᵀwJ with J = ∂of/∂x (Gauss-Newton), exact where ``of`` is linear.

    Examples
    --------
    >>> Deviation([1.0, 0.0], weight=[1.0, 0.1]).value(np.zeros((1, 2)), np.zeros((1, 1)), np.zeros(1))
    array([0.5])
    """

    def __init__(self, path, weight=1.0, of: Callable | None = None, vectorized: bool = False):
        path, weight = np.atleast_1d(real("path", path)), real("weight", weight)
        if path.ndim > 2:
            raise ShapeError(f"path has shape {path.shape}, wanted (p,) or (steps, p)")
        if weight.shape not in ((), path.shape[-1:]):
            raise ShapeError(f"weight has shape {weight.shape}, wanted a number or {path.shape[-1:]}")
        if of is not None and not callable(of):
            raise DataError(f"of must be a function of a state, got {type(of).__name__}")
        self.parameters = {"path": path, "weight": weight}
        self.of = None if of is None else derivatives.by_rows(lambda x, _: of(x), vectorized, timed=False)

    def check(self, name, states, inputs):
        """As many numbers as states, where those are what follows."""
        p = self.parameters["path"].shape[-1]
        if self.of is None and p != states:
            raise ShapeError(f"{name}: the path has {p} numbers, but the plant has {states} states")

    def _residual(self, x, t):
        path, p = self.parameters["path"], self.parameters["path"].shape[-1]
        y = x
        if self.of is not None:
            y = np.asarray(derivatives.guarded("of", self.of, x, x[:, :0], t))
        if y.shape != (len(x), p):
            raise ShapeError(f"of(x) has shape {y.shape[1:]}, but a point of the path {(p,)}")
        if path.ndim == 1:
            return y - path
        index = np.asarray(t).astype(int)
        if index.max(initial=0) >= len(path):
            raise ShapeError(
                f"Deviation: the path has {len(path)} steps, but step {index.max()} is asked for; it needs a "
                "row for every step at which it costs"
            )
        return y - path[index]

    def _jacobian(self, x, t):
        if self.of is None:
            return np.broadcast_to(np.eye(x.shape[1]), (len(x), x.shape[1], x.shape[1]))
        call = self.of
        return derivatives.jacobian("of", lambda z: call(z, z[:, :0], t), x)[1]

    def value(self, x, u, t):
        """Of each row."""
        return 0.5 * (self.parameters["weight"] * self._residual(x, t) ** 2).sum(axis=1)

    def gradient(self, x, u, t):
        """Jᵀ w ρ and 0."""
        pulled = self.parameters["weight"] * self._residual(x, t)
        if self.of is not None:
            pulled = np.einsum("tkj,tk->tj", self._jacobian(x, t), pulled)
        return pulled, np.zeros_like(u)

    def parameter_gradient(self, x, u, t, weights=1.0):
        """−w ρ of the path and ½ρ² of the weight."""
        rho, weight = self._residual(x, t), self.parameters["weight"]
        total = 0.5 * (np.reshape(weights, (-1, 1)) * rho**2).sum(axis=0)
        return {
            "path": summed(-weight * rho, self.parameters["path"], 1, t, weights),
            "weight": total if weight.ndim else total.sum(),
        }

    def expansion(self, x, u, t):
        """Gradient and JᵀwJ."""
        J, m, (N, n) = self._jacobian(x, t), u.shape[1], x.shape
        w = np.broadcast_to(self.parameters["weight"], J.shape[1:2])
        xx = np.einsum("tki,k,tkj->tij", J, w, J)
        at_x, at_u = self.gradient(x, u, t)
        return Expansion(at_x, at_u, xx, np.zeros((N, n, m)), np.zeros((N, m, m)))
