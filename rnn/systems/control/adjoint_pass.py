"""One run of the plant under ``Adjoint``: path and cost forward, co-states and gradient backward.

x_{t+1} = f(x_t, u_t)        λ_t = ∂cost/∂x_t + (∂f/∂x)ᵀλ_{t+1}        ∂J/∂u_t = ∂cost/∂u_t +
(∂f/∂u)ᵀλ_{t+1}
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Loss, Messages, Step, run
from rnn.systems.control.costs.base import Cost
from rnn.systems.control.optimal import OptimalControl


class Evaluated(NamedTuple):
    """A path and everything first-order about it."""

    inputs: np.ndarray  # (T, m)
    states: np.ndarray  # (T + 1, n)
    cost: float
    costates: np.ndarray  # (T + 1, n)
    gradient: np.ndarray  # (T, m)
    A: np.ndarray  # (T, n, n)
    B: np.ndarray  # (T, n, m)
    messages: Messages


class AdjointPass:
    """The plant's graph, kept and run with new controls.

    The plant is linearised once a path; the engine's sweep and the Gaussian chain read the same Jacobians.
    """

    def __init__(self, problem: OptimalControl):
        self.problem, plant, T = problem, problem.plant, problem.horizon
        self.linear: tuple | None = None
        self.graph = g = FactorGraph()
        x = g.sequence("x", length=T + 1, shape=(plant.states,))
        # The last state has no successor, so that the last row acts on nothing.
        u = g.observe("u", np.zeros((T + 1, plant.inputs)))
        t = g.observe("t", np.arange(T + 1.0))
        g.factor(Step(lambda start: start, lambda _, c: (c,)), g.parameter("start", problem.start), out=x[0])
        g.factor(Step(plant, self._pull, vectorized=True), x[:-1], u[:-1], t[:-1], out=x[1:], name="plant")
        g.factor(Loss(self._cost, vectorized=True), x[:-1], u[:-1], t[:-1], name="cost")
        if problem.terminal is not None:
            g.factor(Loss(partial(self._terminal, problem.terminal)), x[T], name="terminal cost")

    def __call__(self, inputs: np.ndarray) -> Evaluated:
        """Path, cost, co-states and gradient of (T, m) controls."""
        m = run(self.graph, values={"u": np.vstack([inputs, np.zeros_like(inputs[:1])])})
        states = m.forward["x"]
        costates, gradient = m.gradient["x"], m.gradient["u"][:-1]
        A, B = self._jacobians(states[:-1], inputs, np.arange(len(inputs), dtype=float))
        return Evaluated(inputs, states, float(m.total), costates, gradient, A, B, m)

    def total(self, inputs: np.ndarray) -> float:
        """The cost alone."""
        values = {"u": np.vstack([inputs, np.zeros_like(inputs[:1])])}
        return float(run(self.graph, schedule=ForwardOnly(), values=values).total)

    def _jacobians(self, x, u, t):
        if self.linear is None or not (
            np.array_equal(self.linear[0], x) and np.array_equal(self.linear[1], u)
        ):
            self.linear = x.copy(), u.copy(), self.problem.plant.linearise(x, u, t)
        return self.linear[2]

    def _pull(self, arguments, cotangent):
        A, B = self._jacobians(*arguments)
        back = cotangent[:, None, :]
        return (back @ A)[:, 0], (back @ B)[:, 0], None

    def _cost(self, x, u, t):
        cost = self.problem.cost
        return float(np.sum(cost.value(x, u, t))), (*cost.gradient(x, u, t), None)

    def _terminal(self, terminal: Cost, x):
        last = x[None], np.zeros((1, 0)), np.array([float(self.problem.horizon)])
        return float(terminal.value(*last)[0]), (terminal.gradient(*last)[0][0],)
