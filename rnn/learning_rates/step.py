"""A rate that falls by a factor every so many epochs."""

from __future__ import annotations

from dataclasses import dataclass

from rnn.learning_rates.base import LearningRate
from rnn.validation import positive


@dataclass(frozen=True)
class StepDecay(LearningRate):
    """η(e) = lr · factor^⌊e / every⌋.

    Examples
    --------
    >>> rate = StepDecay(0.1, every=10)
    >>> [round(rate.at(e), 6) for e in (0, 9.5, 10, 25)]
    [0.1, 0.1, 0.01, 0.001]
    """

    lr: float
    every: float
    factor: float = 0.1

    def __post_init__(self) -> None:
        positive("lr", self.lr), positive("every", self.every), positive("factor", self.factor)

    def at(self, epoch: float) -> float:
        """The rate."""
        return self.lr * self.factor ** (epoch // self.every)
