"""The arrays of one run by node name: given values at first, then what steps compute."""

from __future__ import annotations

import math

import numpy as np


def all_finite(array: np.ndarray) -> bool:
    """No NaN and no infinity, told by the sum: one pass, no temporary (an overflow is looked at again)."""
    with np.errstate(all="ignore"):
        return math.isfinite(float(array.sum())) or bool(np.isfinite(array).all())


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
