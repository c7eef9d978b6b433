"""Control limits: which controls are held at one, by the gradient at a path and by the model of a step.

At a path a control is clamped where it lies on a limit and the cost would fall beyond it (Bertsekas 1982).
At a solution (KKT) the gradient is zero at every free control and points outward at every clamped one, so
that u = clip(u − ∂J/∂u). Of the model of a step, a quadratic program with box constraints, the primal-dual
active set method (Hintermüller, Ito & Kunisch 2003) finds the controls that end on a limit: each pass is one
run of the chain.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from rnn.systems.control.adjoint_pass import Evaluated
from rnn.systems.control.local_chain import Held, LocalChain, NewtonStep, slope_in_controls
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.problem import Stages


class Point(Protocol):
    """Controls and the gradient there."""

    @property
    def inputs(self) -> np.ndarray: ...
    @property
    def gradient(self) -> np.ndarray: ...


PASSES = 8  # more change few controls; the next iteration goes on from there


def free_controls(problem: OptimalControl, at: Point) -> np.ndarray:
    """(T, m) booleans: not clamped."""
    low = (at.inputs <= problem.lower) & (at.gradient > 0)
    high = (at.inputs >= problem.upper) & (at.gradient < 0)
    return ~(low | high)


def kkt_residual(problem: OptimalControl, at: Point) -> float:
    """max |u − clip(u − ∂J/∂u)|; without limits the largest gradient."""
    # Not by differences of u, which would round a small gradient away.
    g = at.gradient
    moved = np.where(
        g > 0, np.minimum(g, at.inputs - problem.lower), np.maximum(g, at.inputs - problem.upper)
    )
    return float(np.abs(moved).max())


def limited_step(
    problem: OptimalControl,
    at: Evaluated,
    chain: LocalChain,
    stages: Stages,
    first: NewtonStep,
    damping: float,
) -> NewtonStep | None:
    """The model's step within the limits, from the ``first`` one, which ignores those that it does not yet
    touch."""
    low, high = problem.lower - at.inputs, problem.upper - at.inputs
    free = free_controls(problem, at)
    side = np.where(free, 0, np.where(at.gradient > 0, -1, 1))
    step = first
    for _ in range(PASSES):
        slope = slope_in_controls(stages, step)
        after = np.where(side == 0, (step.inputs > high).astype(int) - (step.inputs < low), side)
        after = np.where(((side < 0) & (slope < 0)) | ((side > 0) & (slope > 0)), 0, after)
        if np.array_equal(after, side):
            break
        side = after
        shift = np.where(side < 0, low, np.where(side > 0, high, 0.0))
        found = chain.step(stages, Held(side == 0, shift), damping)
        if found is None:
            return None
        step = found
    return step
