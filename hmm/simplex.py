"""Probabilities that sum to one: their logarithm, their re-estimation from counts, their Dirichlet prior."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

NEGLIGIBLE = 1e-200
"""Total weight of a state below which it keeps its values: it explains nothing, and dividing by it may
overflow."""


def log(p: np.ndarray) -> np.ndarray:
    """log p with log 0 = −∞."""
    with np.errstate(divide="ignore"):
        return np.log(p)


def normalised(
    counts: np.ndarray, concentration, previous: np.ndarray, frozen: np.ndarray | None = None
) -> np.ndarray:
    """argmax_p Σ (counts + concentration − 1) log p in each row.

    Zeros of ``previous`` stay zero, whatever the prior says: they are the structure of the model (left-right,
    banded). A row without counts keeps its values, and so do entries that ``frozen`` marks; the others of
    their row share what those leave. Negative sums, from a concentration below one, count as zero.

    >>> normalised(np.array([[3.0, 1.0], [0.0, 0.0]]), 1.0, np.array([[0.5, 0.5], [0.1, 0.9]]))
    array([[0.75, 0.25],
           [0.1 , 0.9 ]])
    >>> normalised(np.array([3.0, 1.0, 4.0]), 1.0, np.array([0.3, 0.3, 0.4]), np.array([False, False, True]))
    array([0.45, 0.15, 0.4 ])
    """
    if _flat(concentration):  # counts are zero already where ``previous`` is
        mass = counts
    else:
        mass = np.where(previous > 0, np.maximum(counts + (concentration - 1.0), 0.0), 0.0)
    if frozen is not None:
        return _around(frozen, mass, previous)
    total = np.add.reduce(mass, axis=-1, keepdims=True)
    if total.min() > NEGLIGIBLE:
        return mass / total
    known = total > NEGLIGIBLE
    return np.where(known, mass / np.where(known, total, 1.0), previous)


def _around(frozen: np.ndarray, mass: np.ndarray, previous: np.ndarray) -> np.ndarray:
    """Rows that keep their frozen entries and share the rest by ``mass``."""
    free = np.where(frozen, 0.0, mass)
    total = free.sum(axis=-1, keepdims=True)
    left = np.where(frozen, 0.0, previous).sum(axis=-1, keepdims=True)
    known = total > NEGLIGIBLE
    return np.where(frozen | ~known, previous, left * free / np.where(known, total, 1.0))


def dirichlet_log_density(p: np.ndarray, concentration) -> float:
    """Σ (concentration − 1) log p over what is not zero by structure; 0 for a flat prior."""
    if _flat(concentration):
        return 0.0
    extra = np.asarray(concentration) - 1.0
    if not extra.any():
        return 0.0
    inside = p > 0
    return float(np.sum(np.broadcast_to(extra, p.shape)[inside] * np.log(p[inside])))


def dirichlet_slope(p: np.ndarray, concentration) -> np.ndarray:
    """∂/∂p of :func:`dirichlet_log_density`, (concentration − 1)/p; 0 where p is zero by structure."""
    extra = np.broadcast_to(np.asarray(concentration, np.float64) - 1.0, p.shape)
    return np.divide(extra, p, out=np.zeros(p.shape), where=p > 0)


def draw(cdf: list[float], u: float) -> int:
    """Inverse of a distribution function, which may end a rounding below one, at u in [0, 1)."""
    return bisect_right(cdf, u * cdf[-1])


def _flat(concentration) -> bool:
    """Whether a prior is one number, 1; asked in every iteration of a fit."""
    return getattr(concentration, "ndim", 0) == 0 and float(concentration) == 1.0
