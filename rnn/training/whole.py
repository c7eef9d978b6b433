"""``Whole``: L-BFGS over all data at once, with the best weights so far always at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rnn.optimizers import LBFGS, Outcome
from rnn.training.data import Data
from rnn.training.objective import Objective
from rnn.training.state import State
from rnn.training.watch import Watch


class Whole:
    """A fit under way.

    Parameters
    ----------
    objective, watch, state, validation, noted
        As for :class:`~rnn.training.loop.Loop`. The watch decides only where there are validation data; else
        the tolerance is that of an iteration.
    optimizer : LBFGS
    data : Data
    n_iter, tol
    """

    def __init__(
        self,
        objective: Objective,
        optimizer: LBFGS,
        data: Data,
        n_iter: int,
        tol: float | None,
        watch: Watch,
        state: State,
        validation: list[Data],
        noted: Callable[[State, bool], bool],
    ):
        self.objective, self.optimizer, self.data, self.n_iter = objective, optimizer, data, n_iter
        self.tol, self.watch, self.state, self.validation, self.noted = tol, watch, state, validation, noted

    def run(self) -> Outcome:
        """Iterations until one of the reasons to stop."""
        tol = None if self.validation else self.tol
        start = self.state.weights.astype(np.float64)
        return self.optimizer.minimize(self._evaluate, start, self.n_iter, tol, self._record)

    def _evaluate(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        found = self.objective(theta, self.data)
        state = self.state
        self.state = replace(state, updates=state.updates + 1)
        if not self.validation and found.loss < state.best:
            self._better(found.loss, theta)
        return found.loss, found.gradient.astype(np.float64)

    def _better(self, loss: float, theta: np.ndarray) -> None:
        weights = theta.astype(self.state.weights.dtype)
        self.state = replace(self.state, best=loss, best_epoch=len(self.state.losses), best_weights=weights)

    def _record(self, loss: float, theta: np.ndarray) -> str | None:
        state, best = self.state, self.state.best
        watched = loss
        if self.validation:
            watched = self.objective.loss(theta, self.validation)
            if watched < state.best:
                self._better(watched, theta)
            self.state = replace(self.state, validation=(*state.validation, watched))
        arrays = {"weights": theta.astype(state.weights.dtype)}
        losses = (*state.losses, float(loss))
        self.state = replace(
            self.state, arrays=arrays, losses=losses, epoch=len(losses), rates=(*state.rates, np.nan)
        )
        self.watch.told(watched)
        better = watched < best if self.validation else self.state.best_epoch == len(losses) - 1
        if self.noted(self.state, better):
            return "stopped by a callback"
        if self.validation and self.watch.over:
            return "converged"
        return None
