"""``History``: what a fit went through; ``Report``: what a callback is told."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rnn.networks import Network

STOPPED = "stopped by a callback"


@dataclass
class History:
    """What a fit went through.

    Attributes
    ----------
    losses : list of float
        Without batches, the loss after every iteration, the first one before any step. With batches, of
        every epoch the mean over its batches (or their sum, as the loss has it), each before its own step.
    validation : list of float
        The validation data's loss at the same times; with batches, after the epoch. Empty without such data.
    rates : list of float
        Learning rate at the beginning of each epoch.
    best : float
        The least watched loss (validation, or else training) that was met; its weights are those of the
        network now. With batches the weights are those at the end of that epoch.
    best_epoch : int
        Where in the lists it is.
    n_iter : int
        Iterations made: epochs with batches.
    updates : int
        Steps of the optimiser.
    converged : bool
        The tolerance was met: ``patience`` epochs went by without a better watched loss.
    reason : str
        Why the fit stopped.
    seconds : float
    """

    optimizer: str
    losses: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    best: float = np.inf
    best_epoch: int = -1
    n_iter: int = 0
    updates: int = 0
    converged: bool = False
    reason: str = ""
    seconds: float = 0.0

    @property
    def fell_short(self) -> bool:
        """It ended by itself, and not because the tolerance was met."""
        return not self.converged and self.reason not in ("interrupted", STOPPED)

    def __repr__(self) -> str:
        watched = self.validation or self.losses
        course = f"{watched[0]:.6g} → {self.best:.6g}" if watched else "no loss yet"
        kind = "validation loss" if self.validation else "loss"
        what = f"{self.optimizer}, {self.n_iter} iterations, {kind} {course}"
        return f"<History: {what}, {self.reason}, {self.seconds:.2f} s>"


@dataclass(frozen=True)
class Report:
    """How a fit stands after an epoch.

    Attributes
    ----------
    epoch : int
        From 0.
    loss, validation : float
        Of this epoch; ``validation`` is None without such data.
    rate : float
        Learning rate at its beginning.
    best : float
        Least watched loss so far, and whether it is this one (``improved``).
    net : Network
        It has this epoch's weights, and will have the best ones when the fit has ended.
    """

    epoch: int
    loss: float
    validation: float | None
    rate: float
    best: float
    improved: bool
    net: Network
