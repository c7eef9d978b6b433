"""A rise from near zero, before any other rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgpass.errors import DataError
from rnn.learning_rates.base import LearningRate
from rnn.validation import positive


@dataclass(frozen=True)
class Warmup(LearningRate):
    """η(e) = then.at(0) · (start + (1 − start) e / over) for e < over, and then.at(e − over).

    Parameters
    ----------
    then : LearningRate
        What comes afterwards.
    over : float
        Epochs.
    start : float
        Share of the rate to start from.

    Examples
    --------
    >>> from rnn.learning_rates import Cosine
    >>> rate = Warmup(Cosine(0.1, over=20), over=2)
    >>> [round(rate.at(e), 6) for e in (0, 1, 2, 12)]
    [0.001, 0.0505, 0.1, 0.05]
    """

    then: LearningRate
    over: float
    start: float = 0.01

    def __post_init__(self) -> None:
        if not isinstance(self.then, LearningRate):
            raise DataError(f"then must be a learning rate such as Constant(0.01), got {self.then!r}")
        positive("over", self.over), positive("start", self.start)

    def at(self, epoch: float) -> float:
        """The rate."""
        if epoch >= self.over:
            return self.then.at(epoch - self.over)
        return self.then.at(0.0) * (self.start + (1 - self.start) * epoch / self.over)

    def told(self, loss: float) -> LearningRate:
        """Passed on."""
        return replace(self, then=self.then.told(loss))
