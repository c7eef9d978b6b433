"""Sequences of a Gaussian chain that share their covariances: same matrices, same length, same missing cells.

Covariances do not depend on the data, so that one sweep of them does for a whole group, and the means of
its series are rows of one matrix product.
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_chain_types import GaussianChainArrays


class Groups(NamedTuple):
    """Groups in the order of their first sequence.

    Attributes
    ----------
    lead, steps : ndarrays of int64, shape (G,)
        First sequence of each group, and its length.
    base : ndarray of int64, shape (G,)
        Where the rows of a group begin when all groups lie end to end.
    members : ndarray of int64, shape (N,)
        Sequences, group after group.
    bounds : ndarray of int64, shape (G + 1,)
        Group g has ``members[bounds[g]:bounds[g + 1]]``.
    """

    lead: np.ndarray
    steps: np.ndarray
    base: np.ndarray
    members: np.ndarray
    bounds: np.ndarray

    @property
    def total(self) -> int:
        """Rows of all groups."""
        return int(self.base[-1] + self.steps[-1])

    @property
    def alone(self) -> bool:
        """Whether every group is one sequence."""
        return len(self.lead) == len(self.members)


def every_one(lengths: np.ndarray) -> Groups:
    """Each sequence by itself."""
    N = len(lengths)
    order = np.arange(N)
    return Groups(order, lengths, np.cumsum(lengths) - lengths, order, np.arange(N + 1))


def groups(arrays: GaussianChainArrays, masked: bool) -> Groups:
    """By length and missing cells where all matrices are shared; ``masked`` says whether a cell is
    missing."""
    lengths = np.diff(arrays.offsets).astype(np.int64)
    shared = all(len(part) == 1 for part in (arrays.cov, arrays.F, arrays.Q, arrays.H, arrays.R))
    if not shared or len(lengths) == 1:
        return every_one(lengths)
    if masked:
        gone = np.isnan(arrays.y)
        bounds = zip(arrays.offsets[:-1], arrays.offsets[1:], strict=True)
        keys: dict[tuple, int] = {}
        of = np.array(
            [keys.setdefault((end - start, gone[start:end].tobytes()), len(keys)) for start, end in bounds]
        )
    elif (lengths == lengths[0]).all():
        of = np.zeros(len(lengths), np.int64)
    else:
        _, first, of = np.unique(lengths, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        of = rank[of.reshape(-1)]
    counts = np.bincount(of)
    members = np.argsort(of, kind="stable").astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    lead = members[bounds[:-1]]
    steps = lengths[lead]
    return Groups(lead, steps, np.cumsum(steps) - steps, members, bounds)
