"""What the readings of :class:`~msgpass.Messages` ask of a component's run, for chains of tables.

Every run of a component has the same four: ``read_forward(name)``, ``read_backward(name)``,
``read_belief(name)`` of a variable and ``read_factor(family)``, instances stacked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from msgpass.sweeps.rows import rows_of


class ChainReadings(ABC):
    """For runs that have ``log_alpha_beta``, ``log_belief`` and ``pair_belief``."""

    block: Any
    log_alpha_beta: Any
    flips_pairs = True
    """Whether the pair belief is written (earlier, later), also where the table is not."""

    def read_forward(self, name: str) -> np.ndarray:
        """log α."""
        return self.stacked(self.log_alpha_beta[0])

    def read_backward(self, name: str) -> np.ndarray:
        """log β."""
        return self.stacked(self.log_alpha_beta[1])

    def read_belief(self, name: str) -> np.ndarray:
        """Normalised log marginals."""
        return self.log_belief()

    def read_factor(self, family) -> np.ndarray:
        """Normalised log belief of every instance of a factor."""
        for pair, flipped in self.block.pairs:
            if pair is family:
                joint = self.pair_belief()
                return np.swapaxes(joint, -1, -2) if flipped and self.flips_pairs else joint
        arg = next(a for a in family.args if a.name == self.block.node.name)
        return self.log_belief()[rows_of(family, arg)]

    @abstractmethod
    def stacked(self, flat: np.ndarray) -> np.ndarray:
        """Rows of the sweep in the order and shape of the variable."""

    @abstractmethod
    def log_belief(self) -> np.ndarray:
        """Normalised log marginals of every row."""

    @abstractmethod
    def pair_belief(self) -> np.ndarray:
        """Normalised log belief of every pair of neighbours."""
