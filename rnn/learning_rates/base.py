"""What a learning rate is: a function of time, told after each epoch how the fit goes.

Time is counted in epochs, passes over the data, and runs on within one: a schedule means the same for any
size of batches. Without batches an epoch is an iteration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod


class LearningRate(ABC):
    """Abstract. A new one is a frozen dataclass with ``at``, and ``told`` where it listens."""

    @abstractmethod
    def at(self, epoch: float) -> float:
        """The rate at a time, in epochs from 0."""

    def told(self, loss: float) -> LearningRate:
        """The rate from now on, after an epoch whose watched loss was this."""
        return self
