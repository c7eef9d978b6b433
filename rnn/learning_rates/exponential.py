"""A rate that falls by the same factor each epoch."""

from __future__ import annotations

from dataclasses import dataclass

from rnn.learning_rates.base import LearningRate
from rnn.validation import positive


@dataclass(frozen=True)
class Exponential(LearningRate):
    """η(e) = lr · factor^e.

    Examples
    --------
    >>> Exponential(0.8, factor=0.5).at(3)
    0.1
    """

    lr: float
    factor: float

    def __post_init__(self) -> None:
        positive("lr", self.lr), positive("factor", self.factor)

    def at(self, epoch: float) -> float:
        """The rate."""
        return self.lr * self.factor**epoch
