"""Gradients of a loss on saved states: :func:`odeint_gradient`, discrete or by the continuous adjoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass import Loss, Messages, run
from msgpass.errors import DataError, NumericalError, UnsupportedError
from msgpass.schedule.base import Schedule
from msgpass.schedule.sequential import Sequential
from rnn.ode.adaptive import Tolerance
from rnn.ode.adjoint import adjoint_gradient
from rnn.ode.controller import Controller
from rnn.ode.grid import Grid
from rnn.ode.integration import Plan
from rnn.ode.losses import SavedLoss
from rnn.ode.methods import METHODS
from rnn.ode.problem import LOSSES, check_choice, saved_loss, seeds_loss, states_loss
from rnn.ode.result import OdeGradient
from rnn.ode.scipy_methods import ScipyPlan, scipy_name, scipy_solution
from rnn.ode.solution import Solution


def odeint_gradient(
    f,
    y0,
    t,
    params=None,
    method="dopri5",
    *,
    loss: Callable | np.ndarray,
    gradient: str | None = None,
    schedule: Schedule | None = None,
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
) -> OdeGradient:
    """Gradient of a loss on the saved states, with respect to y0, params and save times.

    Parameters
    ----------
    f, y0, t, params, method and what chooses the steps
        As for :func:`~rnn.ode.odeint`.
    loss : callable or array
        ``loss(y)`` of the saved states (S, *shape): a number (autograd differentiates it), or (number,
        gradient). An array like y stands for Σ array · y, so that the result is a vector-Jacobian product.
    gradient : {"discrete", "adjoint", "backsolve"}
        ``discrete``: of the numbers that the steps compute, exact to rounding, by messages along the chain.
        Where a tolerance chose the steps, they are held; how they would move is no part of the derivative,
        and of the order of the tolerance. ``adjoint``: the continuous adjoint dλ/dt = −(∂f/∂y)ᵀλ, itself
        integrated, by the same method and tolerance; its error is that of both integrations. It reads y from
        the forward solution's interpolant. ``backsolve`` integrates y backward beside λ, from each saved
        state to the one before: nothing but saves is kept, and where the system contracts, y drifts away.
        By default ``discrete``, and ``adjoint`` for scipy's methods, whose steps are no factors.
    schedule : schedule, optional
        Of the discrete gradient. ``Checkpointed(slots)`` keeps few states and recomputes the rest, with the
        same result.

    Returns
    -------
    OdeGradient

    Examples
    --------
    >>> found = odeint_gradient(
    ...     lambda t, y, k: -k * y, 1.0, [0, 1], 2.0, loss=lambda y: y[-1], rtol=1e-10, atol=1e-12
    ... )
    >>> found.y0.round(6).tolist(), found.params.round(6).tolist()  # exp(−2), −exp(−2)
    (0.135335, -0.135335)
    >>> found.t.round(6).tolist()  # ∓ dy/dt at the end
    [0.270671, -0.270671]
    """
    scipy = scipy_name(method) is not None
    kind = gradient or ("adjoint" if scipy else "discrete")
    check_choice("gradient", kind, ("discrete", "adjoint", "backsolve"))
    tolerance = Tolerance(rtol, atol, controller, first_step, min_step, max_step, max_steps)
    of_saved = SavedLoss(loss)
    if schedule is not None and not isinstance(schedule, Schedule):
        raise DataError(f"schedule is a schedule such as Checkpointed(20), got {type(schedule).__name__}")
    if kind != "discrete" and schedule is not None:
        raise UnsupportedError("schedule is of the discrete gradient; the adjoint keeps no chain of steps")
    if scipy and kind == "discrete":
        raise UnsupportedError(
            f"{method}: scipy's steps are no factors; gradient='adjoint', or one of {', '.join(METHODS)}"
        )
    if scipy:
        theirs = ScipyPlan.of(f, y0, t, params, method, step, grid, tolerance)
        return adjoint_gradient(scipy_solution(theirs), theirs, of_saved, kind)
    plan = Plan.of(f, y0, t, params, method, step=step, grid=grid, saves=saves, tolerance=tolerance)
    if kind == "discrete":
        return discrete_gradient(plan, of_saved, schedule)
    return adjoint_gradient(plan.solve(), plan, of_saved, kind)


def discrete_gradient(plan: Plan, loss: SavedLoss, schedule: Schedule | None) -> OdeGradient:
    """Through the steps."""
    problem, path = plan.problem, None
    stepwise = schedule is not None and type(schedule) is not Sequential
    lean = schedule is not None and schedule.slots is not None
    if stepwise and plan.dense:
        raise UnsupportedError(
            f"{schedule!r} with saves='dense': dense saves read every step at once; use saves='steps'"
        )
    if plan.grid is None:
        grid, path = plan.searched(keep=not lean)
        stats = path.stats
    else:
        grid, stats = plan.grid, plan.stats(plan.grid)
        plan.check_rate()
    try:
        if stepwise:
            states = path.states if path is not None else None
            if states is None:
                states = problem.saved_states(grid) if lean else problem.states(grid)
            saved = states if lean else states[grid.at]
            value, m = _stepwise(plan, grid, loss, schedule, saved)
        else:
            value, m = _at_once(plan, grid, loss)
            states = np.concatenate([problem.y0[None], m.forward["y"]])
            saved = m.forward["saved"] if grid.dense else states[grid.at]
    except NumericalError as failed:
        raise plan.explained(grid, failed) from None
    name = problem.step.tableau.name
    solution = Solution(grid.t, saved, name, stats, grid, None if lean else states, problem)
    y0, arrays = m.parameters["y0"], {n: m.parameters[n] for n in problem.arrays}
    read = (lambda: _times(grid, m), lambda: np.concatenate([y0[None], m.gradient["y"]]))
    return OdeGradient(value, y0, problem.packing.user(arrays), grid.times, solution, read, m)


def _at_once(plan: Plan, grid: Grid, loss: SavedLoss):
    """Forward, the user's loss, and back, in one run."""
    found: list[float] = []

    def function(saved):
        value, gradient = loss(saved)
        found.append(value)
        return value, gradient

    def attach(graph):
        number = graph.observe("number", 0.0)
        if grid.dense:
            graph.factor(saved_loss(), graph["saved"][:], number, name="loss")
        else:
            graph.factor(states_loss(grid.at), graph["y"][:], graph["y0"], number, name="loss")

    graph = plan.problem.kept(grid, ("loss", grid.at.tobytes()), attach)
    values = {**plan.problem.values(grid), "number": LOSSES.add(function)}
    m = run(graph, values=values)
    return found[0], m


def _stepwise(plan: Plan, grid: Grid, loss: SavedLoss, schedule, saved: np.ndarray):
    """Back from what the loss says to every save, as data."""
    problem = plan.problem
    value, gradient = loss(saved)
    which = np.full(grid.steps + 1, -1.0, problem.y0.dtype)
    which[grid.at] = np.arange(len(grid.t))
    given = {"seed": gradient, "which": which[1:], "seed0": gradient[0]}

    def attach(graph):
        seed, here = (graph.observe(n, np.zeros_like(given[n])) for n in ("seed", "which"))
        graph.factor(seeds_loss(), graph["y"][:], here[:], seed, name="loss")
        start = graph.observe("seed0", np.zeros_like(problem.y0))
        product = Loss(lambda y, s: (float((y * s).sum()), (s, None)))
        graph.factor(product, graph["y0"], start, name="loss of the start")

    graph = problem.kept(grid, "seeds", attach)
    return value, run(graph, schedule=schedule, values={**problem.values(grid), **given})


def _times(grid: Grid, m: Messages) -> np.ndarray:
    """∂L/∂(save times)."""
    if grid.theta is None:
        return grid.moved(m.gradient["t"], m.gradient["h"])
    widths = np.diff(grid.times)
    inner = m.gradient["theta"] / widths[grid.at]
    found = inner.copy()
    ends = np.zeros(len(grid.times))
    ends[:-1] += m.gradient["t"] - m.gradient["h"]
    ends[1:] += m.gradient["h"]
    # θ = (t − τ_n) / h_n, with τ and h of the step also read by the interpolant.
    np.add.at(ends, grid.at, m.gradient["t_before"] - m.gradient["h_around"] - inner * (1 - grid.theta))
    np.add.at(ends, grid.at + 1, m.gradient["h_around"] - inner * grid.theta)
    place = (grid.times - grid.times[0]) / (grid.times[-1] - grid.times[0])
    found[0] += ((1 - place) * ends).sum()
    found[-1] += (place * ends).sum()
    return found
