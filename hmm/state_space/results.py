"""What inference gives back: Gaussian marginals with names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError


class States(NamedTuple):
    """Normal distributions of the states, one a row.

    Attributes
    ----------
    mean : array, (T, n)
    cov : array, (T, n, n)
    """

    mean: np.ndarray
    cov: np.ndarray

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the central interval of each state, (T, n) each."""
        return interval(self.mean, np.diagonal(self.cov, axis1=-2, axis2=-1), level)


@dataclass(frozen=True, eq=False)
class Forecast:
    """What comes: normal distributions of states and observations of the next h steps, with the sequences in
    front if there are several.

    Attributes
    ----------
    state_mean : array, (h, n)
    state_cov : array, (h, n, n)
    mean : array, (h, p)
        Of the observations.
    cov : array, (h, p, p)
    """

    state_mean: np.ndarray
    state_cov: np.ndarray
    mean: np.ndarray
    cov: np.ndarray

    @property
    def variance(self) -> np.ndarray:
        """Of each output, (h, p)."""
        return np.diagonal(self.cov, axis1=-2, axis2=-1)

    def interval(self, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Ends of the central prediction interval of each output, (h, p) each."""
        return interval(self.mean, self.variance, level)


def interval(mean: np.ndarray, variance: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """mean ± z sd."""
    from scipy.special import ndtri

    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise DataError(f"level is a number between 0 and 1, such as 0.95; got {level!r}")
    half = float(ndtri(0.5 + level / 2)) * np.sqrt(np.maximum(variance, 0))
    return mean - half, mean + half
