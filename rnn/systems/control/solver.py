"""The iteration that :func:`ilqr` and :func:`ddp` share: expand, step by messages, search, damp.

One iteration is three runs of the engine: the plant under ``Adjoint`` (co-states, gradient), the Gaussian
chain of the problem around the path (gains, shift), and the plant forward at all step lengths.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np

from msgpass.errors import ConvergenceWarning, DataError, NumericalError, UnsupportedError
from rnn.systems.control.adjoint_pass import AdjointPass, Evaluated
from rnn.systems.control.checks import positive, whole
from rnn.systems.control.limits import free_controls, kkt_residual, limited_step
from rnn.systems.control.local_chain import Held, LocalChain, NewtonStep, expand, with_curvature
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.policy import CostToGo
from rnn.systems.control.problem import Stages
from rnn.systems.control.result import ControlResult, Iteration
from rnn.systems.control.search_pass import SearchPass

LENGTHS = 0.5 ** np.arange(12)
SUFFICIENT = 1e-4  # Armijo: the part of the predicted fall that a step must bring
FIRST_DAMPING, LAST_DAMPING = 1e-6, 1e10
ROUNDING = 1e-13  # of the cost: a promised fall below that cannot be seen
FALLING = 1e12  # times the first cost: a cost that has fallen so far below zero has no minimum
SILENT_SECONDS = 1.0


class Damping:
    """μ that grows ever faster while steps fail and shrinks ever faster while they succeed (Tassa 2012)."""

    def __init__(self, start: float):
        self.value, self.rate = start, 1.0

    def more(self) -> bool:
        """Raise μ; False where it is at its end."""
        self.rate = max(2.0, 2.0 * self.rate)
        self.value = max(FIRST_DAMPING, self.value * self.rate)
        return self.value <= LAST_DAMPING

    def less(self) -> None:
        """Lower μ, to 0 in the end."""
        self.rate = min(0.5, self.rate / 2)
        lower = self.value * self.rate
        self.value = lower if lower > FIRST_DAMPING else 0.0


class Solver:
    """One solution of a problem."""

    def __init__(self, problem: OptimalControl, second_order: bool, damping: float):
        if not isinstance(problem, OptimalControl):
            raise DataError(f"expected an OptimalControl, got {type(problem).__name__}")
        if problem.start.ndim == 2:
            raise UnsupportedError(
                f"a policy starts from one state, and this problem has {len(problem.start)}; shooting() "
                "finds controls that serve all of them"
            )
        self.problem, self.second_order = problem, second_order
        self.adjoint, self.chain = AdjointPass(problem), LocalChain(problem)
        self.search = SearchPass(problem, LENGTHS)
        self.damping = Damping(damping)
        self.limited = bool(np.isfinite(problem.lower).any() or np.isfinite(problem.upper).any())

    def start(self, inputs) -> Evaluated:
        """The first path."""
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                at = self.adjoint(self.problem.controls(inputs))
            if not np.isfinite(at.cost):
                raise NumericalError("their cost is infinite")
            self._check_rows(at)
            return at
        except NumericalError as problem:
            raise NumericalError(
                f"the first controls cannot be followed: {problem}. Start from others (inputs=); if a "
                "derivative fails, smooth the function"
            ) from problem

    def _check_rows(self, at: Evaluated) -> None:
        """Two steps at once are each as it is alone; near the path, for on it all steps may be the same."""
        plant, ends = self.problem.plant, [0, len(at.inputs) - 1]
        nudge = np.array([[0.01], [-0.02]])
        x, u = (a[ends] + nudge * (1 + np.abs(a[ends])) for a in (at.states[:-1], at.inputs))
        t = np.array(ends, dtype=float)
        with np.errstate(all="ignore"):
            both = plant(x, u, t)
            alone = np.concatenate([plant(x[k : k + 1], u[k : k + 1], t[k : k + 1]) for k in (0, 1)])
            gap = np.abs(both - alone)
        if (gap > 1e-6 * (1 + np.abs(alone))).any():  # False of what is NaN out there
            raise DataError(
                f"plant {plant.name!r} gives other states for two steps at once than for one and then the "
                f"other (by {gap.max():.3g}): it mixes steps, or keeps something between calls; with "
                "vectorized=True each row of states and controls is a step of its own"
            )

    def iterate(self, at: Evaluated) -> tuple[Evaluated | None, Iteration]:
        """A better path (None where there is none), and what was done."""
        models, free = self.models(at), free_controls(self.problem, at)
        residual, clamped = kkt_residual(self.problem, at), int((~free).sum())
        while True:
            used = self.damping.value
            for step in self.steps(models, at, free, used):
                found = self._descend(at, step)
                if found is not None:
                    after, length = found
                    if length > 0.2:
                        self.damping.less()
                    elif length < 0.02:
                        self.damping.more()
                    return after, Iteration(after.cost, residual, length, used, clamped)
            if not self.damping.more():
                return None, Iteration(at.cost, residual, 0.0, used, clamped)

    def exhausted(self, at: Evaluated) -> bool:
        """The undamped model promises a fall that is lost in the cost's rounding."""
        found = self.newton(self.models(at), free_controls(self.problem, at), 0.0)
        return found is not None and -_slope(at, found[0]) <= ROUNDING * max(1.0, abs(at.cost))

    def models(self, at: Evaluated) -> list[Stages]:
        """The best model around the path, then one that is convex more often."""
        gauss_newton = expand(self.problem, at)
        if not self.second_order:
            return [gauss_newton]
        return [with_curvature(self.problem, at, gauss_newton), gauss_newton]

    def newton(
        self, models: list[Stages], free: np.ndarray, damping: float
    ) -> tuple[NewtonStep, Stages] | None:
        """The step of the first model that is convex, and the model."""
        held = Held(free, np.zeros(free.shape))
        for stages in models:
            step = self.chain.step(stages, held, damping)
            if step is not None:
                return step, stages
        return None

    def steps(
        self, models: list[Stages], at: Evaluated, free: np.ndarray, damping: float
    ) -> Iterator[NewtonStep]:
        """The model's step within the limits; then the one that clamps what is clamped now, which always
        descends."""
        found = self.newton(models, free, damping)
        if found is None:
            return
        first, stages = found
        if self.limited:
            step = limited_step(self.problem, at, self.chain, stages, first, damping)
            if step is not None and step is not first:
                yield step
        yield first

    def _descend(self, at: Evaluated, step: NewtonStep) -> tuple[Evaluated, float] | None:
        """The best of the step lengths that bring their part of the fall."""
        slope = _slope(at, step)
        _, U, costs = self.search(at, step.policy)
        # Where limits cut the step short: the slope along the controls that were really applied.
        along = ((U - at.inputs) * at.gradient).sum(axis=(1, 2))
        enough = (slope < 0) & (costs <= at.cost + SUFFICIENT * LENGTHS * slope)
        enough |= (along < 0) & (costs <= at.cost + SUFFICIENT * along)
        enough &= costs < at.cost
        if not enough.any():
            return None
        best = int(np.argmin(np.where(enough, costs, np.inf)))
        after = self.adjoint(U[best])
        return (after, float(LENGTHS[best])) if after.cost < at.cost else None

    def model(self, at: Evaluated) -> NewtonStep | None:
        """Gains and cost-to-go at the path found, with as little damping as it takes."""
        models, free, damping = self.models(at), free_controls(self.problem, at), Damping(0.0)
        while True:
            found = self.newton(models, free, damping.value)
            if found is not None or not damping.more():
                return found[0] if found is not None else None


def _slope(at: Evaluated, step: NewtonStep) -> float:
    """Of the cost along the model's controls."""
    return float((at.gradient * step.inputs).sum())


def solve(
    problem: OptimalControl,
    inputs,
    method: str,
    n_iter: int,
    tol: float,
    damping: float,
    progress: bool,
    callback: Callable | None,
) -> ControlResult:
    """Iterate to a local optimum."""
    whole("n_iter", n_iter)
    tol = positive("tol", tol)
    if not isinstance(damping, int | float | np.number) or not 0 <= damping < np.inf:
        raise DataError(f"damping must be a finite number ≥ 0, got {damping!r}")
    if callback is not None and not callable(callback):
        raise DataError(f"callback must be a function of an Iteration, got {callback!r}")
    began = perf_counter()
    solver = Solver(problem, method == "ddp", float(damping))
    at = solver.start(inputs)
    costs, done = [at.cost], []
    converged, reason = False, f"{n_iter} iterations did not meet tol"
    try:
        with _bar(method, n_iter, progress) as bar:
            for k in range(n_iter + 1):
                # Not |J| alone: where costs fall without end it would grow beyond every gradient.
                if kkt_residual(problem, at) <= tol * max(1.0, min(abs(at.cost), abs(costs[0]))):
                    converged, reason = True, "the gradient met tol"
                    break
                if k == n_iter:
                    break
                after, iteration = solver.iterate(at)
                if after is not None and after.cost < -FALLING * max(1.0, abs(costs[0])):
                    at, reason = after, "costs fall without end; give limits, or controls a positive cost"
                    break
                if after is None:
                    converged = solver.exhausted(at)
                    reason = "the cost falls no further" if converged else "no step lowers the cost"
                    break
                at = after
                done.append(iteration)
                costs.append(at.cost)
                bar.update()
                bar.set_postfix_str(f"cost {at.cost:.6g}", refresh=False)
                if callback is not None:
                    callback(iteration)
    except KeyboardInterrupt:
        reason = "interrupted"
    if not converged:
        warnings.warn(
            f"{method} stopped before it met its tolerance: {reason} (KKT residual "
            f"{kkt_residual(problem, at):.2g}, cost {at.cost:.6g}); give more n_iter, a larger tol or "
            "other first inputs",
            ConvergenceWarning,
            stacklevel=3,
        )
    seconds = perf_counter() - began
    return result_of(problem, at, method, converged, reason, np.array(costs), done, seconds, solver.model(at))


def model_at(problem: OptimalControl, inputs: np.ndarray) -> NewtonStep | None:
    """Gains and cost-to-go around the path of some controls; None where no model is convex."""
    solver = Solver(problem, True, 0.0)
    return solver.model(solver.adjoint(inputs))


def exhausted(problem: OptimalControl, inputs: np.ndarray) -> bool:
    """What Newton's step from some controls promises is lost in the cost's rounding; False of several starts,
    which have no model."""
    if problem.start.ndim == 2:
        return False
    solver = Solver(problem, True, 0.0)
    return solver.exhausted(solver.adjoint(inputs))


def result_of(
    problem: OptimalControl,
    at,
    method: str,
    converged: bool,
    reason: str,
    costs: np.ndarray,
    done: list[Iteration],
    seconds: float,
    step: NewtonStep | None,
) -> ControlResult:
    """The result at a path, with the feedback of a model around it."""
    T, n, m = problem.horizon, problem.plant.states, problem.plant.inputs
    gain, messages = np.zeros((T, m, n)), None
    value = CostToGo(np.zeros((T + 1, n, n)), np.zeros((T + 1, n)), np.zeros(T + 1))
    if step is not None:
        spent = problem.costs(at.states, at.inputs)
        gain, messages = step.policy.gain, step.messages
        value = CostToGo(step.value.P, step.value.p, np.cumsum(spent[::-1])[::-1])
    return ControlResult(
        problem,
        at.states,
        at.inputs,
        at.cost,
        at.gradient,
        at.costates,
        gain,
        value,
        ~free_controls(problem, at),
        converged,
        reason,
        kkt_residual(problem, at),
        costs,
        method,
        seconds,
        messages,
        at.messages,
        done,
    )


def _bar(method: str, n_iter: int, progress: bool):
    from tqdm import tqdm

    return tqdm(
        total=n_iter, desc=method, delay=SILENT_SECONDS, leave=False, disable=None if progress else True
    )
