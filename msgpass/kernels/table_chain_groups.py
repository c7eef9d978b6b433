"""Which sequences are swept together: by their lengths alone, so that a graph that is run again need
not ask anew.

What is found for few sequences is kept by their lengths; it is shared, and nobody writes to it.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

LANES = 8
LONG = 1024  # steps below which a sequence is never swept on its own
_FEW = 4096  # sequences; with more, looking up costs as much as finding out


class Groups(NamedTuple):
    """Sequences by falling length in eights, the last filled up with empty lanes.

    Attributes
    ----------
    order, place : ndarray, shape (N,)
        Sequence in each lane, and lane of each sequence.
    starts, lengths : ndarray, shape (8 · groups,)
    """

    order: np.ndarray
    place: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray


class Split(NamedTuple):
    """Numbers of the sequences that are swept on their own and of the rest, and the length of each."""

    alone: list[int]
    rest: np.ndarray
    lengths: np.ndarray


def groups(starts: np.ndarray, lengths: np.ndarray) -> Groups:
    """Groups of eight of these sequences."""
    if len(lengths) <= _FEW:
        return _kept_groups(starts.tobytes(), lengths.tobytes())
    return _groups(starts, lengths)


def split(offsets: np.ndarray) -> Split:
    """Sequences so much longer than the next seven that lanes would be half empty, and the others."""
    return _kept_split(offsets.tobytes()) if len(offsets) <= _FEW else _split(offsets)


@lru_cache(maxsize=64)
def _kept_groups(starts: bytes, lengths: bytes) -> Groups:
    return _groups(np.frombuffer(starts, np.int64), np.frombuffer(lengths, np.int64))


def _groups(starts: np.ndarray, lengths: np.ndarray) -> Groups:
    order = np.argsort(-lengths, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    padded_starts, padded_lengths = np.zeros((2, -(-len(order) // LANES) * LANES), np.int64)
    padded_starts[: len(order)], padded_lengths[: len(order)] = starts[order], lengths[order]
    return Groups(order, place, padded_starts, padded_lengths)


@lru_cache(maxsize=64)
def _kept_split(offsets: bytes) -> Split:
    return _split(np.frombuffer(offsets, np.int64))


def _split(offsets: np.ndarray) -> Split:
    lengths = np.diff(offsets)
    alone = np.zeros(len(lengths), bool)
    order = np.argsort(-lengths, kind="stable")
    for n, sequence in enumerate(order):
        longest = lengths[sequence]
        if longest < LONG or 2 * lengths[order[n : n + 8]].sum() >= 8 * longest:
            break
        alone[sequence] = True
    return Split(np.flatnonzero(alone).tolist(), np.flatnonzero(~alone), lengths)
