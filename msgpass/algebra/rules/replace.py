"""``Replace``: λ̃ = f(t, value, λ), such as a guess of what is still to come (Jaderberg et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.algebra.rules.base import Place, Rule
from msgpass.errors import DataError


class Replace(Rule):
    """Messages by a function of the user.

    Parameters
    ----------
    f : callable
        ``f(t, value, message)`` → message: the row's number within its sequence, the variable's value there
        and the cotangent that would be passed on. It must give the same answer twice.
    vectorized : bool
        f takes all rows at once: t (n,), value and message (n, *row).

    Examples
    --------
    A synthetic gradient stands in for everything after step 9:

    >>> guess = lambda t, h, message: 0.1 * h if t == 9 else message
    >>> Replace(guess).vectorized
    False
    """

    def __init__(self, f: Callable, vectorized: bool = False):
        if not callable(f):
            raise DataError(f"Replace takes a function f(t, value, message), got {type(f).__name__}")
        self.f, self.vectorized = f, bool(vectorized)

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """f of every row."""
        value = place.value
        if self.vectorized:
            return np.asarray(self.f(place.times, value, message))
        rows = [self.f(int(t), v, m) for t, v, m in zip(place.times, value, message, strict=True)]
        return np.array(rows, dtype=message.dtype).reshape(message.shape) if _fit(rows, message) else rows  # type: ignore[return-value]


def _fit(rows, message) -> bool:
    return all(np.shape(r) == message.shape[1:] for r in rows)
