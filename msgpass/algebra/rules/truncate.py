"""``Truncate``: nothing crosses from one window of k steps into the one before it."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.rules.base import Place, Rule
from msgpass.errors import DataError


class Truncate(Rule):
    """Messages stop at the ends of windows of k steps: at rows k − 1, 2 k − 1, … On all time edges this is
    the schedule ``Truncated(k, k)`` where k divides the length; on one it truncates that path alone.

    Examples
    --------
    >>> Truncate(5)
    Truncate(5)
    """

    linear = True

    def __init__(self, k: int):
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
            raise DataError(f"Truncate: k is a whole number of steps from 1, got {k!r}")
        self.k = int(k)

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """Zero at the last row of every window."""
        ends = (place.times >= 0) & ((place.times + 1) % self.k == 0)
        return np.where(ends.reshape(-1, *(1,) * (message.ndim - 1)), 0, message)
