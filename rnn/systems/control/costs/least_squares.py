"""``LeastSquares``: ½‖ρ(x, u)‖², whose Gauss-Newton Hessian JᵀJ is never indefinite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import DataError
from rnn.systems.control import derivatives
from rnn.systems.control.costs.base import Cost, Expansion, split
from rnn.systems.control.costs.function import RowFunction
from rnn.systems.control.parameters import named


class LeastSquares(Cost):
    """Half the sum of squared residuals.

    Parameters
    ----------
    residual : callable
        ``residual(x, u)`` → (p,) array; ``residual(x)`` where ``terminal`` is true.
    hessian : {"gauss_newton", "full"}
        JᵀJ, or with the residuals' own curvature Σ ρ_k ∂²ρ_k.
    terminal, timed, vectorized, params
        As for :class:`SmoothCost`.

    Examples
    --------
    >>> tip = LeastSquares(lambda x: np.stack([np.sin(x[0]), 1 + np.cos(x[0])]), terminal=True)
    >>> tip.value(np.array([[0.0, 0.0], [np.pi, 0.0]]), np.zeros((2, 0)), np.zeros(2)).round(9)
    array([2., 0.])
    """

    def __init__(
        self,
        residual: Callable,
        hessian="gauss_newton",
        terminal=False,
        timed=False,
        vectorized=False,
        params=None,
    ):
        if hessian not in ("gauss_newton", "full"):
            raise DataError(f"hessian must be 'gauss_newton' or 'full', got {hessian!r}")
        self.hessian = hessian
        self.residual = RowFunction(residual, terminal, timed, vectorized, vector=True, given=params)
        self.parameters = named(params)

    def value(self, x, u, t):
        """½‖ρ‖² of each row."""
        return 0.5 * (self.residual(x, u, t, self.parameters.values()) ** 2).sum(axis=1)

    def expansion(self, x, u, t):
        """Jᵀρ and JᵀJ (with the curvature of ρ where asked for)."""
        n, z = x.shape[1], np.concatenate([x, u], axis=1)
        name, rows = self.residual.name, self.residual.rows(n, t, self.parameters.values())
        value, J = derivatives.jacobian(name, rows, z)
        g = np.einsum("tk,tkj->tj", value, J)
        if self.hessian == "full":
            H = derivatives.hessian(name, lambda z: 0.5 * (rows(z) ** 2).sum(axis=1), z)
        else:
            H = np.swapaxes(J, 1, 2) @ J
        return Expansion(g[:, :n], g[:, n:], *split(H, n))

    def parameter_gradient(self, x, u, t, weights=1.0):
        """(∂ρ/∂θ)ᵀρ by autograd."""
        if not self.parameters:
            return {}
        rho = np.reshape(weights, (-1, 1)) * self.residual(x, u, t, self.parameters.values())
        return self.residual.by_parameters(x, u, t, dict(self.parameters), rho)
