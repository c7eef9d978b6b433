"""One run of the plant under ``Adjoint``, with the Jacobians that second-order solvers read beside it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass import ForwardOnly, Messages, Step
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.trajectory_graph import TrajectoryGraph


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
        self.problem, plant = problem, problem.plant
        self.linear: tuple | None = None
        self.graph = TrajectoryGraph(
            plant, problem.cost, problem.terminal, problem.start, problem.controls(None),
            step=Step(plant, self._pull, vectorized=True),
        )  # fmt: skip

    def __call__(self, inputs: np.ndarray) -> Evaluated:
        """Path, cost, co-states and gradient of (T, m) controls."""
        m = self.graph.run(self.problem.start, inputs)
        states = m.forward["x"]
        costates, gradient = m.gradient["x"], m.gradient["u"][:-1]
        A, B = self._jacobians(states[:-1], inputs, np.arange(len(inputs), dtype=float))
        return Evaluated(inputs, states, float(m.total), costates, gradient, A, B, m)

    def total(self, inputs: np.ndarray) -> float:
        """The cost alone."""
        return float(self.graph.run(self.problem.start, inputs, ForwardOnly()).total)

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
