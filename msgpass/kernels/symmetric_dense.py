"""Small symmetric systems as full matrices, by LAPACK."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from msgpass.kernels.symmetric_system import SINGULAR, NotPositive, scales


def assemble(cells: Sequence[np.ndarray], blocks: Sequence[np.ndarray], n: int) -> np.ndarray:
    """The full matrix.

    Examples
    --------
    >>> assemble([np.array([[0, 1], [1, 2]])], [np.ones((1, 2, 2))], 3).tolist()
    [[1.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 1.0]]
    """
    full = np.zeros(n * n)
    for places, matrices in zip(cells, blocks, strict=True):
        at = places[:, :, None] * n + places[:, None, :]
        weights = np.broadcast_to(matrices, at.shape)
        full += np.bincount(at.ravel(), weights.ravel(), n * n)
    return full.reshape(n, n)


class _Dense:
    """Readings of the whole inverse."""

    inverse: np.ndarray
    cells: Sequence[np.ndarray]

    def entries(self, k: int) -> np.ndarray:
        """Blocks of K⁻¹ at the cells of block k."""
        places = self.cells[k]
        return self.inverse[places[:, :, None], places[:, None, :]]


class DenseDefinite(_Dense):
    """A positive system, by Cholesky."""

    def __init__(self, cells, blocks, n: int):
        self.cells = cells
        full = assemble(cells, blocks, n)
        self.scale = scales(np.diagonal(full))
        self.scaled = full * (self.scale[:, None] * self.scale)
        try:
            self.lower = np.linalg.cholesky(self.scaled)
        except np.linalg.LinAlgError:
            raise self._not_positive() from None
        pivots = np.diagonal(self.lower)
        if not (pivots * pivots > SINGULAR).all():
            raise self._not_positive()
        self.log_det = float(2 * (np.log(pivots).sum() - np.log(self.scale).sum()))

    def _not_positive(self) -> NotPositive:
        values, vectors = np.linalg.eigh(self.scaled)
        return NotPositive(vectors[:, 0] * 1.0, bool(values[0] > -1e-9))

    @cached_property
    def half(self) -> np.ndarray:
        """L⁻¹, so that K⁻¹ = S L⁻ᵀ L⁻¹ S."""
        return np.linalg.inv(self.lower)

    @cached_property
    def inverse(self) -> np.ndarray:  # type: ignore[override]
        """The whole of K⁻¹."""
        own = self.half * self.scale
        return own.T @ own

    def solve(self, right: np.ndarray) -> np.ndarray:
        """K⁻¹ times a vector or the columns of a matrix."""
        own = self.half * self.scale
        return own.T @ (own @ right)

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """Vectors of covariance K⁻¹."""
        return (self.half * self.scale).T @ normal
