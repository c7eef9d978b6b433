"""``shooting``: all controls at once as the variables of L-BFGS-B, the gradient by one backward sweep.

Nothing of second order is asked of plant and cost, several starts may share the controls, and long horizons
cost a sweep an evaluation.

Source: Byrd, Lu, Nocedal & Zhu (1995), A limited memory algorithm for bound constrained optimization.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import NamedTuple

import numpy as np

from msgpass import Messages
from msgpass.errors import ConvergenceWarning, DataError, MessagePassingError, NumericalError
from rnn.systems.control.checks import positive, whole
from rnn.systems.control.limits import free_controls, kkt_residual
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.random_controls import random_controls
from rnn.systems.control.result import ControlResult, Iteration
from rnn.systems.control.solver import FALLING, exhausted, model_at, result_of
from rnn.systems.control.trajectory_graph import TrajectoryGraph

STUCK = "no step lowers the cost"
STALLED = 1e-12  # of the cost: falls of two iterations below that are rounding


class Shot(NamedTuple):
    """A path and its gradient."""

    inputs: np.ndarray
    states: np.ndarray
    cost: float
    costates: np.ndarray
    gradient: np.ndarray
    messages: Messages


def shooting(
    problem: OptimalControl,
    inputs=None,
    *,
    n_iter: int = 1000,
    tol: float = 1e-6,
    memory: int = 10,
    restarts: int = 0,
    spread: float = 1.0,
    random_state=None,
    callback: Callable | None = None,
) -> ControlResult:
    """Optimise the controls open loop, within their limits.

    Parameters
    ----------
    problem : OptimalControl
        With several starts, the controls that are best for their mean cost.
    inputs : (T, m) array, optional
        Controls to start from; zero by default.
    n_iter : int
        Most iterations of a try.
    tol : float
        Done when max |u − clip(u − ∂J/∂u)| ≤ tol · max(1, |J|), |J| at most that of the first path.
    memory : int
        Pairs of steps and changes of gradient that are kept.
    restarts : int
        Further tries from random smooth controls; the best result is returned, and ``tries`` holds the cost
        of each.
    spread : float
        Size of random controls that have no limits, around ``inputs``.
    random_state : int or Generator, optional
        Needed where there are restarts.
    callback : callable, optional
        ``callback(iteration)`` after each :class:`Iteration`; its ``length`` is NaN, for the line search is
        SciPy's.

    Returns
    -------
    ControlResult
        With the feedback of the linear-quadratic model around the path where there is one start.

    Warns
    -----
    ConvergenceWarning
        When it stopped before it met ``tol``.

    Examples
    --------
    >>> from rnn.systems.control import Energy, OptimalControl, plants
    >>> problem = OptimalControl(
    ...     plants.double_integrator(),
    ...     Energy(),
    ...     lambda x: 50 * ((x - 1) ** 2).sum(),
    ...     start=[0, 0],
    ...     horizon=20,
    ...     lower=-1,
    ...     upper=1,
    ... )
    >>> shooting(problem).converged
    True
    """
    if not isinstance(problem, OptimalControl):
        raise DataError(f"expected an OptimalControl, got {type(problem).__name__}")
    whole("n_iter", n_iter), whole("memory", memory)
    tol, spread = positive("tol", tol), positive("spread", spread)
    if isinstance(restarts, bool) or not isinstance(restarts, int | np.integer) or restarts < 0:
        raise DataError(f"restarts must be a whole number ≥ 0, got {restarts!r}")
    if restarts and random_state is None:
        raise DataError("restarts are random: give random_state=, a seed")
    if callback is not None and not callable(callback):
        raise DataError(f"callback must be a function of an Iteration, got {callback!r}")
    began = perf_counter()
    first, rng = problem.controls(inputs), np.random.default_rng(random_state)
    starts = [first, *(random_controls(problem, first, spread, rng) for _ in range(restarts))]
    graph = TrajectoryGraph(problem.plant, problem.cost, problem.terminal, problem.start, first)
    best: Descent | None = None
    tries = []
    for k, start in enumerate(starts):
        descent = Descent(problem, graph, n_iter, tol, memory, callback)
        try:
            descent.run(start)
        except NumericalError as error:
            if k == 0 and not restarts:
                raise NumericalError(
                    f"the first controls cannot be followed: {error}. Start from others (inputs=)"
                ) from error
            tries.append(np.inf)
            continue
        tries.append(descent.at.cost)
        if best is None or descent.at.cost < best.at.cost:
            best = descent
        if descent.interrupted:
            break
    if best is None:
        raise NumericalError(f"none of {len(starts)} first controls can be followed: the path blows up")
    if best.reason == STUCK and exhausted(problem, best.at.inputs):
        best.converged, best.reason = True, "the cost falls no further"
    if not best.converged:
        warnings.warn(
            f"lbfgs stopped before it met its tolerance: {best.reason} (KKT residual "
            f"{kkt_residual(problem, best.at):.2g}, cost {best.at.cost:.6g}); give more n_iter, a larger "
            "tol, restarts or other first inputs",
            ConvergenceWarning,
            stacklevel=2,
        )
    found = result_of(
        problem, best.at, "lbfgs", best.converged, best.reason, best.costs, best.iterations,
        perf_counter() - began, _feedback(problem, best.at),
    )  # fmt: skip
    return replace(found, tries=np.array(tries))


def _feedback(problem: OptimalControl, at: Shot):
    """The model around the path: of one start, and where plant and cost have second derivatives."""
    if problem.start.ndim == 2:
        return None
    try:
        return model_at(problem, at.inputs)
    except MessagePassingError:
        return None


class Descent:
    """One try: L-BFGS-B from one sequence of controls."""

    def __init__(self, problem, graph, n_iter, tol, memory, callback):
        self.problem, self.graph, self.callback = problem, graph, callback
        self.n_iter, self.tol, self.memory = n_iter, tol, memory
        self.converged, self.interrupted, self.reason = False, False, ""
        self.iterations: list[Iteration] = []
        self.at: Shot
        self.last: Shot

    def shoot(self, inputs: np.ndarray) -> Shot:
        """One run of the plant under ``Adjoint``."""
        m = self.graph.run(self.problem.start, inputs)
        if not np.isfinite(m.total):
            raise NumericalError("the cost is infinite")
        states, costates = (np.moveaxis(a, 0, -2) for a in (m.forward["x"], m.gradient["x"]))
        return Shot(inputs, states, float(m.total), costates, m.gradient["u"][:-1], m)

    def run(self, start: np.ndarray) -> None:
        """To a local minimum, or as far as it goes."""
        from scipy.optimize import minimize

        self.at = self.last = self.shoot(start)
        self.costs_list = [self.at.cost]
        options = {"maxcor": self.memory, "ftol": 0.0, "gtol": 0.0, "maxls": 40}
        bounds = np.column_stack([self.problem.lower.ravel(), self.problem.upper.ravel()])
        try:
            while not self._done():
                left, before = self.n_iter - len(self.iterations), self.at.cost
                minimize(
                    self._objective, self.at.inputs.ravel(), jac=True, method="L-BFGS-B", bounds=bounds,
                    callback=self._told, options={**options, "maxiter": left, "maxfun": 50 * left},
                )  # fmt: skip
                if self._done():
                    return
                # A line search that failed: once more with the memory emptied, as long as that helps.
                if before - self.at.cost <= STALLED * max(1.0, abs(before)):
                    self.reason = STUCK
                    return
        except KeyboardInterrupt:
            self.reason, self.interrupted = "interrupted", True

    @property
    def costs(self) -> np.ndarray:
        """At the start and after every iteration."""
        return np.array(self.costs_list)

    def _done(self) -> bool:
        first = abs(self.costs_list[0])
        if kkt_residual(self.problem, self.at) <= self.tol * max(1.0, min(abs(self.at.cost), first)):
            self.converged, self.reason = True, "the gradient met tol"
        elif self.at.cost < -FALLING * max(1.0, first):
            self.reason = "costs fall without end; give limits, or controls a positive cost"
        elif len(self.iterations) >= self.n_iter:
            self.reason = f"{self.n_iter} iterations did not meet tol"
        return bool(self.reason)

    def _objective(self, flat: np.ndarray) -> tuple[float, np.ndarray]:
        inputs = self.problem.clip(flat.reshape(self.at.inputs.shape))
        if np.array_equal(inputs, self.last.inputs):
            return self.last.cost, self.last.gradient.ravel()
        try:
            self.last = self.shoot(inputs)
        except NumericalError:
            return self._beyond(inputs)
        return self.last.cost, self.last.gradient.ravel()

    def _beyond(self, inputs: np.ndarray) -> tuple[float, np.ndarray]:
        """What the line search is told of a path that blows up: the parabola with the slope at the last good
        path whose minimum is a tenth of the way out."""
        step = (inputs - self.at.inputs).ravel()
        slope = min(float(self.at.gradient.ravel() @ step), -1e-8 * max(1.0, abs(self.at.cost)))
        return self.at.cost - 4 * slope, -9 * slope * step / (step @ step)

    def _told(self, intermediate_result) -> None:
        inputs = self.problem.clip(intermediate_result.x.reshape(self.at.inputs.shape))
        residual, clamped = kkt_residual(self.problem, self.at), ~free_controls(self.problem, self.at)
        self.at = self.last if np.array_equal(inputs, self.last.inputs) else self.shoot(inputs)
        iteration = Iteration(self.at.cost, residual, float("nan"), 0.0, int(clamped.sum()))
        self.iterations.append(iteration)
        self.costs_list.append(self.at.cost)
        if self.callback is not None:
            self.callback(iteration)
        if self._done():
            raise StopIteration
