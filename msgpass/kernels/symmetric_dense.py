"""Small symmetric systems as full matrices, by LAPACK."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from msgpass.kernels.symmetric_system import SINGULAR, NotPositive, scales, single


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


class DenseSystem:
    """Λ by Cholesky, then its complement R + GΛ⁻¹Gᵀ in the multipliers.

    Parameters
    ----------
    cells, blocks
        See :mod:`~msgpass.kernels.symmetric_system`.
    n, variables : int
        Cells, and how many of them are not multipliers.
    """

    def __init__(self, cells: Sequence[np.ndarray], blocks: Sequence[np.ndarray], n: int, variables: int):
        self.cells, self.n, self.variables = cells, n, variables
        self.full = assemble(cells, blocks, n)
        p = variables
        self.scale = scales(np.diagonal(self.full)[:p], n)
        scaled = self.full[:p, :p] * (self.scale[:, None] * self.scale)
        lower = self._cholesky(scaled, self._improper)
        self.half = np.linalg.inv(lower) * self.scale  # Λ⁻¹ = halfᵀ half
        self.log_pivots = 2 * np.log(np.diagonal(lower)) - 2 * np.log(self.scale)
        if n > p:
            self._complement()

    def _complement(self) -> None:
        p = self.variables
        ahead = self.full[p:, :p] @ self.half.T
        inner = ahead @ ahead.T - self.full[p:, p:]
        weight = ((self.full[p:, :p] * self.scale) ** 2).sum(axis=1) - np.diagonal(self.full)[p:]
        low = int(np.argmin(weight))
        if not weight[low] > 0:
            raise NotPositive(single(self.n, p + low), "equations")
        scale = 1 / np.sqrt(weight)
        lower = self._cholesky(inner * (scale[:, None] * scale), self._repeated)
        self.inner = np.linalg.inv(lower) * scale
        self.ahead = ahead
        self.log_pivots = np.concatenate([self.log_pivots, 2 * np.log(np.diagonal(lower)) - 2 * np.log(scale)])

    def _cholesky(self, matrix: np.ndarray, problem) -> np.ndarray:
        try:
            lower = np.linalg.cholesky(matrix)
        except np.linalg.LinAlgError:
            raise problem(matrix) from None
        if not (np.diagonal(lower) ** 2 > SINGULAR).all():
            raise problem(matrix)
        return lower

    def _improper(self, scaled: np.ndarray) -> NotPositive:
        values, vectors = np.linalg.eigh(scaled)
        direction = np.zeros(self.n)
        direction[: self.variables] = vectors[:, 0]
        return NotPositive(direction, "flat" if values[0] > -1e-9 else "rising")

    def _repeated(self, inner: np.ndarray) -> NotPositive:
        direction = np.zeros(self.n)
        direction[self.variables :] = np.linalg.eigh(inner)[1][:, 0]
        return NotPositive(direction, "equations")

    @cached_property
    def inverse(self) -> np.ndarray:
        """The whole of K⁻¹."""
        own = self.half.T @ self.half
        if self.n == self.variables:
            return own
        across = self.inner @ self.ahead @ self.half
        beside = self.inner.T @ across
        return np.block([[own - across.T @ across, beside.T], [beside, -(self.inner.T @ self.inner)]])

    def solve(self, right: np.ndarray) -> np.ndarray:
        """K⁻¹ times a vector or the columns of a matrix."""
        found = self.inverse @ right
        return found + self.inverse @ (right - self.full @ found)

    def entries(self, k: int) -> np.ndarray:
        """Blocks of K⁻¹ at the cells of block k."""
        places = self.cells[k]
        return self.inverse[places[:, :, None], places[:, None, :]]

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """Vectors of covariance K⁻¹."""
        return self.half.T @ normal
