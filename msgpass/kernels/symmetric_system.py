"""Symmetric systems made of small blocks: what a factorisation is asked for, and the error of one that does
not exist.

A system is K = Σ_k Σ_j (blocks[k][j] at rows and columns cells[k][j]). The cells of variables come first. Where
all noise is regular there are no others and K is a precision. Where some is singular, each equation Gx + c = e,
e ~ N(0, R), has a cell for its multiplier, and

    K = [Λ  Gᵀ; G  −R],    K⁻¹ = [Σ  ·; ·  ·]

has as many negative eigenvalues as there are multipliers (Golub and Van Loan, 4.2.8: quasi-definite).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

SINGULAR = 1e-14
"""Share of a diagonal entry that its pivot may have lost: what rounding leaves of a zero."""


class NotPositive(Exception):
    """K does not belong to a normalisable function.

    Attributes
    ----------
    direction : array, (n,)
        Of which cells the problem is.
    reason : str
        "flat" or "rising" along the direction, or "equations" that repeat or contradict each other.
    """

    def __init__(self, direction: np.ndarray, reason: str):
        super().__init__(reason)
        self.direction, self.reason = direction, reason


class Factorisation(Protocol):
    """A system that is factorised."""

    log_pivots: np.ndarray
    """log |pivot| of each cell, so that their sum is log |det K|, part by part."""

    def solve(self, right: np.ndarray) -> np.ndarray:
        """K⁻¹ times a vector or the columns of a matrix."""

    def entries(self, k: int) -> np.ndarray:
        """Blocks of K⁻¹ at the cells of block k, (instances, s, s)."""

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """Vectors of covariance K⁻¹, from columns of independent standard normal ones; K positive."""


def single(n: int, cell: int) -> np.ndarray:
    """The direction of one cell.

    >>> single(3, 1).tolist()
    [0.0, 1.0, 0.0]
    """
    direction = np.zeros(n)
    direction[cell] = 1.0
    return direction


def scales(diagonal: np.ndarray, n: int) -> np.ndarray:
    """1/√ of the variables' diagonal; one that is not positive is told.

    >>> scales(np.array([4.0, 1.0]), 2).tolist()
    [0.5, 1.0]
    """
    low = int(np.argmin(diagonal))
    if not diagonal[low] > 0:
        raise NotPositive(single(n, low), "flat" if diagonal[low] == 0 else "rising")
    return 1 / np.sqrt(diagonal)
