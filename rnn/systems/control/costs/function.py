"""A user's function of state, control and step, called for every step at once, with its results' shape
checked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.control import derivatives
from rnn.systems.control.parameters import handed


class RowFunction:
    """``function`` of (x, u) end to end, row by row; ``vector`` tells whether a row's value is one, ``given``
    the parameters as the user gave them."""

    def __init__(
        self, function: Callable, terminal: bool, timed: bool, vectorized: bool, vector: bool, given=None
    ):
        if not callable(function):
            raise DataError(f"a cost is given as a function, got {type(function).__name__}")
        self.function, self.terminal, self.timed = function, terminal, timed
        self.vectorized, self.vector, self.given = vectorized, vector, given
        self.name = f"cost {getattr(function, '__name__', type(function).__name__)!r}"

    def rows(self, states: int, t: np.ndarray, values=()) -> derivatives.Rows:
        """(N, n + m) → (N,) or (N, p) at step numbers t, with these values of the parameters."""
        f = self.function
        if self.terminal:
            f = lambda x, u, *rest: self.function(x, *rest)  # noqa: E731
        call, last = derivatives.by_rows(f, self.vectorized, self.timed), handed(self.given, values)
        return lambda z: self._shaped(call(z[:, :states], z[:, states:], t, *last), len(t))

    def __call__(self, x: np.ndarray, u: np.ndarray, t: np.ndarray, values=()) -> np.ndarray:
        """Values of all rows."""
        z = np.concatenate([x, u], axis=1)
        found = np.asarray(derivatives.guarded(self.name, self.rows(x.shape[1], t, values), z))
        if found.dtype.kind not in "iubf":
            raise DataError(f"{self.name} must return real numbers, got dtype {found.dtype}")
        return found

    def by_parameters(self, x, u, t, parameters: dict, cotangent=None) -> dict[str, np.ndarray]:
        """Σ over rows of (∂value/∂θ)ᵀ cotangent, by parameter."""
        if not parameters:
            return {}
        z = np.concatenate([x, u], axis=1)
        found = derivatives.by_parameters(
            self.name, lambda *v: self.rows(x.shape[1], t, v)(z), parameters.values(), cotangent
        )
        return dict(zip(parameters, found, strict=True))

    def _shaped(self, value, rows: int):
        got, fits = np.shape(value), np.ndim(value) == 1 + self.vector and len(value) == rows
        if not fits:
            what = "a vector" if self.vector else "one number"
            raise ShapeError(f"{self.name} must return {what} a step: {rows} steps gave shape {got}")
        return value
