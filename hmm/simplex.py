"""Probabilities that sum to one: their logarithm, their re-estimation from counts, their Dirichlet prior."""

from __future__ import annotations

import numpy as np

NEGLIGIBLE = 1e-200
"""Total weight of a state below which it keeps its values: it explains nothing, and dividing by it may
overflow."""


def log(p: np.ndarray) -> np.ndarray:
    """log p with log 0 = −∞."""
    with np.errstate(divide="ignore"):
        return np.log(p)


def normalised(counts: np.ndarray, concentration, previous: np.ndarray) -> np.ndarray:
    """argmax_p Σ (counts + concentration − 1) log p in each row.

    Zeros of ``previous`` stay zero, whatever the prior says: they are the structure of the model (left-right,
    banded). A row without counts keeps its values. Negative sums, from a concentration below one, count as
    zero.

    >>> normalised(np.array([[3.0, 1.0], [0.0, 0.0]]), 1.0, np.array([[0.5, 0.5], [0.1, 0.9]]))
    array([[0.75, 0.25],
           [0.1 , 0.9 ]])
    """
    if np.ndim(concentration) == 0 and concentration == 1:  # counts are zero already where ``previous`` is
        mass = counts
    else:
        mass = np.where(previous > 0, np.maximum(counts + (concentration - 1.0), 0.0), 0.0)
    total = mass.sum(axis=-1, keepdims=True)
    known = total > NEGLIGIBLE
    if known.all():
        return mass / total
    return np.where(known, mass / np.where(known, total, 1.0), previous)


def dirichlet_log_density(p: np.ndarray, concentration) -> float:
    """Σ (concentration − 1) log p over what is not zero by structure; 0 for a flat prior."""
    extra = np.asarray(concentration) - 1.0
    if not extra.any():
        return 0.0
    inside = p > 0
    return float(np.sum(np.broadcast_to(extra, p.shape)[inside] * np.log(p[inside])))
