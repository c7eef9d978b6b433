"""The forward integration that finds the steps: try, measure the error, accept or shrink.

The first step is Hairer, Nørsett & Wanner's (I, II.4). A step that would end just short of a save time is
stretched to it, or halved; the size that was wanted is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.ode.controller import Controller
from rnn.ode.errors import (
    BlowUpError,
    ImplicitStageError,
    IntegrationError,
    MaxStepsError,
    StepSizeError,
)
from rnn.ode.field import rate_at_start
from rnn.ode.quick import Trial
from rnn.ode.steps import SolverStep

STRETCH = 1.01  # a step is made longer by so much to meet a save time
UNBOUNDED = 1e10  # growth over the start from which a vanishing step means a blow-up
BACK_OFF = 0.25  # of a step whose end is not finite, or whose equations were not solved


@dataclass(frozen=True)
class Tolerance:
    """What a step may err, and how far steps may go."""

    rtol: float = 1e-6
    atol: float | np.ndarray = 1e-9
    controller: Controller = Controller()  # noqa: RUF009
    first_step: float | None = None
    min_step: float = 0.0
    max_step: float = np.inf
    max_steps: int = 100_000

    def __post_init__(self) -> None:
        try:
            _, atol = np.asarray(self.rtol, float), np.asarray(self.atol, float)
        except (TypeError, ValueError):
            raise DataError(f"tolerances are numbers, got rtol={self.rtol!r}, atol={self.atol!r}") from None
        if np.ndim(self.rtol):
            raise DataError(
                f"rtol is one number, got shape {np.shape(self.rtol)}; atol may be an array like y"
            )
        if not (np.isfinite(self.rtol) and self.rtol >= 0 and np.isfinite(atol).all() and (atol >= 0).all()):
            raise DataError(
                f"tolerances are finite and not negative, got rtol={self.rtol!r}, atol={self.atol!r}"
            )
        if self.rtol == 0 and not (atol > 0).all():
            raise DataError("rtol and atol are both 0; no step meets that. Give one of them, such as 1e-6")
        if not isinstance(self.controller, Controller):
            raise DataError(f"controller is a Controller, got {type(self.controller).__name__}")
        for name in ("first_step", "min_step", "max_step", "max_steps"):
            value = getattr(self, name)
            if not isinstance(value, int | float | np.number) and not (
                value is None and name == "first_step"
            ):
                raise DataError(f"{name} is a number, got {value!r}")
        for name in ("first_step", "max_step"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise DataError(f"{name} must be positive, got {value!r}; backward in time, too")
        if not 0 <= self.min_step <= self.max_step:
            raise DataError(f"wanted 0 ≤ min_step ≤ max_step, got {self.min_step!r} and {self.max_step!r}")
        if isinstance(self.max_steps, bool) or self.max_steps % 1 != 0 or self.max_steps < 1:
            raise DataError(f"max_steps is a whole number ≥ 1, got {self.max_steps!r}")

    def check(self, y0: np.ndarray) -> None:
        """Raise unless ``atol`` is a number, or an array that goes with y0."""
        shape = np.shape(self.atol)
        own = y0.shape[max(y0.ndim - len(shape), 0) :]
        if len(shape) != len(own) or any(a not in (1, b) for a, b in zip(shape, own, strict=True)):
            raise ShapeError(
                f"atol has shape {shape}, y0 has {y0.shape}; give one number, or an array like y0"
            )
        if ((np.asarray(self.atol) == 0) & (y0 == 0)).any():
            raise DataError(
                "atol is 0 where y0 is 0: a relative error of 0 is no number; give atol, such as 1e-12"
            )

    def norm(self, error, y, y_new=None) -> float:
        """√mean (error / (atol + rtol |y|))²."""
        size = np.abs(y) if y_new is None else np.maximum(np.abs(y), np.abs(y_new))
        ratio = error / (self.atol + self.rtol * size)
        return float(np.sqrt(np.mean(ratio * ratio)))


@dataclass(frozen=True)
class Stats:
    """What an integration took."""

    accepted: int
    rejected: int = 0
    evaluations: int = 0


@dataclass(frozen=True)
class Path:
    """Accepted step ends (N + 1,), states there (N + 1, *shape), or at stops alone; and what it took."""

    times: np.ndarray
    states: np.ndarray
    stats: Stats


def first_step(rate: Callable, y, t, f0, span: float, tolerance: Tolerance, order: int) -> float:
    """|h| such that an Euler step errs a hundredth of the tolerance, by a look at the second derivative."""
    norm = lambda v: tolerance.norm(v, y)  # noqa: E731
    sign = 1.0 if span > 0 else -1.0
    with np.errstate(all="ignore"):
        d0, d1 = norm(y), norm(f0)
        h0 = 0.01 * d0 / d1 if d0 >= 1e-5 and d1 >= 1e-5 else 1e-6
        h0 = min(h0 if h0 > 0 else 1e-6, abs(span))
        f1 = np.asarray(rate(t + sign * h0, y + sign * h0 * f0))
        d2 = norm(f1 - f0) / h0
    if not np.isfinite(d2):
        return h0 * 1e-3
    steepest = max(d1, d2)
    h1 = max(1e-6, h0 * 1e-3) if steepest <= 1e-15 else (0.01 / steepest) ** (1 / (order + 1))
    return min(100 * h0, h1, abs(span))


def integrate(
    step: SolverStep, y0: np.ndarray, stops: np.ndarray, params, tolerance: Tolerance, keep: bool = True
) -> Path:
    """From stops[0] to stops[-1], a step ending at each stop; without ``keep``, states at stops alone."""
    method, controller, order = step.tableau, tolerance.controller, step.tableau.error_order
    sign = 1.0 if stops[-1] > stops[0] else -1.0
    t, y = float(stops[0]), y0
    rate = step.rate(params)
    first = rate_at_start(rate, y, t)
    if tolerance.first_step is not None:
        wanted = tolerance.first_step
    else:
        wanted = first_step(rate, y, t, first, float(stops[-1] - stops[0]), tolerance, order)
    near = 1e-8 * abs(float(stops[-1] - stops[0]))  # times that are 0 but for this have no finer grain
    times, states = [t], [y]
    errors, rejected = (1.0, 1.0, 1.0), 0
    known: np.ndarray | None = first
    k, after_rejection, broke = 1, False, False
    quick = None if method.implicit else rate.quick(y, ())
    quick = quick if quick is not None and quick.agrees(t, y, rate.bound, first) else None
    trial: Trial | None = None
    while k < len(stops):
        if len(times) - 1 + rejected >= tolerance.max_steps:
            raise MaxStepsError(_too_many(tolerance, method, t, stops), t)
        target = float(stops[k])
        left = abs(target - t)
        size = min(wanted, tolerance.max_step)
        lands = size * STRETCH >= left
        if lands:
            size = left
        elif size * 2 > left:
            size = left / 2
        if size < max(tolerance.min_step, 16 * np.spacing(max(abs(t), near))) and not (
            lands and wanted >= size
        ):
            raise underflow(tolerance, t, size, y, np.abs(y0).max(), broke)
        h = sign * size
        if trial is None and quick is not None:
            compiled = quick.trial(method, method.stages)
            trial = None if compiled is None else Trial(compiled, y, rate.bound, tolerance)
        try:
            if trial is not None:
                y_new, *ks, error = trial(y, t, h, known)
                rate.calls += method.stages - (known is not None)
            else:
                with np.errstate(all="ignore"):
                    y_new, ks = step.stages(y, t, h, params, first=known, rate=rate)
                    error = tolerance.norm(step.error(ks, h), y, y_new)
            broke = not np.isfinite(error) or not np.isfinite(y_new).all()
        except ImplicitStageError:
            broke, error, ks = True, np.inf, []
        if broke or error > 1.0:
            rejected += 1
            wanted = size * (BACK_OFF if broke else controller.shrink(order, error))
            after_rejection = True
            known = ks[0] if known is None and ks and method.starts_explicit else known
            continue
        t = target if lands else t + h
        y = y_new
        times.append(t)
        if keep or lands:
            states.append(y)
        k += lands
        errors = (error, *errors[:2])
        factor = controller.factor(order, errors)
        grown = size * (min(factor, 1.0) if after_rejection else factor)
        wanted = max(grown, wanted) if size < wanted and factor >= 1.0 else grown
        after_rejection = False
        known = ks[-1] if method.last_is_next else None
    return Path(np.array(times), np.stack(states), Stats(len(times) - 1, rejected, rate.calls))


def underflow(tolerance: Tolerance, t: float, size: float, y, start: float, broke: bool) -> IntegrationError:
    """What a step below the least means, with max|y| = ``start`` at first."""
    largest = np.abs(y).max()
    if largest > UNBOUNDED * (1 + start):
        return BlowUpError(f"the solution grows without bound: at t = {t:g} max|y| is {largest:.3g}", t)
    if broke:
        return BlowUpError(
            f"the solution becomes NaN or infinite after t = {t:g}, where max|y| is {largest:.3g}: "
            "it blows up there, or leaves where f is defined; stop before",
            t,
        )
    return StepSizeError(
        f"the step size fell to {size:.3g} at t = {t:g}, where max|y| is {largest:.3g}: the solution "
        "has a singularity there, f jumps, or the tolerance is below what floating point resolves; stop "
        f"before, or loosen rtol={tolerance.rtol:g}, atol={tolerance.atol}"
        + (f", or lower min_step={tolerance.min_step:g}" if tolerance.min_step else ""),
        t,
    )


def _too_many(tolerance: Tolerance, method, t: float, stops) -> str:
    way = (
        "raise max_steps, or loosen the tolerance"
        if method.implicit
        else "the system may be stiff: method='kvaerno5'; else raise max_steps or loosen the tolerance"
    )
    return f"max_steps={tolerance.max_steps} were taken at t = {t:g}, before the end at {stops[-1]:g}; {way}"
