"""``Batches``: which sequences are taken together, epoch by epoch.

Ragged sequences are taken with others of about their length, so that little is padded. There are at most
eight padded lengths, since every shape has a graph of its own.
"""

from __future__ import annotations

import numpy as np

from rnn.training.data import Data

BUCKETS = 8
"""Most padded lengths of one data set."""


def buckets(lengths: np.ndarray, count: int) -> list[np.ndarray]:
    """Sequences by length, in at most ``count`` groups of about the same size; equal lengths stay together.

    Examples
    --------
    >>> [b.tolist() for b in buckets(np.array([9, 2, 8, 3, 2]), 2)]
    [[1, 3, 4], [0, 2]]
    """
    edges = np.unique(np.quantile(lengths, np.arange(1, count + 1) / count, method="higher"))
    place = np.searchsorted(edges, lengths)
    return [found for k in range(len(edges)) if len(found := np.flatnonzero(place == k))]


class Batches:
    """The batches of each epoch.

    Parameters
    ----------
    data : Data
    size : int or None
        Sequences of a batch; None is all of them.
    seed : int
        The order in epoch e is a function of the seed and e alone.
    shuffle : bool
    """

    def __init__(self, data: Data, size: int | None, seed: int = 0, shuffle: bool = True):
        self.data, self.size, self.seed, self.shuffle = data, size, seed, shuffle
        self.groups = [np.arange(len(data))]
        lengths = data.layout.lengths
        if size is not None and lengths is not None:
            self.groups = buckets(lengths, int(np.clip(len(data) // (2 * size), 1, BUCKETS)))

    def __len__(self) -> int:
        """Batches of an epoch."""
        return 1 if self.size is None else sum(-(-len(group) // self.size) for group in self.groups)

    def rows(self, epoch: int) -> list[np.ndarray]:
        """Sequences of each batch."""
        if self.size is None:
            return self.groups
        rng = np.random.default_rng([self.seed, 0, epoch])
        found = []
        for group in self.groups:
            order = rng.permutation(group) if self.shuffle else group
            found += [order[k : k + self.size] for k in range(0, len(order), self.size)]
        return [found[k] for k in rng.permutation(len(found))] if self.shuffle else found

    def all(self) -> list[Data]:
        """The batches of the first epoch."""
        return [self.part(rows) for rows in self.rows(0)]

    def part(self, rows: np.ndarray) -> Data:
        """A batch, padded to the length of its group."""
        if self.size is None:
            return self.data
        lengths = self.data.layout.lengths
        if lengths is None:
            return self.data.part(rows)
        group = next(g for g in self.groups if rows[0] in g)
        return self.data.part(rows, int(lengths[group].max()))
