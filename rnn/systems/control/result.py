"""What :func:`ilqr`, :func:`ddp` and :func:`shooting` return, and what they tell of each iteration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError
from rnn.systems.control.checks import noises, step_and_state
from rnn.systems.control.finite import Rollout
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.plant import Plant
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
    """A locally optimal path. With S starts, states and costates have an axis of starts in front, and there
    is no feedback: gains are zero.

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
    tries : (restarts + 1,) array
        Final cost of every try of :func:`shooting`.
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
    tries: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __repr__(self) -> str:
        what = f"{self.method}, {len(self.iterations)} iterations, cost {self.costs[0]:.6g} → {self.cost:.6g}"
        return f"<ControlResult: {what}, {self.reason}, {self.seconds:.2f} s>"

    def policy(self, t: int, x) -> np.ndarray:
        """The control at step t in state x: the path's own with feedback, within the limits."""
        t, x = step_and_state(t, len(self.inputs), x, self.states.shape[-1])
        if self.states.ndim == 3:
            return self.inputs[t].copy()
        u = self.inputs[t] - self.gain[t] @ (x - self.states[t])
        return np.clip(u, self.problem.lower[t], self.problem.upper[t])

    @property
    def linear_policy(self) -> LinearPolicy:
        """u_t = −K_t x + k_t, without the limits."""
        return LinearPolicy(self.gain, self.inputs + np.einsum("tij,tj->ti", self.gain, self.states[:-1]))

    def simulate(self, start=None, disturbances=None, plant: Plant | None = None, feedback: bool = True):
        """The plant under :meth:`policy` from another start, with (T, n) ``disturbances`` added to the
        states.

        Parameters
        ----------
        start : (n,) array, or (S, n), optional
        disturbances : (T, n) array, optional
        plant : Plant, optional
            Another one, such as the true plant where the controls were found on a learned model.
        feedback : bool
            False: the controls alone, open loop.

        Returns
        -------
        Rollout
        """
        problem, plant = self.problem, plant or self.problem.plant
        if not isinstance(plant, Plant) or (plant.states, plant.inputs) != (
            problem.plant.states,
            problem.plant.inputs,
        ):
            raise DataError(f"plant must be a Plant of the problem's sizes, {problem.plant!r}; got {plant!r}")
        x = problem.start if start is None else problem.trajectory.started(start)
        lanes, noise = np.atleast_2d(x), noises(disturbances, (problem.horizon, plant.states))
        states, inputs = [lanes], []
        for t in range(problem.horizon):
            if feedback:
                u = np.array([self.policy(t, row) for row in states[-1]])
            else:
                u = np.tile(self.inputs[t], (len(lanes), 1))
            inputs.append(u)
            states.append(plant(states[-1], u, np.full(len(lanes), float(t))) + noise[t])
        path = np.stack(states, axis=1), np.stack(inputs, axis=1)
        if x.ndim == 1:
            path = path[0][0], path[1][0]
        return Rollout(*path, problem.costs(*path))

    def strip(self, frames: int = 8, together: bool = False, ax=None):
        """Matplotlib figure of poses along the path; see :func:`strip`."""
        from rnn.systems.control.motion import strip

        return strip(self.problem.plant, self._one(), frames, together, ax)

    def animate(self, path=None, seconds: float | None = None):
        """The motion as an animation, and as a GIF at ``path``; see :func:`animate`."""
        from rnn.systems.control.motion import animate

        return animate(self.problem.plant, self._one(), path, seconds)

    def _one(self) -> np.ndarray:
        """The path, of several the first."""
        return self.states if self.states.ndim == 2 else self.states[0]

    def plot(self):
        """Matplotlib figure: states, controls within their limits, the cost by iteration."""
        from rnn.systems.control.figures import plot_result

        return plot_result(self)
