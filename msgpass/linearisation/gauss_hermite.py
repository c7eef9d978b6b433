"""``GaussHermite``: the product rule of order p, pⁿ points (Ito & Xiong 2000)."""

from __future__ import annotations

import math

import numpy as np

from msgpass.errors import DataError, UnsupportedError
from msgpass.linearisation.sigma_points import SigmaPoints

MOST_POINTS = 1 << 16


class GaussHermite(SigmaPoints):
    """Statistical linear regression on a grid of ``order`` Gauss-Hermite nodes a coordinate.

    Moments are exact for polynomials up to degree 2·order − 1 in each coordinate; the cost is orderⁿ
    evaluations of f a step.

    Examples
    --------
    >>> xi, w, _ = GaussHermite(5).points(1)
    >>> round(float(w @ xi[:, 0] ** 8), 6)
    105.0
    """

    def __init__(self, order: int = 5):
        if isinstance(order, bool) or not isinstance(order, int | np.integer) or order < 2:
            raise DataError(f"GaussHermite: order is a whole number ≥ 2, got {order!r}")
        self.order = int(order)

    def points(self, n: int):
        """See :class:`SigmaPoints`."""
        if self.order**n > MOST_POINTS:
            raise UnsupportedError(
                f"GaussHermite({self.order}) of a state of {n} numbers takes {self.order}**{n} points a "
                "step; use Unscented() or Cubature(), which take about 2n"
            )
        nodes, weights = np.polynomial.hermite_e.hermegauss(self.order)
        xi = np.stack(np.meshgrid(*[nodes] * n, indexing="ij"), axis=-1).reshape(-1, n)
        w = np.ones(1)
        for _ in range(n):
            w = np.outer(w, weights / math.sqrt(2 * math.pi)).ravel()
        return xi, w, w
