"""``Walk``: one accepted step after another, by a fixed step or by tolerance, for a run that may turn off
between two of them.

With a fixed step the ends lie on one grid from the start on, whatever events come between; a step after an
event goes to the next point of the grid.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rnn.ode.adaptive import BACK_OFF, STRETCH, Tolerance, first_step, underflow
from rnn.ode.errors import BlowUpError, ImplicitStageError, MaxStepsError
from rnn.ode.field import Field, check_rate
from rnn.ode.steps import SolverStep

ROUND = 1e-9  # part of a step within which two ends of steps are one


class Taken(NamedTuple):
    """A step from (t, y): to (end, state), by way of f at the stages ``ks``."""

    t: float
    y: np.ndarray
    end: float
    state: np.ndarray
    ks: list
    lands: bool

    @property
    def h(self) -> float:
        """Its length."""
        return self.end - self.t


class Walk:
    """Steps of one run.

    Parameters
    ----------
    start, end : float
    size : float
        max|y| at the start.
    tolerance : Tolerance
    step : float, optional
        Of fixed steps. Without it a method that has no error estimate goes from stop to stop.
    """

    def __init__(
        self, start: float, end: float, size: float, tolerance: Tolerance, step: float | None, adaptive: bool
    ):
        self.start, self.end, self.tolerance, self.fixed = start, end, tolerance, step
        self.adaptive, self.size = adaptive and step is None, size
        self.near = 1e-8 * (end - start)  # times that are 0 but for this have no finer grain
        self.wanted: float | None = None
        self.errors = (1.0, 1.0, 1.0)
        self.known: np.ndarray | None = None
        self.accepted = self.rejected = 0

    def enter(self, step: SolverStep, rate: Field, fresh: bool) -> None:
        """A segment begins; ``fresh`` where f is another one, so that the last step size says nothing."""
        self.step, self.rate, self.known = step, rate, None
        if fresh:
            self.wanted, self.errors = None, (1.0, 1.0, 1.0)

    def take(self, t: float, y: np.ndarray, stop: float) -> Taken:
        """One accepted step, at most to ``stop``."""
        if self.accepted + self.rejected >= self.tolerance.max_steps:
            raise MaxStepsError(
                f"max_steps={self.tolerance.max_steps} were taken at t = {t:g}, before the end at "
                f"{self.end:g}; raise it, loosen the tolerance, or take a method for stiff systems",
                t,
            )
        taken = self._adaptive(t, y, stop) if self.adaptive else self._fixed(t, y, stop)
        self.accepted += 1
        self.known = taken.ks[-1] if self.step.tableau.last_is_next else None
        return taken

    def _fixed(self, t, y, stop) -> Taken:
        end = stop
        if self.fixed is not None:
            n = np.floor((t - self.start) / self.fixed + ROUND) + 1
            point = float(self.start + n * self.fixed)
            end = point if point < stop - ROUND * self.fixed else stop
        with np.errstate(all="ignore"):
            state, ks = self.step.stages(y, t, end - t, first=self.known, rate=self.rate)
        if not np.isfinite(state).all():
            raise BlowUpError(
                f"the state becomes NaN or infinite between t = {t:g} and {end:g}, from max|y| = "
                f"{np.abs(y).max():.3g}; take a smaller step, or stop before",
                t,
            )
        return Taken(t, y, end, state, ks, end == stop)

    def _adaptive(self, t, y, stop) -> Taken:
        tableau, tolerance, controller = self.step.tableau, self.tolerance, self.tolerance.controller
        order, retried, broke = tableau.error_order, False, False
        if self.wanted is None:
            f0 = check_rate(self.rate(t, y), y, t)
            self.wanted = tolerance.first_step or first_step(
                self.rate, y, t, f0, self.end - t, tolerance, order
            )
        while True:
            left = stop - t
            size = min(self.wanted, tolerance.max_step)
            lands = size * STRETCH >= left
            size = left if lands else min(size, left / 2) if size * 2 > left else size
            if size < max(tolerance.min_step, 16 * np.spacing(max(abs(t), self.near))) and not lands:
                raise underflow(tolerance, t, size, y, self.size, broke)
            try:
                with np.errstate(all="ignore"):
                    state, ks = self.step.stages(y, t, size, first=self.known, rate=self.rate)
                    error = tolerance.norm(self.step.error(ks, size), y, state)
                broke = not (np.isfinite(error) and np.isfinite(state).all())
            except ImplicitStageError:
                broke, error = True, np.inf
            if not broke and error <= 1.0:
                break
            self.rejected += 1
            self.wanted = size * (BACK_OFF if broke else controller.shrink(order, error))
            retried = True
            if self.wanted < max(tolerance.min_step, 16 * np.spacing(max(abs(t), self.near))):
                raise underflow(tolerance, t, self.wanted, y, self.size, broke)
        self.errors = (error, *self.errors[:2])
        factor = controller.factor(order, self.errors)
        grown = size * (min(factor, 1.0) if retried else factor)
        self.wanted = max(grown, self.wanted) if size < self.wanted and factor >= 1.0 else grown
        return Taken(t, y, stop if lands else t + size, state, ks, lands)
