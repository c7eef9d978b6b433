"""``SmoothCost``: any smooth function of state, control and step, with its full Hessian by autograd."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rnn.systems.control import derivatives
from rnn.systems.control.costs.base import Cost, Expansion, split
from rnn.systems.control.costs.function import RowFunction
from rnn.systems.control.parameters import named


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
    params : array or dict of arrays, optional
        Taken as its last argument, as given here; :class:`Trajectory` has the gradient with respect to them.

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

    def __init__(self, function: Callable, terminal=False, timed=False, vectorized=False, params=None):
        self.function = RowFunction(function, terminal, timed, vectorized, vector=False, given=params)
        self.parameters = named(params)

    def value(self, x, u, t):
        """Of each row."""
        return self.function(x, u, t, self.parameters.values())

    def gradient(self, x, u, t):
        """By one pull."""
        n, z = x.shape[1], np.concatenate([x, u], axis=1)
        rows = self.function.rows(n, t, self.parameters.values())
        g = derivatives.gradient(self.function.name, rows, z)[1]
        return g[:, :n], g[:, n:]

    def expansion(self, x, u, t):
        """Gradient and full Hessian."""
        n, z = x.shape[1], np.concatenate([x, u], axis=1)
        slope_x, slope_u = self.gradient(x, u, t)
        rows = self.function.rows(n, t, self.parameters.values())
        return Expansion(slope_x, slope_u, *split(derivatives.hessian(self.function.name, rows, z), n))

    def parameter_gradient(self, x, u, t, weights=1.0):
        """By autograd."""
        return self.function.by_parameters(x, u, t, dict(self.parameters), np.broadcast_to(weights, len(x)))
