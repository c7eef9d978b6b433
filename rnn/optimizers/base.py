"""What an optimiser is: a rule that moves a vector of weights along a gradient, number by number.

Its memory is plain arrays, the weights first, so that a checkpoint holds them as they are. An update reads
the old arrays and writes into new ones: whoever is interrupted in between still has the old.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

Arrays = dict[str, np.ndarray]

WEIGHTS = "weights"
"""The state's array that holds the weights themselves."""

CHUNK = 1 << 14
"""Numbers that are moved at a time, so that a rule's temporaries stay in the cache."""


class Optimizer(ABC):
    """Abstract. A new one is a frozen dataclass of settings with ``memory`` and ``move``, and a line in
    ``OPTIMIZERS``.

    """

    @property
    @abstractmethod
    def memory(self) -> tuple[str, ...]:
        """Arrays that it remembers, each as long as the weights and zero at first."""

    @abstractmethod
    def move(self, old: Arrays, gradient: np.ndarray, rate: float, count: int, new: Arrays) -> None:
        """Write weights and memory after the update into ``new``.

        Parameters
        ----------
        old, new : dict
            "weights" and every name of ``memory``, arrays (n,).
        gradient : array (n,)
        rate : float
            Learning rate of this update.
        count : int
            Number of this update, from 1.
        """

    def start(self, weights: np.ndarray) -> Arrays:
        """The state before the first update."""
        return {WEIGHTS: weights.copy()} | {name: np.zeros_like(weights) for name in self.memory}

    def step(self, old: Arrays, gradient: np.ndarray, rate: float, count: int, new: Arrays) -> None:
        """One update of all weights, chunk by chunk."""
        n = len(gradient)
        if n <= CHUNK:
            return self.move(old, gradient, rate, count, new)
        for first in range(0, n, CHUNK):
            part = slice(first, first + CHUNK)
            before, after = ({k: v[part] for k, v in state.items()} for state in (old, new))
            self.move(before, gradient[part], rate, count, after)
