"""A quantity over time that is known up to its variance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from msgpass.errors import DataError
from msgpass.optional import pandas


def quantile(level: float) -> float:
    """Half the width of a central interval of a standard normal.

    >>> round(quantile(0.95), 4)
    1.96
    """
    from scipy.special import ndtri

    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise DataError(f"level is a number between 0 and 1, such as 0.95; got {level!r}")
    return float(ndtri(0.5 + level / 2))


@dataclass(frozen=True, eq=False)
class Estimate:
    """Means and variances, one a step, of a normal distribution.

    Attributes
    ----------
    mean, variance : array, (T,)
    level : float
        Of the intervals.

    Examples
    --------
    >>> own = Estimate(np.array([1.0]), np.array([4.0]), level=0.95)
    >>> own.lower.round(2), own.upper.round(2)
    (array([-2.92]), array([4.92]))
    """

    mean: np.ndarray
    variance: np.ndarray
    level: float = 0.95

    @cached_property
    def _width(self) -> np.ndarray:
        return quantile(self.level) * np.sqrt(np.maximum(self.variance, 0.0))

    @property
    def lower(self) -> np.ndarray:
        """Lower ends, (T,)."""
        return self.mean - self._width

    @property
    def upper(self) -> np.ndarray:
        """Upper ends, (T,)."""
        return self.mean + self._width

    def __len__(self) -> int:
        return len(self.mean)

    def to_frame(self, index=None):
        """Columns ``mean``, ``variance``, ``lower``, ``upper``."""
        columns = {name: getattr(self, name) for name in ("mean", "variance", "lower", "upper")}
        return pandas().DataFrame(columns, index=index)


def projected(rows: np.ndarray, mean: np.ndarray, cov: np.ndarray, level: float) -> Estimate:
    """Of ``rows`` (1 | T, n) times a state with moments (T, n), (T, n, n)."""
    rows = np.broadcast_to(rows, mean.shape)
    return Estimate(np.einsum("ti,ti->t", rows, mean), np.einsum("ti,tij,tj->t", rows, cov, rows), level)
