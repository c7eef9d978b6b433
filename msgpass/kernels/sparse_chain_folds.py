"""Marginals of states added up in the shape of the evidence: over the steps that use a row, over the states
of a group.
"""

import numpy as np


def folded(
    gamma: np.ndarray, rows: np.ndarray | None, groups: np.ndarray | None, shape: tuple[int, int]
) -> np.ndarray:
    """Σ γ_t(s) over the steps t of each row and the states s of each group.

    Parameters
    ----------
    gamma : ndarray, shape (T, S)
    rows : ndarray of int, shape (T,), or None
        ``None``: every step has its own row.
    groups : ndarray of int, shape (S,), or None
        ``None``: every state has its own column.
    shape : (R, G)

    Examples
    --------
    >>> folded(np.eye(3), np.array([0, 1, 1]), np.array([0, 0, 1]), (2, 2)).tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    if gamma.size >= LARGE:
        from msgpass.kernels.runtime import compiling
        from msgpass.kernels.sparse_chain_fold import fold

        nobody = np.empty(0, np.int64)
        groups = nobody if groups is None else np.asarray(groups)
        if rows is None and not groups.size:
            return gamma
        bounds = nobody
        if groups.size and (np.diff(groups) >= 0).all():
            bounds = np.searchsorted(groups, np.arange(shape[1] + 1))
        counts = np.zeros(shape)
        with compiling("the sums of marginals", fold):
            fold(gamma, nobody if rows is None else np.asarray(rows), groups, bounds, counts)
        return counts
    by_group = gamma
    if groups is not None:
        order = np.argsort(groups, kind="stable")
        present, starts = np.unique(groups[order], return_index=True)
        by_group = np.zeros((len(gamma), shape[1]))
        in_order = (np.diff(groups) >= 0).all()
        for a in range(0, len(gamma), STRETCH):  # the sorted copy stays small
            part = gamma[a : a + STRETCH]
            sums = np.add.reduceat(part if in_order else part[:, order], starts, axis=1)
            by_group[a : a + STRETCH, present] = sums
    if rows is None:
        return by_group
    counts = np.zeros(shape)
    order = np.argsort(rows, kind="stable")
    present, starts = np.unique(rows[order], return_index=True)
    for row, own in zip(present, np.split(order, starts[1:]), strict=True):
        for a in range(0, len(own), STRETCH):
            counts[row] += by_group[own[a : a + STRETCH]].sum(axis=0)
    return counts


STRETCH, LARGE = 256, 16_384
"""Steps taken at a time; entries of γ from which on compiled code does it."""
