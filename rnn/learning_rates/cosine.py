"""Half a cosine from the rate to its end (Loshchilov & Hutter 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rnn.learning_rates.base import LearningRate
from rnn.validation import not_negative, positive


@dataclass(frozen=True)
class Cosine(LearningRate):
    """η(e) = end + ½ (lr − end) (1 + cos π e / over), and ``end`` from there on.

    Examples
    --------
    >>> rate = Cosine(0.1, over=20)
    >>> [round(rate.at(e), 6) for e in (0, 10, 20, 30)]
    [0.1, 0.05, 0.0, 0.0]
    """

    lr: float
    over: float
    end: float = 0.0

    def __post_init__(self) -> None:
        positive("lr", self.lr), positive("over", self.over), not_negative("end", self.end)

    def at(self, epoch: float) -> float:
        """The rate."""
        passed = min(epoch / self.over, 1.0)
        return self.end + 0.5 * (self.lr - self.end) * (1 + math.cos(math.pi * passed))
