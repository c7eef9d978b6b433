"""The arrays of one run by node name: given values at first, then what steps compute."""

from __future__ import annotations

import math

import numpy as np


def all_finite(array: np.ndarray) -> bool:
    """No NaN and no infinity, told by the sum: one pass, no temporary (an overflow is looked at again)."""
    with np.errstate(all="ignore"):
        return math.isfinite(float(array.sum())) or bool(np.isfinite(array).all())


def below_infinity(array: np.ndarray) -> bool:
    """No NaN and no +∞, told by the maximum, which is NaN wherever there is one: one pass, no temporary."""
    return array.size == 0 or bool(array.max() < np.inf)


def unwritable(value) -> bool:
    """Whether this is a float64 array that can be changed neither itself nor through what it is a view of."""
    if type(value) is not np.ndarray or value.dtype != np.float64:
        return False
    while isinstance(value, np.ndarray):
        if value.flags.writeable:
            return False
        value = value.base
    return value is None


class Values(dict):
    """Arrays by name that remember whether anything is missing: data are looked through once a run."""

    def __init__(self, arrays, complete: dict[str, bool] | None = None):
        super().__init__(arrays)
        self.known: dict[str, bool] = {} if complete is None else complete

    def complete(self, name: str) -> bool:
        """Nothing is missing: no NaN, no negative state."""
        if name not in self.known:
            array = self[name]
            self.known[name] = all_finite(array) if array.dtype.kind == "f" else not (array < 0).any()
        return self.known[name]
