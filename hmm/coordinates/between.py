"""A number between two ends: u = log (v − low) / (high − v)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from hmm.coordinates.numbers import AT_END, Number, on_logit_scale


@dataclass(frozen=True, eq=False)
class Between(Number):
    """A number in (low, high); the ends themselves are held.

    Examples
    --------
    >>> v, held = np.array([0.0, 1.0]), np.zeros(2, bool)
    >>> Between(-1, 1).outward(v, v, held), Between(-1, 1).free(v, held)
    (array([0., 0.]), array([ True, False]))
    """

    low: float
    high: float

    def _share(self, value: np.ndarray) -> np.ndarray:
        return (value - self.low) / (self.high - self.low)

    def link(self, value: np.ndarray) -> np.ndarray:
        return logit(self._share(value))

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        return self.low + (self.high - self.low) * expit(coordinates)

    def rate(self, value: np.ndarray) -> np.ndarray:
        share = self._share(value)
        return (self.high - self.low) * share * (1 - share)

    def inside(self, value: np.ndarray) -> np.ndarray:
        return (value > self.low) & (value < self.high)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        share = self._share(value)
        return (share < AT_END) | (share > 1 - AT_END)

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        width = self.high - self.low
        low, high = on_logit_scale(self._share(value), error / width, z)
        return self.low + width * low, self.low + width * high
