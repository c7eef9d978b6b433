"""The same rate all the time."""

from __future__ import annotations

from dataclasses import dataclass

from rnn.learning_rates.base import LearningRate
from rnn.validation import positive


@dataclass(frozen=True)
class Constant(LearningRate):
    """η(e) = lr."""

    lr: float = 1e-2

    def __post_init__(self) -> None:
        positive("lr", self.lr)

    def at(self, epoch: float) -> float:
        """The rate."""
        return self.lr
