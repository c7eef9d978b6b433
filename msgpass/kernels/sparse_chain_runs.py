"""Entries of a sparse transition in an order that a vector unit likes.

A *run* is a stretch of entries along a diagonal (i, j), (i + 1, j + 1), …, down a column or along a row:
bands, ages that grow by one, regimes entered at age 0 from any age. Runs need no indices, and both sweeps
read and write in stretches. Entries in no run worth its loop are *loose* and have indices of their own.

Nanoseconds an entry for one step of a message: .11 to .13 in a band of 10⁴ states, .27 over 500 expanded
states, .64 where 10⁵ entries are all loose, against .9 to 1.2 for entries sorted by target and gathered.
"""

from typing import NamedTuple

import numpy as np

SHORTEST = 6
"""Entries below which a run costs more than as many loose ones."""

TILE = 1024
"""Longest run: messages of this many states stay in the first-level cache while the runs side by side of a
band pass over them."""

DIAGONAL, COLUMN, ROW = range(3)


class Runs(NamedTuple):
    """The order, and what stands in it.

    Attributes
    ----------
    order : ndarray of int64, shape (nnz,)
        User's number of each entry.
    runs : ndarray of int64, shape (n, 4)
        First source, first target, first place and number of entries of each run.
    kinds : ndarray of int64, shape (3,)
        Runs are diagonals up to ``kinds[0]``, columns up to ``kinds[1]``, rows up to ``kinds[2]``.
    loose : ndarray of int32, shape (2, m)
        Sources and targets of the last m places.
    """

    order: np.ndarray
    runs: np.ndarray
    kinds: np.ndarray
    loose: np.ndarray


def find_runs(rows: np.ndarray, cols: np.ndarray) -> Runs:
    """Give each entry to the longest run that it is part of, and what is left of short ones to the loose.

    Examples
    --------
    A band of three diagonals:

    >>> rows = np.repeat(np.arange(100), 3)[1:-1]
    >>> cols = (np.repeat(np.arange(100), 3) + np.tile([-1, 0, 1], 100))[1:-1]
    >>> made = find_runs(rows, cols)
    >>> made.runs[:, [0, 1, 3]].tolist(), made.loose.shape
    ([[1, 0, 99], [0, 0, 100], [0, 1, 99]], (2, 0))
    """
    everything = np.arange(len(rows))
    lengths = np.stack([_lengths(kind, rows, cols, everything) for kind in (DIAGONAL, COLUMN, ROW)])
    best = lengths.argmax(axis=0)
    free = lengths.max(axis=0) < SHORTEST
    parts, found, kinds = [], [], []
    for kind in (DIAGONAL, COLUMN, ROW):
        mine = np.flatnonzero((best == kind) & ~free)
        short = _lengths(kind, rows, cols, mine) < SHORTEST  # a run may have lost entries to longer ones
        free[mine[short]] = True
        order, starts = _runs(kind, rows, cols, mine[~short])
        sizes = np.diff(starts, append=len(order))
        heads = order[starts]
        # Runs side by side follow each other tile by tile.
        by_tile = np.lexsort((cols[heads] - rows[heads], rows[heads] // TILE))
        found += [(rows[h], cols[h], n) for h, n in zip(heads[by_tile], sizes[by_tile], strict=True)]
        parts += [order[starts[r] : starts[r] + sizes[r]] for r in by_tile]
        kinds.append(len(found))
    left = np.flatnonzero(free)
    # Neighbours in this order mostly share neither source nor target, so that no sum waits for the last one.
    left = left[np.lexsort((rows[left], cols[left] - rows[left]))]
    runs = np.array(found, np.int64).reshape(-1, 3)
    places = np.cumsum(runs[:, 2]) - runs[:, 2]
    return Runs(
        np.concatenate([*parts, left]).astype(np.int64),
        np.stack([runs[:, 0], runs[:, 1], places, runs[:, 2]], axis=1),
        np.array(kinds, np.int64),
        np.stack([rows[left], cols[left]]).astype(np.int32),
    )


def _runs(kind: int, rows: np.ndarray, cols: np.ndarray, chosen: np.ndarray) -> tuple:
    """The chosen entries run after run, and where each run starts; tiles cut runs."""
    i, j = rows[chosen], cols[chosen]
    line, along = {DIAGONAL: (j - i, i), COLUMN: (j, i), ROW: (i, j)}[kind]
    order = np.lexsort((along, line))
    line, along = line[order], along[order]
    new = np.ones(len(order), bool)
    new[1:] = (line[1:] != line[:-1]) | (along[1:] != along[:-1] + 1) | (along[1:] % TILE == 0)
    return chosen[order], np.flatnonzero(new)


def _lengths(kind: int, rows: np.ndarray, cols: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Length of the run that each chosen entry is in."""
    if not len(chosen):
        return np.zeros(0, np.int64)
    order, starts = _runs(kind, rows, cols, chosen)
    lengths = np.zeros(len(rows), np.int64)
    sizes = np.diff(starts, append=len(order))
    lengths[order] = np.repeat(sizes, sizes)
    return lengths[chosen]
