"""Covariance matrices above a floor: Σ = F + L Lᵀ with F = diag(floor), coordinates log L_ii and L_ij in
units of √Σ_ii.

A gradient G of a symmetric matrix is symmetric with df = tr(G dΣ), so that ∂f/∂L = 2 G L.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.coordinates.base import Domain

ABOVE = 1e-6
"""Where a start is on the floor, its eigenvalues in units of the floor are raised by this much."""


@dataclass(frozen=True, eq=False)
class Covariances(Domain):
    """Symmetric positive definite matrices in the last two axes.

    Parameters
    ----------
    floor : float or array, (D,)
        Σ − diag(floor) is positive definite.
    by_state : bool
        False where all states share one matrix.
    """

    floor: float | np.ndarray = 0.0
    by_state: bool = True

    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        lower = np.tri(like.shape[-1], dtype=bool)
        return lower & ~held.any(axis=(-1, -2), keepdims=True)

    def _root(self, value: np.ndarray) -> np.ndarray:
        """L."""
        D = value.shape[-1]
        above = value - np.diag(np.broadcast_to(self.floor, D))
        unit = np.sqrt(np.broadcast_to(self.floor, D))
        if (unit > 0).all():
            values, vectors = np.linalg.eigh(above / np.outer(unit, unit))
            if values.min() < ABOVE:
                raised = (vectors * np.maximum(values, ABOVE)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
                low = values.min(axis=-1)[..., None, None] < ABOVE
                above = np.where(low, raised * np.outer(unit, unit), above)
        return np.linalg.cholesky(above)

    @staticmethod
    def _unit(like: np.ndarray) -> np.ndarray:
        return np.sqrt(np.diagonal(like, axis1=-2, axis2=-1))[..., :, None]

    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        root, eye = self._root(value), np.eye(like.shape[-1], dtype=bool)
        return np.where(eye, np.log(np.where(eye, root, 1.0)), root / self._unit(like))

    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        eye = np.eye(like.shape[-1], dtype=bool)
        with np.errstate(over="ignore", invalid="ignore"):
            root = np.where(eye, np.exp(np.where(eye, coordinates, 0.0)), coordinates * self._unit(like))
            root = np.tril(root)
            moved = root @ np.swapaxes(root, -1, -2) + np.diag(np.broadcast_to(self.floor, like.shape[-1]))
        return np.where(held.any(axis=(-1, -2), keepdims=True), like, moved)

    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        root, eye = self._root(value), np.eye(like.shape[-1], dtype=bool)
        symmetric = (slope + np.swapaxes(slope, -1, -2)) / 2
        pulled = 2 * symmetric @ root
        return np.where(eye, pulled * root, np.tril(pulled) * self._unit(like))

    def information(self, like: np.ndarray) -> np.ndarray:
        return np.broadcast_to(1.0 + np.eye(like.shape[-1]), like.shape)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        unit = np.sqrt(np.broadcast_to(self.floor, value.shape[-1]))
        if not (unit > 0).all():
            return np.zeros(value.shape, bool)
        lowest = np.linalg.eigvalsh(value / np.outer(unit, unit)).min(axis=-1)
        return np.broadcast_to((lowest < 1 + 10 * ABOVE)[..., None, None], value.shape)

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        """Variances on a logarithmic scale, covariances on their own."""
        with np.errstate(all="ignore"):
            factor = np.exp(z * error / value)
        eye = np.eye(value.shape[-1], dtype=bool)
        low, high = super().interval(value, error, z)
        with np.errstate(all="ignore"):
            return np.where(eye, value / factor, low), np.where(eye, value * factor, high)
