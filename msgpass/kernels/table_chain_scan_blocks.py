"""How chains are cut for a blocked scan, and who sweeps what at the same time.

Blocks of one sequence: the first knows its first message, so that it is swept forward at once; the last knows
its last one and is swept backward. Only those between them have to be reduced to matrices first, which costs
K messages a step instead of one. With two blocks there is none: the two directions start from both ends and
cross. A third processor therefore gains nothing, and P processors gain where P blocks of K + 3 sweeps each
take less time than two of 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CHUNKS = 8
"""Parts that a list of blocks is dealt out in, so that no thread waits long for another."""


def count_of(n_states: int, processors: int) -> int:
    """Blocks that a long chain is cut into.

    >>> count_of(4, 2), count_of(4, 16), count_of(64, 16)
    (2, 16, 2)
    """
    return processors if 3 * processors > 2 * (n_states + 3) else 2


class Blocks(NamedTuple):
    """Blocks of all sequences, end to end.

    Attributes
    ----------
    rows : ndarray of int64, shape (n, 5)
        Sequence, first row, last row, whether it is the first of its sequence, and whether it is the last.
    """

    rows: np.ndarray

    @classmethod
    def cut(cls, offsets: np.ndarray, count: int) -> Blocks:
        """About ``count`` blocks in all, of about one length, each within one sequence.

        >>> Blocks.cut(np.array([0, 9, 12]), 4).rows.tolist()
        [[0, 0, 2, 1, 0], [0, 2, 5, 0, 0], [0, 5, 8, 0, 1], [1, 9, 11, 1, 1]]
        """
        lengths = np.diff(offsets)
        wanted = np.rint(count * lengths / max(offsets[-1], 1)).astype(np.int64)
        own = np.clip(wanted, 1, np.maximum(lengths - 1, 1))
        sequence = np.repeat(np.arange(len(lengths)), own)
        place = np.arange(len(sequence)) - np.repeat(np.cumsum(own) - own, own)
        pairs, start, among = (lengths - 1)[sequence], offsets[:-1][sequence], own[sequence]
        first, last = start + place * pairs // among, start + (place + 1) * pairs // among
        return cls(np.stack([sequence, first, last, place == 0, place == among - 1], 1).astype(np.int64))

    @property
    def opens(self) -> np.ndarray:
        """First of its sequence."""
        return self.rows[:, 3] == 1

    @property
    def closes(self) -> np.ndarray:
        """Last of its sequence."""
        return self.rows[:, 4] == 1

    @property
    def inner(self) -> np.ndarray:
        """Neither: what has to be reduced."""
        return ~(self.opens | self.closes)

    def chunks(self, chosen: np.ndarray) -> list[np.ndarray]:
        """The chosen blocks (a mask) in up to :data:`CHUNKS` parts of about as many rows."""
        which = np.flatnonzero(chosen)
        if len(which) <= CHUNKS:
            return [which[k : k + 1] for k in range(len(which))]
        ends = np.cumsum(self.rows[which, 2] - self.rows[which, 1] + 1)
        cuts = np.searchsorted(ends, ends[-1] * np.arange(1, CHUNKS) / CHUNKS)
        return [part for part in np.split(which, cuts) if len(part)]
