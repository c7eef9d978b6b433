"""``Loop``: epochs of first-order steps, from any state to the end, with every state in between at hand.

Without batches an iteration evaluates the loss, takes note of it and steps. With batches there is a step a
batch, and note is taken of the epoch as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from rnn.optimizers import Optimizer, Outcome
from rnn.training.batches import Batches
from rnn.training.data import Data
from rnn.training.history import STOPPED
from rnn.training.objective import Objective
from rnn.training.settings import Settings
from rnn.training.state import State
from rnn.training.watch import Watch

Noted = Callable[[State, bool], bool]


class Loop:
    """A fit under way.

    Parameters
    ----------
    objective : Objective
    settings : Settings
        With a first-order optimiser.
    batches : Batches
    state : State
        Where to begin, or to go on.
    validation : list of Data
        Batches of what is tried out after each epoch.
    noted : callable
        Told the state and whether it is the best so far, after every epoch; True stops.
    stepped : callable
        Told the state after every update.

    Attributes
    ----------
    state : State
    """

    def __init__(
        self,
        objective: Objective,
        settings: Settings,
        batches: Batches,
        state: State,
        validation: list[Data],
        noted: Noted,
        stepped: Callable[[State], None],
    ):
        self.objective, self.settings, self.batches, self.state = objective, settings, batches, state
        self.validation, self.noted, self.stepped = validation, noted, stepped
        self.lr, self.watch = settings.rate, Watch(settings.tol, settings.patience)
        self._stopped = False
        self._spare = {name: np.empty_like(array) for name, array in state.arrays.items()}
        for loss in state.course.watched[: state.noted]:
            self._tell(loss)

    @property
    def whole(self) -> bool:
        """All data at once."""
        return self.batches.size is None

    def run(self) -> Outcome:
        """Epochs until one of the reasons to stop."""
        while True:
            outcome = self.outcome()
            if outcome is not None:
                return outcome
            if self.whole:
                self._iteration()
            else:
                self._epoch()

    def outcome(self) -> Outcome | None:
        """Why to stop here, or None."""
        if self._stopped:
            return Outcome(False, STOPPED)
        if self.watch.over:
            return Outcome(True, "converged")
        if self.state.noted >= self.settings.n_iter + self.whole:
            return Outcome(False, f"{self.settings.n_iter} iterations")
        return None

    def _iteration(self) -> None:
        state = self.state
        found = self.objective(state.weights, self.batches.data, self._chance(), state.updates)
        if state.noted == state.epoch:
            self._note(found.loss)
            if self.outcome() is not None:
                return
        self._step(found.gradient, epoch=state.epoch + 1)

    def _epoch(self) -> None:
        order = self.batches.rows(self.state.epoch)
        while self.state.batch < len(order):
            state = self.state
            data = self.batches.part(order[state.batch])
            found = self.objective(state.weights, data, self._chance(), state.updates)
            total, weight = state.running
            running = total + found.loss * found.weight, weight + found.weight
            self._step(found.gradient, batch=state.batch + 1, running=running)
        total, weight = self.state.running
        mean = total if self.batches.data.loss.reduction == "sum" else total / weight
        self._note(mean, epoch=self.state.epoch + 1, batch=0, running=(0.0, 0.0))

    def _chance(self) -> np.random.Generator | None:
        """What draws this update's dropout."""
        if not self.objective.net.dropout:
            return None
        return np.random.default_rng([self.batches.seed, 1, self.state.updates])

    def rate(self) -> float:
        """Learning rate of the next update."""
        return self.lr.at(self.state.epoch + self.state.batch / len(self.batches))

    def _step(self, gradient: np.ndarray, **place) -> None:
        state, spare, method = self.state, self._spare, self.settings.method
        assert isinstance(method, Optimizer)
        method.step(state.arrays, self.settings.clipped(gradient), self.rate(), state.updates + 1, spare)
        self.state = replace(state, arrays=spare, updates=state.updates + 1, **place)
        self._spare = state.arrays
        self.stepped(self.state)

    def _note(self, loss: float, **place) -> None:
        """Take note of an epoch."""
        state = self.state
        tried = self.objective.loss(state.weights, self.validation) if self.validation else None
        watched = loss if tried is None else tried
        better = watched < state.best
        if better:
            best = {"best": watched, "best_epoch": state.noted, "best_weights": state.weights.copy()}
            place |= best
        state.course.add(state.noted, loss, tried, self.lr.at(state.noted))
        self.state = replace(state, noted=state.noted + 1, **place)
        self._tell(watched)
        self._stopped = bool(self.noted(self.state, better))

    def _tell(self, watched: float) -> None:
        self.watch.told(watched)
        self.lr = self.lr.told(watched)
