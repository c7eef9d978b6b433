"""What a fit learns from: observations and inputs of sequences end to end, what is known of their states, and
how much each sequence counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hmm.validation import sequence_lengths
from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Sample:
    """Checked data of some sequences.

    Parameters
    ----------
    X : array, (T, D)
        Observations.
    lengths : list of int
    U : array, (T, P), optional
        Inputs, where transitions read some.
    labels : array of int, (T,), optional
        Known states, −1 where unknown.
    weights : array, (N,), optional
        How often each sequence counts; 1 by default.
    """

    X: np.ndarray
    lengths: list[int]
    U: np.ndarray | None = None
    labels: np.ndarray | None = None
    weights: np.ndarray | None = None

    def part(self, sequences: np.ndarray) -> Sample:
        """Some sequences (a mask), each counting once."""
        rows = np.repeat(sequences, self.lengths)
        return Sample(
            self.X[rows],
            [n for n, chosen in zip(self.lengths, sequences, strict=True) if chosen],
            None if self.U is None else self.U[rows],
            None if self.labels is None else self.labels[rows],
        )


def known_states(labels, n_rows: int, n_components: int) -> np.ndarray | None:
    """``labels`` of a semi-supervised fit as whole numbers, −1 where unknown (NaN, too)."""
    if labels is None:
        return None
    if isinstance(labels, list | tuple) and labels and all(np.ndim(own) == 1 for own in labels):
        labels = np.concatenate(labels)  # one array a sequence, as X may come
    try:
        array = np.asarray(labels, np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"labels are states 0 to {n_components - 1}, −1 where unknown ({problem})") from None
    if array.shape != (n_rows,):
        raise ShapeError(f"labels have shape {array.shape}, wanted one for each row of X, ({n_rows},)")
    array = np.where(np.isnan(array), -1, array)
    wrong = (np.floor(array) != array) | (array < -1) | (array >= n_components)
    if wrong.any():
        t = int(wrong.argmax())
        raise DataError(
            f"labels hold {array[t]:g} at row {t}; states run from 0 to {n_components - 1}, and an "
            "unknown one "
            "is −1"
        )
    return array.astype(np.int64) if (array >= 0).any() else None


def sequence_weights(weights, lengths: list[int]) -> np.ndarray | None:
    """``weights`` of a fit, one for each sequence, not negative; None where all are 1."""
    if weights is None:
        return None
    try:
        array = np.asarray(weights, np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"weights are numbers, one for each sequence ({problem})") from None
    if array.shape != (len(lengths),):
        raise ShapeError(
            f"weights have shape {array.shape}, wanted one for each of the {len(lengths)} sequences; a row "
            "of a sequence has no weight of its own, for it is not independent of the others"
        )
    if not np.isfinite(array).all() or (array < 0).any() or not array.any():
        raise DataError(f"weights must be finite, not negative, and not all zero, got {weights!r}")
    return None if (array == 1).all() else array


def checked_sample(X, U, lengths, labels, weights, n_components: int) -> Sample:
    """A sample of checked rows with the rest checked."""
    lengths = sequence_lengths(lengths, len(X))
    return Sample(
        X, lengths, U, known_states(labels, len(X), n_components), sequence_weights(weights, lengths)
    )
