"""The continuous adjoint, integrated backward from save time to save time.

    dλ/dt = −(∂f/∂y)ᵀλ,    dg/dt = −(∂f/∂p)ᵀλ,    λ jumps by ∂L/∂y_i at save time i
    ∂L/∂y0 = λ(t_0),  ∂L/∂p = g(t_0),  ∂L/∂t_i = ∂L/∂y_i · f(t_i, y_i),  ∂L/∂t_0 = −λ(t_0⁺)·f(t_0, y_0)

y is read from the forward solution's interpolant, or (backsolve) integrated backward beside λ. Pontryagin et
al. 1962; Chen et al. 2018.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from rnn.ode.adaptive import integrate
from rnn.ode.errors import IntegrationError
from rnn.ode.field import Field
from rnn.ode.integration import Plan
from rnn.ode.losses import SavedLoss
from rnn.ode.problem import Problem
from rnn.ode.result import OdeGradient
from rnn.ode.scipy_methods import ScipyPlan, solve
from rnn.ode.solution import Solution
from rnn.ode.steps import SolverStep


def adjoint_gradient(
    solution: Solution, plan: Plan | ScipyPlan, loss: SavedLoss, kind: str = "adjoint"
) -> OdeGradient:
    """``kind``: adjoint or backsolve."""
    problem, t, saved = plan.problem, solution.t, solution.y
    value, seeds = loss(saved)
    backward = Backward(problem, solution, kind == "backsolve")
    lam, g = seeds[-1].copy(), np.zeros(backward.numbers, problem.y0.dtype)
    costates, before_start = [lam], lam
    for i in range(len(t) - 1, 0, -1):
        if lam.any():
            z = backward.pack(saved[i], lam, g)
            try:
                lam, g = backward.unpack(backward.across(plan, z, i))
            except IntegrationError as failed:
                raise _explained(failed, backward.backsolve) from None
        before_start = lam
        lam = lam + seeds[i - 1]
        costates.append(lam)
    rates = [np.asarray(backward.field(float(s), y, *backward.arrays)) for s, y in zip(t, saved, strict=True)]
    of_times = np.array([(seed * rate).sum() for seed, rate in zip(seeds, rates, strict=True)])
    of_times[0] = -(before_start * rates[0]).sum()
    return OdeGradient(
        value,
        lam,
        problem.packing.user(backward.by_name(g)),
        t,
        solution,
        (lambda: of_times, lambda: np.stack(costates[::-1])),
        evaluations=backward.calls,
    )


def _explained(problem: IntegrationError, backsolve: bool) -> IntegrationError:
    way = (
        "y was integrated backward, where a system that contracts expands; gradient='adjoint' reads it from "
        "the forward solution"
        if backsolve
        else "gradient='discrete' goes back through the steps, whatever they were"
    )
    return type(problem)(f"the backward integration of the adjoint failed: {problem}. {way}", problem.t)


class Backward:
    """The backward system over z = (y,) λ, g end to end."""

    def __init__(self, problem: Problem, solution: Solution, backsolve: bool):
        self.problem, self.solution, self.backsolve = problem, solution, backsolve
        self.field = Field.of(problem.step.f, problem.packing)
        self.arrays = list(problem.arrays.values())
        self.shape, self.size = problem.y0.shape, problem.y0.size
        self.numbers = sum(a.size for a in self.arrays)
        self.calls = 0

    def pack(self, y, lam, g) -> np.ndarray:
        """z."""
        own = [y.ravel()] if self.backsolve else []
        return np.concatenate([*own, lam.ravel(), g])

    def unpack(self, z) -> tuple[np.ndarray, np.ndarray]:
        """(λ, g)."""
        start = self.size if self.backsolve else 0
        return z[start : start + self.size].reshape(self.shape), z[start + self.size :]

    def by_name(self, g: np.ndarray) -> dict[str, np.ndarray]:
        """g as arrays."""
        found, start = {}, 0
        for name, array in self.problem.arrays.items():
            found[name] = g[start : start + array.size].reshape(array.shape)
            start += array.size
        return found

    def state(self, t, z) -> np.ndarray:
        """y at t."""
        if self.backsolve:
            return z[: self.size].reshape(self.shape)
        low, high = sorted((self.solution.t[0], self.solution.t[-1]))
        return self.solution.at(min(max(t, low), high))

    def rate(self, t, z) -> np.ndarray:
        """dz/dt."""
        self.calls += 1
        y, (lam, _) = self.state(t, z), self.unpack(z)
        _, y_bar, *bars = self.field.vjp(t, y, self.arrays, lam)
        own = [np.asarray(self.field(t, y, *self.arrays)).ravel()] if self.backsolve else []
        return np.concatenate([*own, -y_bar.ravel(), *[-b.ravel() for b in bars]])

    def matrix(self, t, z) -> np.ndarray:
        """∂(dz/dt)/∂z of the system without y, which is linear in λ: one VJP a number of y."""
        y = self.state(t, z)
        found = np.zeros((len(z), len(z)), z.dtype)
        for j in range(self.size):
            unit = np.zeros(self.size, z.dtype)
            unit[j] = 1.0
            _, y_bar, *bars = self.field.vjp(t, y, self.arrays, unit.reshape(self.shape))
            found[:, j] = np.concatenate([-y_bar.ravel(), *[-b.ravel() for b in bars]])
        return found

    def across(self, plan: Plan | ScipyPlan, z: np.ndarray, i: int) -> np.ndarray:
        """From save time i to the one before."""
        field = Field(self.rate, None, None if self.backsolve else self.matrix)
        span = self.solution.t[[i, i - 1]]
        atol = np.asarray(plan.tolerance.atol)
        tolerance = replace(plan.tolerance, atol=float(atol.min()), first_step=None)
        if isinstance(plan, ScipyPlan):
            return solve(plan.name, field, z, span, tolerance).y[:, -1]
        step = SolverStep(field, plan.problem.step.tableau)
        if plan.grid is None:
            return integrate(step, z, span, None, tolerance).states[-1]
        times = self.solution.grid.times
        low, high = sorted(span)
        inner = times[(times > low) & (times < high)][::-1]
        ends = [span[0], *inner, span[1]]
        for a, b in pairwise(ends):
            z = step(z, float(a), float(b - a))
        return z
