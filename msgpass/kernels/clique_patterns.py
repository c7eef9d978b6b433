"""How the entries of a smaller table lie among those of a clique's: maps that compiled loops follow.

Entry e = (o, i) of the clique's table, o over its first axes and i over its last, belongs to entry
``outer[o] + inner[i]`` of the smaller one, for the place is linear in the states. Two short maps so stand for
one as long as the table. Where the inner part is constant or runs along, the loop over it needs no map at
all; cliques that look alike share a pattern.
"""

from __future__ import annotations

import math

import numpy as np

CONSTANT, ALONG, MAPPED = 0, 1, 2
"""Kinds of inner parts: one entry, consecutive entries, entries by map."""

LONG_ENOUGH = 8
"""Inner lengths from which a loop without a map is taken: one vector of eight."""

WHOLE, PIECE = 256, 64
"""Tables up to WHOLE entries have one map; larger ones an inner map of at least PIECE entries."""


class Patterns:
    """Patterns by number.

    Attributes
    ----------
    rows : list of (outer length, inner length, kind, start of outer map, start of inner map)
    """

    def __init__(self):
        self.rows: list[tuple[int, int, int, int, int]] = []
        self.numbers: dict[bytes, int] = {}
        self.pieces: list[np.ndarray] = []
        self.length = 0

    def of(self, dims: np.ndarray, strides: np.ndarray) -> np.ndarray:
        """Pattern of each row: dims (n, W) of cliques' axes, right-aligned and padded with 1, and strides of
        the smaller table along them, 0 where it has no such variable.
        """
        if not len(dims):
            return np.zeros(0, np.int64)
        keys = np.ascontiguousarray(np.concatenate([dims, np.where(dims > 1, strides, 0)], axis=1))
        rows = keys.view(np.dtype((np.void, keys.shape[1] * keys.itemsize))).ravel()
        found, first, which = np.unique(rows, return_index=True, return_inverse=True)
        own = np.empty(len(found), np.int64)
        for k, place in enumerate(first.tolist()):
            key = found[k].tobytes()
            if key not in self.numbers:
                self.numbers[key] = self.add(dims[place].tolist(), strides[place].tolist())
            own[k] = self.numbers[key]
        return own[which.ravel()]

    def add(self, dims: list[int], strides: list[int]) -> int:
        """One pattern more."""
        axes = [(d, s) for d, s in zip(dims, strides, strict=True) if d > 1]
        size = math.prod(d for d, _ in axes)
        along, constant = _run(axes, True), _run(axes, False)
        if max(along, constant) >= min(LONG_ENOUGH, size):
            inner, kind = max((along, ALONG), (constant, CONSTANT))
        else:
            inner, kind = size if size <= WHOLE else _at_least(axes, PIECE), MAPPED
        cut, length = len(axes), 1
        while length < inner:
            cut -= 1
            length *= axes[cut][0]
        starts = []
        for part in (axes[:cut], axes[cut:] if kind == MAPPED else []):
            starts.append(self.length)
            self.pieces.append(_places(part))
            self.length += len(self.pieces[-1])
        self.rows.append((size // inner, inner, kind, *starts))
        return len(self.rows) - 1

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(patterns, maps)."""
        maps = np.concatenate(self.pieces) if self.pieces else np.zeros(0, np.int64)
        return np.array(self.rows, np.int64).reshape(-1, 5), maps


def _run(axes, along: bool) -> int:
    """Entries at the end over which the place runs along, or stays."""
    length = 1
    for d, s in reversed(axes):
        if s != (length if along else 0):
            break
        length *= d
    return length


def _at_least(axes, wanted: int) -> int:
    length = 1
    for d, _ in reversed(axes):
        if length >= wanted:
            break
        length *= d
    return length


def _places(axes) -> np.ndarray:
    places = np.zeros(1, np.int64)
    for d, s in axes:
        places = (places[:, None] + s * np.arange(d)).ravel()
    return places
