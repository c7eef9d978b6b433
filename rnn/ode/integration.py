"""``odeint``: forward through the steps, and :func:`graph`, the same as a graph of the user's own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from msgpass import FactorGraph
from msgpass.errors import DataError, NumericalError
from rnn.ode.adaptive import Path, Stats, Tolerance, integrate
from rnn.ode.controller import Controller
from rnn.ode.errors import BlowUpError
from rnn.ode.field import rate_at_start
from rnn.ode.grid import Grid, check_grid, check_times
from rnn.ode.problem import Problem, check_choice
from rnn.ode.scipy_methods import ScipyPlan, scipy_name, scipy_solution
from rnn.ode.solution import Solution
from rnn.ode.steps import tableau_of


@dataclass(frozen=True)
class Plan:
    """How to go: a problem, its save times, and the steps or what decides on them."""

    problem: Problem
    t: np.ndarray
    dense: bool
    tolerance: Tolerance
    grid: Grid | None

    @classmethod
    def of(
        cls, f, y0, t, params, method, *, step=None, grid=None, saves="steps", tolerance: Tolerance
    ) -> Plan:
        """Checked."""
        times, tableau = check_times(t), tableau_of(method)
        dense = check_choice("saves", saves, ("steps", "dense")) == "dense"
        problem = Problem.of(f, y0, params, tableau)
        tolerance.check(problem.y0)
        if step is not None and grid is not None:
            raise DataError("give step=, a fixed step size, or grid=, the ends of all steps, not both")
        made = None
        if grid is not None:
            made = check_grid(grid.times if isinstance(grid, Grid) else grid, times, dense)
        elif step is not None:
            if not isinstance(step, float | int | np.number) or not 0 < float(step) < np.inf:
                raise DataError(f"step is a positive number, backward in time, too; got {step!r}")
            least = abs(times[-1] - times[0]) / float(step)
            if least > tolerance.max_steps * (1 + 1e-6):
                raise DataError(
                    f"step={step!r} makes {least:.10g} steps, more than max_steps={tolerance.max_steps}; "
                    "raise it"
                )
            made = Grid.fixed(times, float(step), dense)
        elif not tableau.adaptive:
            made = Grid.fixed(times, None, dense)
        if made is not None and made.steps > tolerance.max_steps:
            raise DataError(
                f"step={step!r} makes {made.steps} steps, more than max_steps={tolerance.max_steps}; raise it"
            )
        return cls(problem, times, dense, tolerance, made)

    def searched(self, keep: bool = True) -> tuple[Grid, Path]:
        """The steps that the tolerance asks for; without ``keep``, states at stops alone."""
        stops = self.t[[0, -1]] if self.dense else self.t
        p = self.problem
        path = integrate(p.step, p.y0, stops, p.params, self.tolerance, keep)
        return Grid.of(path.times, self.t, self.dense), path

    def solve(self) -> Solution:
        """Forward."""
        if self.grid is None:
            grid, path = self.searched()
            return self.solution(grid, path.states, path.stats)
        return self.solution(self.grid, self.states(self.grid), self.stats(self.grid))

    def stats(self, grid: Grid) -> Stats:
        """Of fixed steps."""
        return Stats(grid.steps, 0, grid.steps * len(self.problem.step.tableau.used))

    def states(self, grid: Grid) -> np.ndarray:
        """(N + 1, *shape), by the engine."""
        self.check_rate()
        try:
            return self.problem.states(grid)
        except NumericalError as problem:
            raise self.explained(grid, problem) from None

    def check_rate(self) -> None:
        """f fits y, and is finite at the start."""
        p = self.problem
        rate_at_start(p.step.rate(p.params), p.y0, float(self.t[0]))

    def solution(self, grid: Grid, states: np.ndarray, stats: Stats) -> Solution:
        """The result of a grid."""
        empty = np.empty((0, *self.problem.y0.shape), self.problem.y0.dtype)
        name = self.problem.step.tableau.name
        made = Solution(grid.t, empty, name, stats, grid, states, self.problem)
        return replace(made, y=made.at(grid.t) if grid.dense else states[grid.at])

    def explained(self, grid: Grid, problem: NumericalError) -> NumericalError:
        """With the time at which it happened."""
        p, y = self.problem, self.problem.y0
        with np.errstate(all="ignore"):
            for t, h in zip(grid.times[:-1], np.diff(grid.times), strict=True):
                before = y
                try:
                    y = p.step(y, float(t), float(h), p.params)
                except NumericalError as other:
                    return other
                if not np.isfinite(y).all():
                    return BlowUpError(
                        f"the state becomes NaN or infinite in the step from t = {t:g} to {t + h:g}, where "
                        f"max|y| is {np.abs(before).max():.3g}: the solution blows up, or the step is too "
                        "long for the method; shorten it, let a tolerance choose it (method='dopri5' without "
                        "step=), or for a stiff system take method='kvaerno5'",
                        t,
                    )
        return problem


def odeint(
    f,
    y0,
    t,
    params=None,
    method="dopri5",
    *,
    rtol: float = 1e-6,
    atol=1e-9,
    step: float | None = None,
    grid=None,
    saves: str = "steps",
    controller: Controller = Controller(),  # noqa: B008
    first_step: float | None = None,
    min_step: float = 0.0,
    max_step: float = np.inf,
    max_steps: int = 100_000,
) -> Solution:
    """Solve dy/dt = f(t, y, params), y(t[0]) = y0.

    Parameters
    ----------
    f : callable or Step
        ``f(t, y, params)`` → dy/dt, in NumPy; ``f(t, y)`` where ``params`` is None. Time comes first, as in
        scipy's ``solve_ivp``, torchdiffeq and diffrax, so that their functions go over as they are. A list of
        numbers is stacked. Functions of JAX or torch: ``Step.from_jax(f)``, with the arrays of ``params`` one
        by one, ``f(t, y, *arrays)``.
    y0 : array of any shape
        A batch is a leading axis of your own; it shares its steps.
    t : array (S,)
        Times to save at, from the start on; strictly increasing, or decreasing to go back in time.
    params : array or dict of arrays, optional
    method : str
        ``euler, midpoint, heun, rk4, bosh3, dopri5, tsit5``; implicit ``implicit_euler, trapezoid, kvaerno3,
        kvaerno5``; or scipy's, ``scipy:RK45, scipy:DOP853, scipy:Radau, scipy:BDF, scipy:LSODA``.
    rtol, atol : float; atol also an array like y
        A step's error, in the root mean square of error / (atol + rtol |y|), stays below 1.
    step : float, optional
        Fixed steps of at most this size, equal between save times. By default a method with an error
        estimate chooses its steps, and one without takes one step between two save times.
    grid : array or Grid, optional
        The ends of all steps, such as another solution's ``grid``.
    saves : {"steps", "dense"}
        Whether a step ends at each save time, so that saves have the method's order and are states of the
        chain; or saves are read off the method's interpolant, so that many of them cost no steps.
    controller : Controller
    first_step, min_step, max_step : float
        Sizes, positive in either direction.
    max_steps : int
        Accepted and rejected together.

    Returns
    -------
    Solution
        ``t``, ``y`` (S, *shape), ``stats``, ``at(t)`` between the steps, ``messages``.

    Raises
    ------
    BlowUpError, StepSizeError, MaxStepsError
        With the time ``t`` at which it happened.

    Examples
    --------
    >>> solution = odeint(lambda t, y, rate: -rate * y, 1.0, [0, 1, 2], 0.5)
    >>> solution.y.round(5)
    array([1.     , 0.60653, 0.36788])
    >>> round(float(solution.at(1.5)), 5)
    0.47237
    """
    tolerance = Tolerance(rtol, atol, controller, first_step, min_step, max_step, max_steps)
    if scipy_name(method) is not None:
        return scipy_solution(ScipyPlan.of(f, y0, t, params, method, step, grid, tolerance))
    plan = Plan.of(f, y0, t, params, method, step=step, grid=grid, saves=saves, tolerance=tolerance)
    return plan.solve()


def graph(f, y0, t, params=None, method="dopri5", *, saved: bool = True, **options) -> FactorGraph:
    """The integration as a graph to attach factors to.

    Parameters
    ----------
    f, y0, t, params, method, **options
        As for :func:`odeint`. Where a tolerance chooses the steps, they are chosen now, and held.
    saved : bool
        Add the sequence ``saved`` of states at the save times. It reads every step at once, which a
        checkpointed run keeps; without it, attach to rows of ``y``.

    Returns
    -------
    FactorGraph
        Parameters ``y0`` and those of ``params`` (``params`` where that is one array), observations ``t`` and
        ``h`` (N,), sequences ``y`` (N steps) and ``saved``.

    Examples
    --------
    >>> from msgpass import Loss, run
    >>> g = graph(lambda t, y, k: -k * y, 1.0, np.linspace(0, 1, 5), 2.0, "rk4")
    >>> _ = g.factor(Loss(lambda y: (y, 1.0)), g["saved"][-1])
    >>> m = run(g)
    >>> m.gradient["y"].round(3).tolist()  # λ after each step
    [0.223, 0.368, 0.607, 1.0]
    >>> m.parameters["params"].round(3).tolist()
    -0.135
    """
    keywords = {k: options.pop(k) for k in ("step", "grid", "saves") if k in options}
    plan = Plan.of(f, y0, t, params, method, tolerance=Tolerance(**options), **keywords)
    return plan.problem.build(plan.grid or plan.searched()[0], saved)
