"""Projecting conflicting gradients (Yu et al. 2020, Gradient surgery for multi-task learning).

Each g_i in turn: for the other tasks j in random order, where g·g_j < 0:  g ← g − (g·g_j / ‖g_j‖²) g_j. The
sum is followed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rnn.training.surgery import Surgery
from rnn.validation import whole


@dataclass(frozen=True)
class PCGrad(Surgery):
    """Each task gives up what goes against another.

    Parameters
    ----------
    seed : int
        Of the order in which a task meets the others; drawn anew for each update, from the seed and its
        number. With two tasks there is but one order.

    Examples
    --------
    >>> PCGrad()([[1.0, 0.0], [-1.0, 1.0]]).direction  # (½, ½) + (0, 1)
    array([0.5, 1.5])
    """

    seed: int = 0

    def __post_init__(self) -> None:
        whole("seed", self.seed, 0)

    def weights(self, gradients: np.ndarray, count: int) -> np.ndarray:
        """Of the sum of projected gradients."""
        rng = np.random.default_rng([self.seed, count])
        squares = (gradients**2).sum(axis=1)
        total = np.zeros(len(gradients))
        for i, g in enumerate(gradients):
            share = np.zeros(len(gradients))
            share[i] = 1.0
            for j in rng.permutation(np.delete(np.arange(len(gradients)), i)):
                against = g @ gradients[j]
                if against < 0:
                    step = against / squares[j]
                    g = g - step * gradients[j]
                    share[j] -= step
            total += share
        return total
