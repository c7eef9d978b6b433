"""k-means for starting points: k-means++ seeding (Arthur & Vassilvitskii 2007) and a few rounds of Lloyd."""

from __future__ import annotations

import numpy as np

MOST_ROWS = 4096
"""Rows that the centres are found from; more only cost time, for EM moves on from here."""

ROUNDS = 10


def cluster(X: np.ndarray, n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Cluster of each row of (T, D) data without missing values, (T,); columns are brought to one scale.

    >>> cluster(np.array([[0.0], [0.1], [5.0], [5.1]]), 2, np.random.default_rng(0)).tolist() in (
    ...     [0, 0, 1, 1],
    ...     [1, 1, 0, 0],
    ... )
    True
    """
    spread = X.std(axis=0)
    rows = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1)
    few = rows if len(rows) <= MOST_ROWS else rows[np.sort(rng.choice(len(rows), MOST_ROWS, replace=False))]
    centres = _seeds(few, n_clusters, rng)
    for _ in range(ROUNDS):
        labels = _nearest(few, centres)
        member = (labels == np.arange(n_clusters)[:, None]).astype(float)
        size = member.sum(axis=1, keepdims=True)
        moved = np.where(size > 0, member @ few / np.maximum(size, 1), centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return _nearest(rows, centres)


def _seeds(rows: np.ndarray, n_clusters: int, rng: np.random.Generator) -> np.ndarray:
    """Greedy k-means++: of a few candidates, drawn by squared distance, the one that leaves the least."""
    centres = rows[rng.integers(len(rows))][None]
    gap = _squared(rows, centres)[0]
    tries = 2 + int(np.log(n_clusters))
    while len(centres) < n_clusters:
        total = gap.sum()
        p = gap / total if total > 0 else None
        candidates = rows[rng.choice(len(rows), tries, p=p)]
        left = np.minimum(gap, _squared(rows, candidates))
        best = int(left.sum(axis=1).argmin())
        centres, gap = np.concatenate([centres, candidates[best][None]]), left[best]
    return centres


def _squared(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances, (centres, rows)."""
    return np.maximum((centres**2).sum(axis=1)[:, None] - 2 * centres @ rows.T + (rows**2).sum(axis=1), 0)


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return _squared(rows, centres).argmin(axis=0)
