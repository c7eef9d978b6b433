"""``SmoothCost``: any smooth function of state, control and step, with its full Hessian by autograd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.control import derivatives
from rnn.systems.control.costs.base import Cost, Expansion, split


class SmoothCost(Cost):
    """A cost given as a function.

    Parameters
    ----------
    function : callable
        ``function(x, u)`` → number, in NumPy; ``function(x)`` where ``terminal`` is true.
    terminal : bool
        The function reads the last state alone.
    timed : bool
        It takes the step's number as a further argument.
    vectorized : bool
        It takes a leading axis of steps on every argument, and returns one number a step.

    Notes
    -----
    The Hessian may be indefinite; the solver's regularisation answers for that. Where the cost is a sum of
    squares :class:`LeastSquares` has a Hessian that never is.

    Examples
    --------
    >>> cost = SmoothCost(lambda x, u: 1 - np.cos(x[0]) + 0.1 * u[0] ** 2)
    >>> cost.gradient(np.array([[np.pi / 2, 0.0]]), np.ones((1, 1)), np.zeros(1))
    (array([[1., 0.]]), array([[0.2]]))
    """

    def __init__(self, function: Callable, terminal=False, timed=False, vectorized=False):
        if not callable(function):
            raise DataError(f"{type(self).__name__} takes a function, got {type(function).__name__}")
        self.function, self.terminal, self.timed, self.vectorized = function, terminal, timed, vectorized
        self.name = f"cost {getattr(function, '__name__', type(function).__name__)!r}"

    def _rows(self, n: int, t) -> derivatives.Rows:
        """The function of (x, u) end to end."""
        f = self.function
        if self.terminal:
            f = (lambda x, u, t: self.function(x, t)) if self.timed else (lambda x, u: self.function(x))
        call = derivatives.by_rows(f, self.vectorized, self.timed)
        return lambda z: self._shaped(call(z[:, :n], z[:, n:], t), len(t))

    def _shaped(self, value, rows: int):
        if np.shape(value) != (rows,):
            raise ShapeError(f"{self.name} must return one number a step: {rows} steps gave {np.shape(value)}")
        return value

    def value(self, x, u, t):
        """Of each row."""
        z = np.concatenate([x, u], axis=1)
        return np.asarray(derivatives.guarded(self.name, self._rows(x.shape[1], t), z))

    def gradient(self, x, u, t):
        """By one pull."""
        n, z = x.shape[1], np.concatenate([x, u], axis=1)
        g = derivatives.gradient(self.name, self._rows(n, t), z)[1]
        return g[:, :n], g[:, n:]

    def expansion(self, x, u, t):
        """Gradient and full Hessian."""
        n, z = x.shape[1], np.concatenate([x, u], axis=1)
        H = derivatives.hessian(self.name, self._rows(n, t), z)
        return Expansion(*self.gradient(x, u, t), *split(H, n))
