"""Symmetric systems made of small blocks: what a factorisation is asked for, and the errors of one that does
not exist.

A system is K = Σ_k Σ_j (blocks[k][j] at rows and columns cells[k][j]). Where it is a precision, K is positive;
where some noise is singular, K has a row more for every exact equation and as many negative eigenvalues.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

SINGULAR = 1e-14
"""Share of a diagonal entry that its pivot may have lost: what rounding leaves of a zero."""


class NotPositive(Exception):
    """K does not belong to a normalisable function. ``direction`` is a vector along which it is flat, or
    rises; ``flat`` says which."""

    def __init__(self, direction: np.ndarray, flat: bool):
        super().__init__("not positive")
        self.direction, self.flat = direction, flat


class Factorisation(Protocol):
    """A system that is factorised."""

    log_det: float

    def solve(self, right: np.ndarray) -> np.ndarray:
        """K⁻¹ times a vector or the columns of a matrix."""

    def entries(self, k: int) -> np.ndarray:
        """Blocks of K⁻¹ at the cells of block k, (instances, s, s)."""

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """Vectors of covariance K⁻¹, from columns of independent standard normal ones."""


def scales(diagonal: np.ndarray) -> np.ndarray:
    """1/√ of a positive diagonal; an empty row tells its own direction."""
    low = int(np.argmin(diagonal))
    if not diagonal[low] > 0:
        direction = np.zeros(len(diagonal))
        direction[low] = 1.0
        raise NotPositive(direction, bool(diagonal[low] == 0))
    return 1 / np.sqrt(diagonal)
