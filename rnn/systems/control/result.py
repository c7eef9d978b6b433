"""What :func:`ilqr` and :func:`ddp` return, and what they tell of each iteration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from msgpass import Messages
from rnn.systems.control.checks import step_and_state
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.policy import CostToGo, LinearPolicy


class Iteration(NamedTuple):
    """One iteration: cost after it, KKT residual before it, step length, damping, clamped controls."""

    cost: float
    residual: float
    length: float
    damping: float
    clamped: int


@dataclass(repr=False)
class ControlResult:
    """A locally optimal path.

    Attributes
    ----------
    states, inputs : (T + 1, n), (T, m) arrays
    cost : float
    costs : (iterations + 1,) array
        Cost at the start and after every iteration; it never rises.
    gradient : (T, m) array
        ∂J/∂u_t.
    costates : (T + 1, n) array
        λ_t = ∂J/∂x_t, the backward messages of the plant under ``Adjoint``.
    gain : (T, m, n) array
        Feedback around the path, zero at clamped controls: u = ū_t − K_t (x − x̄_t).
    cost_to_go : CostToGo
        Of deviations from the path: ½ δxᵀP_t δx − p_t·δx, of the linear-quadratic model there.
    clamped : (T, m) booleans
        Controls on a limit that would cross it.
    converged, reason : bool, str
    residual : float
        max |u − clip(u − ∂J/∂u)|.
    iterations : list of Iteration
    messages, adjoint : Messages
        Of the Gaussian chain, of deviations, that gains and cost-to-go were read from, and of the plant at
        the path.
    """

    problem: OptimalControl
    states: np.ndarray
    inputs: np.ndarray
    cost: float
    gradient: np.ndarray
    costates: np.ndarray
    gain: np.ndarray
    cost_to_go: CostToGo
    clamped: np.ndarray
    converged: bool
    reason: str
    residual: float
    costs: np.ndarray
    method: str
    seconds: float
    messages: Messages | None
    adjoint: Messages
    iterations: list[Iteration] = field(default_factory=list)

    def __repr__(self) -> str:
        what = f"{self.method}, {len(self.iterations)} iterations, cost {self.costs[0]:.6g} → {self.cost:.6g}"
        return f"<ControlResult: {what}, {self.reason}, {self.seconds:.2f} s>"

    def policy(self, t: int, x) -> np.ndarray:
        """The control at step t in state x: the path's own with feedback, within the limits."""
        t, x = step_and_state(t, len(self.inputs), x, self.states.shape[1])
        u = self.inputs[t] - self.gain[t] @ (x - self.states[t])
        return np.clip(u, self.problem.lower[t], self.problem.upper[t])

    @property
    def linear_policy(self) -> LinearPolicy:
        """u_t = −K_t x + k_t, without the limits."""
        return LinearPolicy(self.gain, self.inputs + np.einsum("tij,tj->ti", self.gain, self.states[:-1]))

    def simulate(self, start=None, disturbances=None):
        """The plant under :meth:`policy` from another start, with (T, n) ``disturbances`` added to the
        states.

        Returns
        -------
        Trajectory
        """
        from rnn.systems.control.checks import noises, vector
        from rnn.systems.control.finite import Trajectory

        problem, n = self.problem, self.problem.plant.states
        x = problem.start if start is None else vector("start", start, n)
        noise = noises(disturbances, (problem.horizon, n))
        states, inputs = [x], []
        for t in range(problem.horizon):
            inputs.append(self.policy(t, states[-1]))
            after = problem.plant(states[-1][None], inputs[-1][None], np.array([float(t)]))[0]
            states.append(after + noise[t])
        path = np.array(states), np.array(inputs)
        return Trajectory(*path, problem.costs(*path))
