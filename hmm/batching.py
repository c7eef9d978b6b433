"""Batches of whole sequences, cut out of one array that need not be in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hmm.sample import sequence_weights
from hmm.validation import sequence_lengths, whole
from msgpass.errors import DataError, ShapeError


class Batches:
    """What :func:`batches` returns: iterate over it as often as you like."""

    def __init__(self, X, ends: list[tuple[int, int]], lengths: np.ndarray, weights, labels):
        self.X, self.lengths, self.weights, self.labels = X, lengths, weights, labels
        self._ends = ends
        self._rows = np.concatenate([[0], np.cumsum(lengths)])

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for first, last in self._ends:
            rows = slice(int(self._rows[first]), int(self._rows[last]))
            batch: dict[str, Any] = {"X": self.X[rows], "lengths": self.lengths[first:last]}
            if self.weights is not None:
                batch["weights"] = self.weights[first:last]
            if self.labels is not None:
                batch["labels"] = self.labels[rows]
            yield batch

    def __repr__(self) -> str:
        return f"<{len(self)} batches of {len(self.lengths)} sequences, {self._rows[-1]} rows>"


def batches(X, lengths=None, *, rows: int = 65_536, weights=None, labels=None) -> Batches:
    """Cut sequences that lie end to end into batches for :meth:`fit_batches`.

    Parameters
    ----------
    X : array, (T, D) or (T,)
        A ``numpy.memmap`` (``np.load(path, mmap_mode="r")``, say) is read a batch at a time. Anything that
        has a shape and can be sliced will do.
    lengths : array-like of int, optional
        Lengths of the sequences, summing to T; one sequence by default.
    rows : int
        At most so many a batch, if no sequence is longer: a sequence is never cut.
    weights : array-like, (N,), optional
    labels : array-like, (T,), optional
        As ``fit`` takes them.

    Returns
    -------
    Batches
        Dicts of "X", "lengths" and what else was given, as often as they are asked for.

    Examples
    --------
    >>> import hmm
    >>> found = hmm.batches(np.arange(10.0), lengths=[3, 3, 1, 3], rows=6)
    >>> found
    <2 batches of 4 sequences, 10 rows>
    >>> [batch["lengths"].tolist() for batch in found]
    [[3, 3], [1, 3]]
    """
    whole("rows", rows, 1)
    if not hasattr(X, "shape") or not hasattr(X, "__getitem__") or hasattr(X, "columns"):
        raise DataError(
            f"X is a {type(X).__name__}; wanted an array that can be sliced, such as a numpy.memmap"
        )
    if len(X.shape) not in (1, 2) or 0 in X.shape:
        raise ShapeError(f"X has shape {X.shape}, wanted (T, D) or (T,), with something in it")
    sizes = np.asarray(sequence_lengths(lengths, X.shape[0]))
    weights = None if weights is None else sequence_weights(weights, sizes.tolist())
    if labels is not None and np.shape(labels) != (X.shape[0],):
        raise ShapeError(
            f"labels have shape {np.shape(labels)}, wanted one for each row of X, ({X.shape[0]},)"
        )
    ends, first, held = [], 0, 0
    for n, size in enumerate(sizes.tolist()):
        if held and held + size > rows:
            ends.append((first, n))
            first, held = n, 0
        held += size
    ends.append((first, len(sizes)))
    return Batches(X, ends, sizes, weights, None if labels is None else np.asarray(labels))
