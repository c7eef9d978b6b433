"""A variance whose estimate may be zero: u = √(v / unit)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hmm.coordinates.numbers import Number, Positive

ZERO = 1e-9
"""Share of the unit below which an estimate counts as zero."""


@dataclass(frozen=True, eq=False)
class Variance(Number):
    """A number that is not negative, v = unit · u².

    Estimates of variances are often exactly zero, that of a constant level for one. Under log v a climb never
    arrives there; under u it passes through zero as through any other number, and the slope vanishes there.
    A zero that is given is structure, and held.

    Parameters
    ----------
    unit : float
        About the size of what is expected, so that coordinates are about one.

    Notes
    -----
    The value is an even function of u: u and −u are one variance. ``rate`` and ``pullback`` are for u ≥ 0;
    whoever climbs below zero turns their sign.

    Examples
    --------
    >>> v, held = np.array([4.0, 0.0]), np.zeros(2, bool)
    >>> Variance().outward(v, v, held), Variance().inward(np.array([-3.0, 9.0]), v, held)
    (array([2., 0.]), array([9., 0.]))
    """

    EVEN: ClassVar[bool] = True

    unit: float = 1.0

    def link(self, value: np.ndarray) -> np.ndarray:
        return np.sqrt(value / self.unit)

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        return self.unit * coordinates**2

    def inside(self, value: np.ndarray) -> np.ndarray:
        return value > 0

    def rate(self, value: np.ndarray) -> np.ndarray:
        return 2 * np.sqrt(value * self.unit)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return value < ZERO * self.unit

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        return Positive().interval(value, error, z)
