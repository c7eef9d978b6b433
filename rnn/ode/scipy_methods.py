"""scipy's ``solve_ivp`` as a method: forward by scipy, gradients by the continuous adjoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, UnsupportedError
from rnn.ode.adaptive import Stats, Tolerance
from rnn.ode.errors import BlowUpError, IntegrationError, MaxStepsError
from rnn.ode.field import Field, rate_at_start
from rnn.ode.grid import Grid, check_times
from rnn.ode.problem import Problem
from rnn.ode.solution import Solution
from rnn.ode.steps import tableau_of

NAMES = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
IMPLICIT = ("Radau", "BDF", "LSODA")


def scipy_name(method) -> str | None:
    """ "Radau" of "scipy:Radau"; None where it is none of scipy's."""
    if not isinstance(method, str) or not method.startswith("scipy:"):
        return None
    name = method.removeprefix("scipy:")
    if name not in NAMES:
        raise UnsupportedError(f"scipy has no method {name!r}; it has {', '.join(NAMES)}")
    return name


@dataclass(frozen=True)
class ScipyPlan:
    """A problem for scipy."""

    problem: Problem
    t: np.ndarray
    name: str
    tolerance: Tolerance

    @classmethod
    def of(cls, f, y0, t, params, method, step, grid, tolerance: Tolerance) -> ScipyPlan:
        """Checked."""
        if step is not None or grid is not None:
            raise DataError(f"{method} chooses its steps; step= and grid= are for other methods")
        # The tableau stands for nothing; a problem has one.
        problem = Problem.of(f, y0, params, tableau_of("dopri5"))
        tolerance.check(problem.y0)
        return cls(problem, check_times(t), scipy_name(method) or "", tolerance)


def scipy_solution(plan: ScipyPlan) -> Solution:
    """Forward, with dense output."""
    p = plan.problem
    field = p.step.rate(p.params)
    rate_at_start(field, p.y0, float(plan.t[0]))
    found = solve(plan.name, field, p.y0, plan.t, plan.tolerance)
    shape = p.y0.shape
    rows = lambda flat: np.ascontiguousarray(flat.T).reshape(-1, *shape)  # noqa: E731

    def interpolant(t):
        values = rows(found.sol(np.atleast_1d(t)))
        return values if np.ndim(t) else values[0]

    grid = Grid.of(found.t, plan.t, dense=True)
    stats = Stats(len(found.t) - 1, 0, field.calls)
    states = rows(found.y)
    saved = interpolant(plan.t)
    saved[0], saved[-1] = p.y0, states[-1]
    return Solution(plan.t, saved, f"scipy:{plan.name}", stats, grid, states, p, interpolant)


def solve(name: str, field: Field, y0: np.ndarray, t: np.ndarray, tolerance: Tolerance):
    """scipy's result over [t[0], t[−1]]."""
    from scipy.integrate import solve_ivp

    shape, budget = y0.shape, 50 * tolerance.max_steps
    options: dict = {}
    if name in IMPLICIT:
        options["jac"] = lambda s, y: field.jacobian(s, y.reshape(shape)).full()
    if tolerance.first_step is not None:
        options["first_step"] = tolerance.first_step
    if name == "LSODA":
        options["min_step"] = tolerance.min_step
    reached = [float(t[0])]

    def rate(s, y) -> np.ndarray:
        reached[0] = s
        if field.calls > budget:
            raise MaxStepsError(
                f"scipy:{name} took more than {budget} evaluations, at t = {s:g}, before the end at "
                f"{t[-1]:g}; raise max_steps, loosen the tolerance, or take an implicit method",
                s,
            )
        return np.asarray(field(s, y.reshape(shape))).ravel()

    atol = tolerance.atol if np.ndim(tolerance.atol) == 0 else np.broadcast_to(tolerance.atol, shape).ravel()
    # scipy warns where rtol is below what it resolves, and takes that instead.
    rtol = max(tolerance.rtol, 100 * np.finfo(float).eps)
    with np.errstate(all="ignore"):
        found = solve_ivp(
            rate,
            (t[0], t[-1]),
            y0.ravel().astype(float),
            method=name,
            dense_output=True,
            rtol=rtol,
            atol=atol,
            max_step=tolerance.max_step,
            **options,
        )
    if not found.success:
        raise IntegrationError(f"scipy:{name} stopped at t = {found.t[-1]:g}: {found.message}", found.t[-1])
    if not np.isfinite(found.y).all():
        k = int(np.flatnonzero(~np.isfinite(found.y).all(axis=0))[0])
        raise BlowUpError(f"the state became NaN or infinite at t = {found.t[k]:g}", found.t[k])
    return found
