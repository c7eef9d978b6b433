"""``State``: where a fit is, enough to go on as if nothing had happened.

A state is replaced, never changed (its course is only written on): whoever is interrupted finds the one
before or the one after. What is drawn in an epoch or an update is drawn from the seed and its number, so that
no generator has a state.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnn.optimizers.base import WEIGHTS, Arrays


@dataclass
class Course:
    """Losses and learning rates, one an epoch; ``validation`` is empty without such data."""

    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def add(self, at: int, loss: float, validation: float | None, rate: float) -> None:
        """Write down epoch ``at``; what an interrupt may have left there is overwritten."""
        self.losses[at:], self.rates[at:] = [loss], [rate]
        if validation is not None:
            self.validation[at:] = [validation]

    @property
    def watched(self) -> list[float]:
        """The losses that decide: of the validation data where there are some."""
        return self.validation or self.losses


@dataclass(frozen=True)
class State:
    """Weights, the optimiser's memory, the place in the data, the course so far.

    Attributes
    ----------
    arrays : dict
        "weights" and what the optimiser remembers.
    updates : int
        Steps of the optimiser.
    epoch, batch : int
        Of the next step.
    running : tuple of float
        Of this epoch's batches so far: the sum of loss times weight, and of the weights.
    noted : int
        Epochs in ``course``; what lies beyond them does not count.
    course : Course
    best, best_epoch, best_weights
        The least watched loss.
    """

    arrays: Arrays
    best_weights: np.ndarray
    updates: int = 0
    epoch: int = 0
    batch: int = 0
    running: tuple[float, float] = (0.0, 0.0)
    noted: int = 0
    course: Course = field(default_factory=Course)
    best: float = np.inf
    best_epoch: int = -1

    @property
    def weights(self) -> np.ndarray:
        """The present weights."""
        return self.arrays[WEIGHTS]
