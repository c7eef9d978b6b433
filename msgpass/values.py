"""The arrays of one run by node name: given values at first, then what steps compute."""

from __future__ import annotations

import math

import numpy as np

from msgpass.errors import DataError


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


def state_indices(what: str, value, names: tuple):
    """States given by name as numbers; None is missing (−1), and arrays of numbers stay as they are."""
    if isinstance(value, str):
        return state_index(what, value, names)
    if isinstance(value, int | np.integer | np.ndarray) and np.asarray(value).dtype.kind not in "UO":
        return value
    array = np.asarray(value, dtype=object)
    if not any(isinstance(one, str) or one is None for one in array.ravel()):
        return value
    numbers = [
        one if isinstance(one, int | float | np.number) else state_index(what, one, names)
        for one in array.ravel()
    ]
    return np.array(numbers).reshape(array.shape)


def state_index(what: str, state, names: tuple) -> int:
    if state is None:
        return -1
    if state not in names:
        raise DataError(f"{what} has no state {state!r}; its states are {', '.join(map(repr, names))}")
    return names.index(state)


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
