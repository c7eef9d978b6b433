"""The cost-to-go as forward messages of the chain read against the clock.

Of the chain in :mod:`~rnn.systems.control.chain` only the backward messages are wanted here. With its steps
in reverse order they are forward messages, and a run that passes nothing else asks nothing else of the
problem: Q may be indefinite where the problem is convex in the controls all the same, while the filter of
such a chain has no moments.
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Gaussian, Messages, Quadratic, run
from rnn.systems.control.chain import QuadraticValue, reduce
from rnn.systems.control.problem import Stages

KNOWN = 1e-200  # variance of the first state: as good as 0, and a message with it has an information form


class ValueChain:
    """The graph of one horizon and state size, kept and run with new values.

    Row k of the sequence is x_{T−k}; one more row behind x_0 holds the start.

    Examples
    --------
    >>> from rnn.systems.control import LinearQuadratic
    >>> stages = LinearQuadratic(1.0, 1.0, 1.0, 1.0).stages(30)
    >>> value, _ = ValueChain(30, 1).cost_to_go(stages)
    >>> value.P[0].round(6)
    array([[1.618034]])
    """

    def __init__(self, horizon: int, states: int):
        self.horizon, self.states = horizon, states
        T, n = horizon, states
        self.graph = g = FactorGraph()
        x = g.sequence("x", length=T + 2, shape=(n,))
        shapes = {
            "A": (T + 1, n, n),
            "S": (T + 1, n, n),
            "b": (T + 1, n),
            "Q": (T + 1, n, n),
            "q": (T + 1, n),
        }
        p = {name: g.parameter(name, np.zeros(shape)) for name, shape in shapes.items()}
        start = g.parameter("start", np.zeros(n))
        g.factor(Quadratic(p["q"], p["Q"]), x[:-1], name="cost")
        g.factor(Quadratic.linear_gaussian(p["A"], p["S"], p["b"]), x[1:], x[:-1], name="dynamics")
        g.factor(Quadratic.prior(start, KNOWN * np.eye(n)), x[T + 1], name="first state")

    def cost_to_go(self, stages: Stages, start: np.ndarray | None = None) -> tuple[QuadraticValue, Messages]:
        """P and p of every step, and the run."""
        T, n, reduced = self.horizon, self.states, reduce(stages)
        values = {
            "A": _reversed(reduced.A, T, last=np.eye(n)),
            "S": _reversed(reduced.S, T, last=np.zeros((n, n))),
            "b": _reversed(reduced.b, T, last=np.zeros(n)),
            "Q": _reversed(reduced.Q, T, first=stages.Q_final),
            # A precision's information vector is minus the linear cost.
            "q": -_reversed(reduced.q, T, first=stages.q_final),
            "start": np.zeros(n) if start is None else start,
        }
        m = run(self.graph, Gaussian(), ForwardOnly(), values=values)
        said = m.forward["x"]
        return QuadraticValue(said.precision[T::-1].copy(), said.h[T::-1].copy()), m


def _reversed(array: np.ndarray, T: int, first=None, last=None) -> np.ndarray:
    """T + 1 rows against the clock: those of the steps, with one more in front or behind."""
    rows = np.empty((T + 1, *array.shape[1:]))
    if first is not None:
        rows[0] = first
        rows[1:] = array[::-1]
    else:
        rows[:-1] = array[::-1]
        rows[-1] = last
    return rows
