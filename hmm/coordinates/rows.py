"""Rows of probabilities: u_j = log p_j/p_r, relative to the likeliest entry r of the row.

Zeros stay zero, entries that are held keep their value, and the others share what those leave:
p_j = (1 − Σ_held p) exp u_j / Σ_i exp u_i, ∂f/∂u_j = p_j (∂f/∂p_j − Σ_i p_i ∂f/∂p_i / Σ_i p_i).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.coordinates.base import Domain
from hmm.coordinates.numbers import on_logit_scale
from msgpass.errors import UnsupportedError

SPOKEN_FOR = 0.01
"""Expected counts p ∂f/∂p below which a probability counts as zero: at the edge. The maximum of a likelihood
is often there (the initial distribution of one sequence always is), and EM comes near it only."""


@dataclass(frozen=True, eq=False)
class Rows(Domain):
    """Probabilities that sum to one along the last axis.

    Parameters
    ----------
    concentration : float or array that broadcasts to the field
        Of their Dirichlet prior, at least one where coordinates are asked for.

    Examples
    --------
    >>> p, held = np.array([[0.5, 0.3, 0.2, 0.0]]), np.array([[False, False, True, False]])
    >>> Rows().free(p, held)
    array([[False,  True, False, False]])
    >>> Rows().inward(np.array([[0.0, 0.0, 0.0, 0.0]]), p, held)
    array([[0.4, 0.4, 0.2, 0. ]])
    """

    concentration: float | np.ndarray = 1.0

    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        moves = self._moving(like, held)
        moves &= moves.sum(axis=-1, keepdims=True) > 1
        if (np.broadcast_to(self.concentration, like.shape)[moves] < 1).any():
            raise UnsupportedError(
                "under a Dirichlet prior with a concentration below 1 the posterior density is infinite "
                "where a probability is 0, so that there is nothing to climb to; use method='em', which sets "
                "such probabilities to 0, or a concentration ≥ 1"
            )
        moves &= ~self._reference(like, moves)
        return moves

    @staticmethod
    def _moving(like: np.ndarray, held: np.ndarray) -> np.ndarray:
        return (like > 0) & ~held

    @staticmethod
    def _reference(like: np.ndarray, moves: np.ndarray) -> np.ndarray:
        likeliest = np.where(moves, like, -1.0).argmax(axis=-1)
        return np.arange(like.shape[-1]) == likeliest[..., None]

    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        moves = self._moving(like, held)
        logs = np.log(np.where(moves, np.maximum(value, np.finfo(float).tiny), 1.0))
        reference = np.where(self._reference(like, moves), logs, 0.0).sum(axis=-1, keepdims=True)
        return np.where(moves, logs - reference, 0.0)

    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        moves = self._moving(like, held)
        logs = np.where(self._reference(like, moves), 0.0, coordinates)
        top = np.where(moves, logs, -np.inf).max(axis=-1, keepdims=True)
        mass = np.where(moves, np.exp(np.where(moves, logs - np.where(moves, top, 0.0), 0.0)), 0.0)
        left = np.where(moves, like, 0.0).sum(axis=-1, keepdims=True)
        total = mass.sum(axis=-1, keepdims=True)
        return np.where(moves, left * mass / np.where(total > 0, total, 1.0), like)

    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        moves = self._moving(like, held)
        counts = np.where(moves, value * slope, 0.0)
        left = np.where(moves, like, 0.0).sum(axis=-1, keepdims=True)
        return counts - np.where(moves, value, 0.0) * (
            counts.sum(axis=-1, keepdims=True) / np.where(left > 0, left, 1.0)
        )

    def information(self, like: np.ndarray) -> np.ndarray:
        return like * (1 - like)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return value * slope < SPOKEN_FOR

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        return on_logit_scale(value, error, z)
