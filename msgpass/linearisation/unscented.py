"""``Unscented``: 2n + 1 sigma points (Julier & Uhlmann 1997; scaled by Wan & van der Merwe 2000).

λ = α²(n + κ) − n;  points 0, ±√(n + λ) e_i;  w₀ = λ/(n + λ),  v₀ = w₀ + 1 − α² + β,  others 1/(2(n + λ))
"""

from __future__ import annotations

import math

import numpy as np

from msgpass.errors import DataError
from msgpass.linearisation.sigma_points import SigmaPoints


class Unscented(SigmaPoints):
    """Statistical linear regression on 2n + 1 points.

    Moments of f(x) are exact for polynomials up to degree 3 in the mean. The run is the unscented Kalman
    filter and smoother.

    Parameters
    ----------
    alpha : float
        Spread of the points; 1 keeps them where moments up to the fifth are right.
    beta : float
        Added to the centre's weight in covariances, with 1 − α².
    kappa : float, optional
        max(3 − n, 0) by default: the kurtosis of a normal variable up to n = 3, and no negative weight.

    Examples
    --------
    >>> xi, w, v = Unscented().points(1)
    >>> xi.ravel().round(3).tolist(), w.round(3).tolist()
    ([0.0, 1.732, -1.732], [0.667, 0.167, 0.167])
    """

    def __init__(self, alpha: float = 1.0, beta: float = 0.0, kappa: float | None = None):
        if not alpha > 0:
            raise DataError(f"Unscented: alpha must be positive, got {alpha!r}")
        self.alpha, self.beta, self.kappa = float(alpha), float(beta), kappa

    def points(self, n: int):
        """See :class:`SigmaPoints`."""
        kappa = max(3 - n, 0) if self.kappa is None else self.kappa
        spread = self.alpha**2 * (n + kappa)  # n + λ
        if not spread > 0:
            raise DataError(
                f"Unscented: kappa = {kappa} is for states of more than {-kappa} numbers, this one has {n}"
            )
        xi = math.sqrt(spread) * np.vstack([np.zeros(n), np.eye(n), -np.eye(n)])
        w = np.full(2 * n + 1, 0.5 / spread)
        w[0] = 1 - n / spread
        v = w.copy()
        v[0] += 1 - self.alpha**2 + self.beta
        return xi, w, v
