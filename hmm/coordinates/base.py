"""The contract of a domain: what values a field may take, and coordinates for them that may be any real
numbers.

Coordinates lie in an array of the field's own shape; ``free`` says at which entries there is one. So a row of
K probabilities has coordinates at K − 1 of its entries, a symmetric matrix at its lower triangle, a number at
its own place, and what is held at none. Two arrays tell a field's structure, and stay what they are while
coordinates move: ``like``, a value (zeros of probabilities are structure), and ``held``, entries that keep
their value there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np


class Domain(ABC):
    """Base of all domains; see :mod:`hmm.coordinates.base` for ``like`` and ``held``."""

    by_state: bool = True
    """Whether the first axis of the field is the states, each with numbers of its own."""

    smooth: bool = True
    """Whether densities are known to have second derivatives in the field."""

    @abstractmethod
    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Entries that have a coordinate, a mask."""

    @abstractmethod
    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        """Coordinates of a value; entries that are not free hold whatever is finite."""

    @abstractmethod
    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        """The value at some coordinates."""

    @abstractmethod
    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        """∂f/∂coordinates from ∂f/∂value, at the free entries."""

    def bounds(self, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest coordinates; −∞ and ∞ where there is no end."""
        return np.full(like.shape, -np.inf), np.full(like.shape, np.inf)

    def information(self, like: np.ndarray) -> np.ndarray:
        """About what one observation tells of each coordinate (Fisher's information), for the first steps."""
        return np.ones(like.shape)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Entries at the end of their range, where an estimate is not normal around the truth."""
        return np.zeros(value.shape, bool)

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        """Ends of a confidence interval that lies in the domain: z standard errors to both sides on a scale
        without ends, where the error is that of the delta method."""
        return value - z * error, value + z * error
