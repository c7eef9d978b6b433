"""Truncated Newton directions: conjugate gradients with Hessian-vector products.

Solves (±H + damping) p = ∓∇total, the sign such that total falls where it is a loss and rises where it is log
Z, and stops where a direction of negative curvature is met (Steihaug 1983; Nash 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, NumericalError
from msgpass.second_order.coordinates import Coordinates
from msgpass.second_order.curvature import Curvature


@dataclass(frozen=True, eq=False, repr=False)
class NewtonDirection:
    """Where a quadratic model of total has its optimum.

    Attributes
    ----------
    vector : array, (n,)
        In coordinates.
    slope : float
        Directional derivative of total along it.
    curvature : float
        Second derivative along it.
    iterations : int
    negative_curvature : bool
        Conjugate gradients met a direction along which the model has no optimum, and stopped before it.
    residual : float
        What is left of the gradient, relative to it.
    """

    vector: np.ndarray
    slope: float
    curvature: float
    iterations: int
    negative_curvature: bool
    residual: float
    of: Curvature

    def values(self, step: float = 1.0) -> dict[str, np.ndarray]:
        """Parameters after a step of some length along it, for ``run(…, values=…)``."""
        return self.of.moved(step * self.vector)

    def __repr__(self) -> str:
        met = ", negative curvature" if self.negative_curvature else ""
        return f"<NewtonDirection of {self.iterations} iterations: slope {self.slope:.6g}{met}>"


def newton_direction(
    graph,
    names: list[str] | None = None,
    algebra=None,
    values: dict | None = None,
    coordinates: dict[str, Coordinates] | None = None,
    damping: float = 0.0,
    tol: float | None = None,
    max_iter: int | None = None,
) -> NewtonDirection:
    """A direction in which total improves, from Hessian-vector products alone.

    Parameters
    ----------
    graph, names, algebra, values, coordinates
        As in :class:`~msgpass.second_order.Curvature`.
    damping : float
        Added to the diagonal (Levenberg 1944); at least 0.
    tol : float, optional
        Residual relative to the gradient at which to stop; min(0.5, √|gradient|) by default, with which
        Newton's method still converges superlinearly (Dembo, Eisenstat & Steihaug 1982).
    max_iter : int, optional
        Products; 2 n by default.

    Raises
    ------
    NumericalError
        If total or a product is not finite.

    Examples
    --------
    A quadratic loss is at its minimum after one step:

    >>> from msgpass import FactorGraph, Loss, run
    >>> g, A = FactorGraph(), np.array([[2.0, 1.0], [1.0, 3.0]])
    >>> w = g.parameter("w", [1.0, 2.0])
    >>> _ = g.factor(Loss(lambda w: (0.5 * w @ A @ w, (A @ w,))), w)
    >>> p = newton_direction(g, tol=1e-10)
    >>> p.values()["w"].round(12).tolist(), p.iterations
    ([0.0, 0.0], 2)
    """
    for name, value in (("damping", damping), ("tol", tol), ("max_iter", max_iter)):
        if value is not None and not (isinstance(value, int | float) and value >= 0):
            raise DataError(f"{name} is a number of at least 0, got {value!r}")
    of = Curvature(graph, names, algebra, values, coordinates)
    if not np.isfinite(of.total):
        raise NumericalError(f"total is {of.total}; a Newton direction starts from a finite one")
    down = -of.sign  # of a loss: total itself is made small
    b = -down * of.gradient
    size = float(np.linalg.norm(b))
    goal = min(0.5, size**0.5) if tol is None else tol
    p, r = np.zeros(of.size), b.copy()
    d, Hp = r.copy(), np.zeros(of.size)
    iterations, negative = 0, False
    square = float(r @ r)
    for iterations in range(1, (2 * of.size if max_iter is None else int(max_iter)) + 1):
        if square <= (goal * size) ** 2 or square == 0:
            iterations -= 1
            break
        Hd = down * (of @ d) + damping * d
        if not np.isfinite(Hd).all():
            raise NumericalError("a Hessian-vector product is NaN or infinite")
        bend = float(d @ Hd)
        if bend <= 1e-12 * float(d @ d):
            negative = True
            if iterations == 1:
                p, Hp = d.copy(), Hd  # steepest descent: the first direction is the gradient
            break
        step = square / bend
        p, Hp, r = p + step * d, Hp + step * Hd, r - step * Hd
        before, square = square, float(r @ r)
        d = r + (square / before) * d
    curvature = down * float(p @ (Hp - damping * p))
    residual = float(np.linalg.norm(r)) / size if size else 0.0
    return NewtonDirection(p, float(of.gradient @ p), curvature, iterations, negative, residual, of)
