"""The Newton step: the problem around a path is linear-quadratic, and its Gaussian chain gives gains and
shift.

    δx_{t+1} = A δx + B δu,   cost ½[δx; δu]ᵀ[[Q, N], [Nᵀ, R]][δx; δu] + q·δx + r·δu

with the cost's second derivatives (iLQR), plus Σ_k λ_k ∂²f_k, the plant's own curvature contracted with the
co-state of the next step (DDP). Controls that are held, at a limit, drop out of B and N at their step; what
they change is an offset. Levenberg-Marquardt damping μ adds ½μ|δu|², as much as it takes for every R + BᵀPB
to be positive.

Sources: Li & Todorov (2004), Iterative linear quadratic regulator design; Jacobson & Mayne (1970),
Differential dynamic programming; Bertsekas (1982), Projected Newton methods; Tassa, Mansard & Todorov
(2014), Control-limited differential dynamic programming.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import NumericalError
from rnn.systems.control.adjoint_pass import Evaluated
from rnn.systems.control.chain import ControlChain, QuadraticValue
from rnn.systems.control.costs.base import split
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.policy import LinearPolicy, curvature, first_not_positive
from rnn.systems.control.problem import Stages

RIDGE = 1e-7  # R is made at least this positive, relative to its largest entry (1 if that is smaller)


class NewtonStep(NamedTuple):
    """A policy in deviations from the path, its model and its messages."""

    policy: LinearPolicy
    value: QuadraticValue
    states: np.ndarray  # (T + 1, n), the model's path
    inputs: np.ndarray  # (T, m)
    messages: Messages


class Held(NamedTuple):
    """Controls that the chain does not choose: ``free`` (T, m) is False there, ``shift`` their change."""

    free: np.ndarray
    shift: np.ndarray


def expand(problem: OptimalControl, at: Evaluated) -> Stages:
    """The problem around a path, the plant linear."""
    T, n = problem.horizon, problem.plant.states
    e = problem.cost.expansion(at.states[:-1], at.inputs, np.arange(T, dtype=float))
    Q_final, q_final = np.zeros((n, n)), np.zeros(n)
    if problem.terminal is not None:
        last = problem.terminal.expansion(at.states[-1:], np.zeros((1, 0)), np.array([float(T)]))
        Q_final, q_final = last.xx[0], last.x[0]
    found = Stages(at.A, at.B, np.zeros((T, n)), e.xx, e.uu, e.xu, e.x, e.u, Q_final, q_final, T)
    for name, array in found._asdict().items():
        if not np.isfinite(array).all():
            step = int(np.argwhere(~np.isfinite(array))[0, 0])
            where = "at the end" if name.endswith("final") else f"at step {step}"
            what = "plant" if name in "AB" else "cost"
            raise NumericalError(
                f"a derivative of the {what} is NaN or infinite {where}: it is not smooth there (a norm "
                "at 0, a root, a division); smooth it, as in sqrt(x² + ε)"
            )
    return found


def with_curvature(problem: OptimalControl, at: Evaluated, stages: Stages) -> Stages:
    """The same with the plant's second derivatives, contracted with the co-states of the next steps."""
    steps = np.arange(problem.horizon, dtype=float)
    H = problem.plant.curvature(at.states[:-1], at.inputs, steps, at.costates[1:])
    xx, xu, uu = split(H, problem.plant.states)
    return stages._replace(Q=stages.Q + xx, N=stages.N + xu, R=stages.R + uu)


class LocalChain:
    """The Gaussian chain of a horizon, kept and run at every path."""

    def __init__(self, problem: OptimalControl):
        T = problem.horizon
        self.chain = ControlChain(T, problem.plant.states, (T > 1,) * 5)  # every array has a step axis

    def step(self, stages: Stages, held: Held, damping: float) -> NewtonStep | None:
        """The best step with some controls held, or None where the model is not convex in the others."""
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is no step
            return self._step(stages, held, damping)

    def _step(self, stages: Stages, held: Held, damping: float) -> NewtonStep | None:
        model = damped(stages, held, damping)
        try:
            value, m = self.chain.cost_to_go(model)
        except (NumericalError, np.linalg.LinAlgError):
            return None
        if not np.isfinite(value.P).all():
            return None
        Quu, Qux, Qu = curvature(model, value)
        if first_not_positive(Quu) is not None:
            return None
        solved = np.linalg.solve(Quu, np.concatenate([Qux, Qu[..., None]], axis=-1))
        gain = solved[..., :-1] * held.free[..., None]
        policy = LinearPolicy(gain, np.where(held.free, -solved[..., -1], held.shift))
        x, u = _path(stages, policy)
        return NewtonStep(policy, value, x, u, m) if np.isfinite(x).all() else None


def damped(stages: Stages, held: Held, damping: float) -> Stages:
    """Held controls become offsets; free ones cost ½μ|δu|² more."""
    on, fixed = held.free.astype(float), np.where(held.free, 0.0, held.shift)[..., None]
    diagonal = np.eye(on.shape[1]) * on[:, :, None]
    R = stages.R * (on[:, :, None] * on[:, None, :]) + np.eye(on.shape[1]) - diagonal
    ridge = RIDGE * max(1.0, float(np.abs(stages.R).max()))
    lowest = np.linalg.eigvalsh(R)[:, 0]
    lift = np.maximum(damping, ridge - np.minimum(lowest, ridge))
    return stages._replace(
        R=R + lift[:, None, None] * diagonal,
        B=stages.B * on[:, None, :],
        N=stages.N * on[:, None, :],
        b=(stages.B @ fixed)[..., 0],
        q=stages.q + (stages.N @ fixed)[..., 0],
        r=(stages.r + (stages.R @ fixed)[..., 0]) * on,
    )


def _path(stages: Stages, policy: LinearPolicy) -> tuple[np.ndarray, np.ndarray]:
    """The model's path under its policy, all of the step taken."""
    states, loop = [np.zeros(stages.A.shape[-1])], stages.A - stages.B @ policy.gain
    pushed = (stages.B @ policy.feedforward[..., None])[..., 0]
    for M, push in zip(loop, pushed, strict=True):
        states.append(M @ states[-1] + push)
    x = np.array(states)
    return x, policy.feedforward - np.einsum("tij,tj->ti", policy.gain, x[:-1])


def slope_in_controls(stages: Stages, step: NewtonStep) -> np.ndarray:
    """(T, m): the undamped model's gradient at the end of the step."""
    ahead = np.einsum("tij,tj->ti", step.value.P[1:], step.states[1:]) - step.value.p[1:]
    return (
        stages.r
        + np.einsum("tij,tj->ti", stages.R, step.inputs)
        + np.einsum("tji,tj->ti", stages.N, step.states[:-1])
        + np.einsum("tji,tj->ti", stages.B, ahead)
    )
