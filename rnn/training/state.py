"""``State``: where a fit is, enough to go on as if nothing had happened.

A state is replaced, never changed: whoever is interrupted finds the one before or the one after. What is
drawn in an epoch or an update is drawn from the seed and its number, so that no generator has a state.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn.optimizers.base import WEIGHTS, Arrays


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
    losses, validation, rates : tuple of float
        One an epoch.
    best, best_epoch, best_weights
        The least watched loss.
    """

    arrays: Arrays
    best_weights: np.ndarray
    updates: int = 0
    epoch: int = 0
    batch: int = 0
    running: tuple[float, float] = (0.0, 0.0)
    losses: tuple[float, ...] = ()
    validation: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    best: float = np.inf
    best_epoch: int = -1

    @property
    def weights(self) -> np.ndarray:
        """The present weights."""
        return self.arrays[WEIGHTS]

    @property
    def watched(self) -> tuple[float, ...]:
        """The loss that decides: of the validation data where there are some."""
        return self.validation or self.losses
