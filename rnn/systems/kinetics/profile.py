"""``Profile``: a quantity over time, linear between knots and constant outside them.

x(t) = Σ_m x_m hat_m(t), so that ∂x(t)/∂x_m = hat_m(t); in straight-line NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.validation import real_array


@dataclass(frozen=True)
class Profile:
    """Values at times.

    Parameters
    ----------
    times : array (M,), increasing
    values : array (M,)

    Examples
    --------
    >>> Profile([0, 10], [300, 350]).at(5.0)
    325.0
    """

    times: np.ndarray
    values: np.ndarray

    def __post_init__(self):
        times = real_array("times", self.times, np.dtype(float))
        values = real_array("values", self.values, np.dtype(float))
        if times.ndim != 1 or not len(times) or values.shape != times.shape:
            raise ShapeError(
                f"a profile has one value a time, got times {times.shape} and values {values.shape}"
            )
        if not (np.isfinite(times).all() and np.isfinite(values).all() and (np.diff(times) > 0).all()):
            raise DataError("a profile has finite values at increasing times")
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "values", values)

    def at(self, t) -> float:
        """The value at a time."""
        return float(np.sum(Hats(self.times)(t) * self.values))


def as_profile(what: str, x) -> Profile:
    """A number as a profile of one knot."""
    if isinstance(x, Profile):
        return x
    if isinstance(x, bool) or not isinstance(x, int | float | np.number):
        raise DataError(f"{what} is a number or a Profile, got {x!r}")
    return Profile(np.zeros(1), np.array([x], float))


class Hats:
    """The weights of knots at a time: ``hats(t)`` → (M,)."""

    def __init__(self, times):
        self.times = times = np.asarray(times, float)
        gaps = np.diff(times)
        self.first, self.last = float(times[0]), float(times[-1])
        self.before = np.concatenate([[1.0], gaps])
        self.after = np.concatenate([gaps, [1.0]])
        self.left, self.right = times - self.before, times + self.after

    def __call__(self, t):
        if len(self.times) == 1:
            return np.ones(1)
        t = np.minimum(np.maximum(t, self.first), self.last)
        return np.maximum(0.0, np.minimum((t - self.left) / self.before, (self.right - t) / self.after))

    def slopes(self, t) -> np.ndarray:
        """∂hat/∂t, (M,); one-sided at knots."""
        if len(self.times) == 1 or not self.first <= t < self.last:
            return np.zeros(len(self.times))
        found = np.zeros(len(self.times))
        m = int(np.searchsorted(self.times, t, side="right")) - 1
        gap = self.after[m]
        found[m], found[m + 1] = -1 / gap, 1 / gap
        return found
