"""Where a mixture starts: clusters of all rows, shared out so that those of a state follow each other.

What lies close together need not belong to one state: the components of a state are seen in turn while it
lasts, wherever they are.
"""

from __future__ import annotations

import numpy as np

from hmm.clustering import cluster
from hmm.emissions.covariance import floored

BLUR = 0.1
"""Share of the covariance of all data in the covariance of components."""

NEARNESS = 0.25
"""What distance counts beside the logarithm of how often clusters follow each other."""


def grouped_clusters(
    X: np.ndarray, n_groups: int, size: int, rng: np.random.Generator, floor: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means of ``size`` clusters in each group, (n_groups, size, D), and the covariance within clusters, a
    little widened, (D, D)."""
    n, D = n_groups * size, X.shape[1]
    seen = np.isfinite(X)
    overall = np.where(seen, X, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    rows = np.where(seen, X, overall)
    labels = cluster(rows, n, rng)
    member = (labels == np.arange(n)[:, None]).astype(float)
    counts = member.sum(axis=1, keepdims=True)
    means = np.where(counts > 0, member @ rows / np.maximum(counts, 1), overall)
    wide = np.cov(rows.T, bias=True).reshape(D, D) + np.diag(np.broadcast_to(floor, (D,)))
    gap = rows - means[labels]
    covariance = floored(gap.T @ gap / len(X) + BLUR * wide, floor)
    scale = np.sqrt(np.diag(wide))
    # Components that got no cluster of their own must differ, or EM keeps them alike.
    means = means + 0.01 * scale * rng.standard_normal(means.shape)
    return means[_grouped(labels, means / scale, n_groups, size)].reshape(n_groups, size, D), covariance


def _grouped(labels: np.ndarray, places: np.ndarray, n_groups: int, size: int) -> np.ndarray:
    """Clusters in an order that puts a group's members beside each other, (n_groups·size,).

    A group grows from the largest cluster left by those that follow its members more often than by chance,
    with a little preference for those that are near.
    """
    n = n_groups * size
    follows = np.bincount(labels[:-1] * n + labels[1:], minlength=n * n).reshape(n, n).astype(float)
    counts = np.bincount(labels, minlength=n)
    chance = np.outer(counts, counts) / len(labels)
    apart = ((places[:, None] - places) ** 2).sum(axis=-1)
    liking = np.log((follows + follows.T + 1) / (2 * chance + 1)) - NEARNESS * apart / max(
        apart.mean(), 1e-300
    )
    left, order = list(np.argsort(-counts, kind="stable")), []
    for _ in range(n_groups):
        group = [left.pop(0)]
        while len(group) < size:
            group.append(left.pop(int(np.argmax(liking[group][:, left].mean(axis=0)))))
        order += group
    return np.array(order)
