"""``lqr``: the linear-quadratic regulator over a finite horizon, one run of a Gaussian chain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError
from rnn.systems.control.chain import ControlChain
from rnn.systems.control.checks import noises, vector
from rnn.systems.control.policy import CostToGo, LinearPolicy, policy_of
from rnn.systems.control.problem import LinearQuadratic, Stages


class Rollout(NamedTuple):
    """A path and what it cost: states (T + 1, n), inputs (T, m), the cost of every step (T + 1,)."""

    states: np.ndarray
    inputs: np.ndarray
    costs: np.ndarray

    @property
    def cost(self) -> float:
        """Their sum."""
        return float(self.costs.sum())


@dataclass(frozen=True, eq=False)
class Regulator:
    """What :func:`lqr` returns.

    Attributes
    ----------
    policy : LinearPolicy
        ``gain`` (T, m, n) and ``feedforward`` (T, m): u_t = −K_t x_t + k_t.
    cost_to_go : CostToGo
        ``P`` (T + 1, n, n), ``p`` (T + 1, n) and ``constant``: V_t(x) = ½ xᵀP_t x − p_t·x + constant_t.
    messages : Messages
        Of the chain "x" from ``start``, run when they are asked for: backward messages are the cost-to-go
        without the step's own cost, the belief is the optimal path.
    stages : Stages
        The problem, step by step.
    """

    policy: LinearPolicy
    cost_to_go: CostToGo
    stages: Stages
    start: np.ndarray

    @cached_property
    def messages(self) -> Messages:
        """Of the whole chain."""
        return ControlChain.of(self.stages).run(self.stages, self.start)[0]

    def rollout(self, start, disturbances=None) -> Rollout:
        """The plant under the policy, from ``start``, with (T, n) ``disturbances`` added to the states."""
        s = self.stages
        x = vector("start", start, s.A.shape[-1])
        noise = noises(disturbances, (s.horizon, x.size))
        states, inputs = [x], []
        A, B, b = (np.broadcast_to(M, (s.horizon, *M.shape[1:])) for M in (s.A, s.B, s.b))
        for t in range(s.horizon):
            inputs.append(self.policy(t, states[-1]))
            states.append(A[t] @ states[-1] + B[t] @ inputs[-1] + b[t] + noise[t])
        path = np.array(states), np.array(inputs)
        return Rollout(*path, s.cost(*path))


def lqr(problem: LinearQuadratic, horizon: int | None = None, start=None) -> Regulator:
    """The controls that minimise a linear-quadratic cost.

    Parameters
    ----------
    problem : LinearQuadratic
    horizon : int, optional
        Number of steps T; by default that of the problem's arrays.
    start : (n,) array, optional
        x_0 of the messages' belief; zero by default. Policy and cost-to-go do not depend on it.

    Returns
    -------
    Regulator

    Raises
    ------
    ShapeError
        When the horizon is open or disagrees with the arrays.
    NumericalError
        When costs fall without end along some control; it names the step.

    Examples
    --------
    Double integrator, position and speed driven to 0 in 50 steps of 0.1:

    >>> problem = LinearQuadratic([[1, 0.1], [0, 1]], [0.005, 0.1], np.eye(2), 1.0)
    >>> regulator = lqr(problem, horizon=50, start=[1, 0])
    >>> regulator.policy.gain[0].round(4)
    array([[0.9162, 1.6345]])
    >>> path = regulator.rollout([1, 0])
    >>> regulator.cost_to_go.costates(path.states)[0].round(6)
    array([17.823859, 10.0029  ])
    >>> np.allclose(regulator.messages.belief["x"].mean, path.states)
    True
    """
    if not isinstance(problem, LinearQuadratic):
        raise DataError(f"lqr takes a LinearQuadratic, got {type(problem).__name__}")
    stages = problem.stages(horizon)
    return solve_stages(stages, None if start is None else vector("start", start, problem.states))


def solve_stages(stages: Stages, start: np.ndarray | None = None) -> Regulator:
    """The regulator of a problem that is laid out step by step."""
    n = stages.A.shape[-1]
    policy, cost_to_go = policy_of(stages, ControlChain.of(stages).cost_to_go(stages)[0])
    return Regulator(policy, cost_to_go, stages, np.zeros(n) if start is None else start)
