"""``Cubature``: 2n points ±√n e_i of equal weight (Arasaratnam & Haykin 2009)."""

from __future__ import annotations

import math

import numpy as np

from msgpass.linearisation.sigma_points import SigmaPoints


class Cubature(SigmaPoints):
    """Statistical linear regression on the 2n points of the spherical-radial rule of degree 3.

    Weights are positive in every dimension. It has no settings.

    Examples
    --------
    >>> Cubature().points(2)[0].round(3).tolist()
    [[1.414, 0.0], [0.0, 1.414], [-1.414, -0.0], [-0.0, -1.414]]
    """

    def points(self, n: int):
        """See :class:`SigmaPoints`."""
        w = np.full(2 * n, 0.5 / n)
        return math.sqrt(n) * np.vstack([np.eye(n), -np.eye(n)]), w, w
