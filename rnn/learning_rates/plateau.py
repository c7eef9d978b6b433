"""A rate that falls where the loss does not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from rnn.learning_rates.base import LearningRate
from rnn.validation import not_negative, positive, whole


@dataclass(frozen=True)
class Plateau(LearningRate):
    """η ← factor · η after more than ``patience`` epochs without a new best loss.

    Parameters
    ----------
    lr : float
    factor : float
    patience : int
    tol : float
        A loss is a new best if it is lower by tol · |best|.
    least : float
        The rate does not fall below.
    best, waited : float, int
        Where it is; they are kept by :meth:`told`.

    Examples
    --------
    >>> rate = Plateau(0.1, factor=0.5, patience=1)
    >>> for loss in (3.0, 2.0, 2.0, 2.5):
    ...     rate = rate.told(loss)
    >>> rate.at(4)
    0.05
    """

    lr: float
    factor: float = 0.1
    patience: int = 10
    tol: float = 1e-4
    least: float = 0.0
    best: float = math.inf
    waited: int = 0

    def __post_init__(self) -> None:
        positive("lr", self.lr), positive("factor", self.factor), whole("patience", self.patience, 0)
        not_negative("tol", self.tol), not_negative("least", self.least)

    def at(self, epoch: float) -> float:
        """The rate."""
        return self.lr

    def told(self, loss: float) -> LearningRate:
        """Count what was no new best."""
        margin = self.tol * abs(self.best) if math.isfinite(self.best) else 0.0
        if loss < self.best - margin:
            return replace(self, best=loss, waited=0)
        if self.waited < self.patience:
            return replace(self, waited=self.waited + 1)
        return replace(self, lr=max(self.lr * self.factor, self.least), waited=0)
