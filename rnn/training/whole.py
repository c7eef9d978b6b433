"""``Whole``: L-BFGS over all data at once, with the best weights so far always at hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnn.optimizers import LBFGS, Outcome
from rnn.training.data import Data
from rnn.training.history import STOPPED
from rnn.training.loop import Noted
from rnn.training.objective import Objective
from rnn.training.settings import Settings
from rnn.training.state import State
from rnn.training.watch import Watch


class Whole:
    """A fit under way.

    Parameters
    ----------
    objective, settings, state, validation, noted
        As for :class:`~rnn.training.loop.Loop`. Where there are validation data, it is their loss that
        decides; else the tolerance is that of an iteration.
    data : Data
    """

    def __init__(
        self,
        objective: Objective,
        settings: Settings,
        data: Data,
        state: State,
        validation: list[Data],
        noted: Noted,
    ):
        self.objective, self.settings, self.data, self.state = objective, settings, data, state
        self.validation, self.noted = validation, noted
        self.watch = Watch(settings.tol, settings.patience)

    def run(self) -> Outcome:
        """Iterations until one of the reasons to stop."""
        method = self.settings.method
        assert isinstance(method, LBFGS)
        tol = None if self.validation else self.settings.tol
        start = self.state.weights.astype(np.float64)
        outcome = method.minimize(self._evaluate, start, self.settings.n_iter, tol, self._record)
        return Outcome(True, "converged") if outcome.reason == "converged" else outcome

    def _evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        found = self.objective(theta, self.data)
        state = self.state
        self.state = replace(state, updates=state.updates + 1)
        if not self.validation and found.loss < state.best:
            self._better(found.loss, theta)
        return found.loss, found.gradient.astype(np.float64)

    def _better(self, loss: float, theta: np.ndarray) -> None:
        weights = theta.astype(self.state.weights.dtype)
        self.state = replace(self.state, best=loss, best_epoch=self.state.noted, best_weights=weights)

    def _record(self, loss: float, theta: np.ndarray) -> str | None:
        state, best = self.state, self.state.best
        tried = self.objective.loss(theta, self.validation) if self.validation else None
        if tried is not None and tried < best:
            self._better(tried, theta)
        watched = loss if tried is None else tried
        state.course.add(state.noted, float(loss), tried, np.nan)
        arrays = {"weights": theta.astype(state.weights.dtype)}
        self.state = replace(self.state, arrays=arrays, noted=state.noted + 1, epoch=state.noted + 1)
        self.watch.told(watched)
        better = self.state.best_epoch == state.noted
        if self.noted(self.state, better):
            return STOPPED
        if self.validation and self.watch.over:
            return "converged"
        return None
