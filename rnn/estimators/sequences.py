"""``Sequences``: what users hand over as X, laid out once, and answers given back in the same form.

    array   (N, T, D), with ``lengths`` where sequences end earlier
    list    of arrays (T_i, D)
    flat    (Σ T_i, D) with ``lengths``, sequences end to end
    plain   (T, D), one sequence; or (N, T), N sequences of one feature, where there is one answer a sequence

Tokens are whole numbers without the axis D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array

from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True)
class Sequences:
    """Padded sequences.

    Attributes
    ----------
    x : array (N, T, D), or tokens (N, T)
        0 beyond a sequence's end.
    lengths : array (N,)
    form : {"array", "list", "flat", "plain"}
    """

    x: np.ndarray
    lengths: np.ndarray
    form: str

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.lengths)

    @property
    def ragged(self) -> bool:
        """Some end before the last step."""
        return bool((self.lengths < self.x.shape[1]).any())

    @property
    def extra(self) -> dict[str, Any]:
        """What a network takes beside x."""
        return {"lengths": self.lengths} if self.ragged else {}

    def each(self, padded: np.ndarray) -> list[np.ndarray]:
        """Rows of each sequence of a padded array."""
        return [row[:n] for row, n in zip(padded, self.lengths, strict=True)]

    def given_back(self, padded: np.ndarray) -> Any:
        """An answer a step, (N, T, …), in the form that X had."""
        if self.form == "array" and not self.ragged:
            return padded
        parts = self.each(padded)
        return np.concatenate(parts) if self.form in ("flat", "plain") else parts

    def beside(self, y, what: str = "y") -> list[np.ndarray]:
        """An answer a step, given in the form of X, as one array a sequence."""
        if self.form in ("flat", "plain"):
            whole = np.asarray(y)
            if whole.ndim == 0 or len(whole) != self.lengths.sum():
                raise ShapeError(
                    f"{what} has shape {whole.shape}; there are {self.lengths.sum()} steps in all, one row "
                    "each is wanted"
                )
            return np.split(whole, np.cumsum(self.lengths)[:-1])
        if len(y) != len(self):
            raise ShapeError(f"{what} has {len(y)} sequences, X has {len(self)}")
        padded = isinstance(y, np.ndarray) and self.form == "array"
        parts = [np.asarray(part) for part in y]
        if padded:
            parts = [p[:n] if p.ndim else p for p, n in zip(parts, self.lengths, strict=True)]
        for k, (part, n) in enumerate(zip(parts, self.lengths, strict=True)):
            if part.ndim == 0 or len(part) != n:
                raise ShapeError(
                    f"{what} of sequence {k} has shape {part.shape}, but the sequence has {n} steps"
                )
        return parts

    def padded(self, parts: list[np.ndarray], missing) -> np.ndarray:
        """One array a sequence as (N, T, …)."""
        shape = len(self), self.x.shape[1], *parts[0].shape[1:]
        found = np.full(shape, missing, np.result_type(parts[0].dtype, type(missing)))
        for row, part in zip(found, parts, strict=True):
            row[: len(part)] = part
        return found


def read(X, lengths, *, tokens: bool, univariate: bool) -> Sequences:
    """Sequences from what a user gives.

    Parameters
    ----------
    X : array or list of arrays
    lengths : array of int, optional
    tokens : bool
        X holds whole numbers, without an axis of features.
    univariate : bool
        A plain (N, T) array is N sequences of one feature.

    Raises
    ------
    ShapeError, DataError
        They name the sequence that does not fit.
    """
    if isinstance(X, list | tuple) and not len(X):
        raise DataError("X is an empty list; at least one sequence is wanted")
    if isinstance(X, list | tuple) and _is_sequence(X[0], tokens):
        if lengths is not None:
            raise DataError("X is a list of sequences, which have their own lengths; leave lengths= out")
        return from_list([_numbers(part, f"sequence {k}", tokens) for k, part in enumerate(X)])
    if isinstance(X, list | tuple) and not tokens and np.ndim(X[0]) == 1:
        sizes = {len(part) for part in X if np.ndim(part) == 1}
        if len(sizes) > 1 or (not univariate and isinstance(X[0], np.ndarray)):
            raise ShapeError(
                "X is a list of arrays without an axis of features; a sequence is (T, D), so give "
                "part[:, None] of each"
            )
    array = _numbers(_without_padding(X, lengths), "X", tokens)
    steps = array.ndim - (0 if tokens else 1)
    if steps == 2:
        n, T = array.shape[:2]
        return Sequences(array, np.full(n, T) if lengths is None else _lengths(lengths, n, T), "array")
    if lengths is not None:
        return flat(array, lengths)
    if univariate and not tokens:
        return Sequences(array[..., None], np.full(len(array), array.shape[1]), "plain")
    return Sequences(array[None], np.array([len(array)]), "plain")


def _without_padding(X, lengths):
    """A padded array of numbers with 0 where its sequences have ended, whatever stands there."""
    given = np.asarray(lengths) if lengths is not None else np.zeros(0)
    if not isinstance(X, np.ndarray) or X.ndim != 3 or X.dtype.kind != "f" or given.shape != X.shape[:1]:
        return X
    return np.where((np.arange(X.shape[1]) < given[:, None])[..., None], X, 0)


def from_list(parts: list[np.ndarray], form: str = "list") -> Sequences:
    """Sequences that are arrays of their own."""
    for k, part in enumerate(parts):
        if part.shape[1:] != parts[0].shape[1:]:
            raise ShapeError(
                f"sequence {k} has {part.shape[1]} features, sequence 0 has {parts[0].shape[1]}; all need as "
                "many"
            )
    lengths = np.array([len(part) for part in parts])
    x = np.zeros((len(parts), lengths.max(), *parts[0].shape[1:]), parts[0].dtype)
    for row, part in zip(x, parts, strict=True):
        row[: len(part)] = part
    return Sequences(x, lengths, form)


def flat(array: np.ndarray, lengths) -> Sequences:
    """Sequences end to end."""
    given = np.asarray(lengths)
    if given.dtype.kind not in "iu" or given.ndim != 1 or (given < 1).any() or given.sum() != len(array):
        raise ShapeError(
            f"lengths must be whole numbers ≥ 1 whose sum is the {len(array)} rows of X, got {lengths!r}"
        )
    return from_list(np.split(array, np.cumsum(given)[:-1]), "flat")


def _lengths(lengths, n: int, steps: int) -> np.ndarray:
    given = np.asarray(lengths)
    if given.dtype.kind not in "iu" or given.shape != (n,):
        raise ShapeError(f"lengths must be {n} whole numbers, one a sequence, got {lengths!r}")
    bad = np.flatnonzero((given < 1) | (given > steps))
    if bad.size:
        raise ShapeError(f"lengths[{bad[0]}] is {given[bad[0]]}; X has {steps} steps, so wanted 1 to {steps}")
    return given.astype(np.int64)


def _is_sequence(first, tokens: bool) -> bool:
    """Whether an element of a list is a sequence, and the list not itself one array's rows."""
    return np.ndim(first) == (1 if tokens else 2)


def _numbers(value, what: str, tokens: bool) -> np.ndarray:
    """Real numbers (…, D), or whole ones."""
    if tokens:
        array = np.asarray(value)
        if array.dtype.kind not in "iu" or array.ndim not in (1, 2) or array.size == 0:
            raise DataError(
                f"{what} must hold tokens, whole numbers from 0, (T,) or (N, T); got {array.dtype} of shape "
                f"{array.shape}"
            )
        return array.astype(np.int64)
    try:
        array = check_array(
            value, dtype="numeric", allow_nd=True, ensure_all_finite=False, ensure_min_samples=1
        )
    except ValueError as problem:
        raise DataError(str(problem)) from None
    if array.ndim > 3:
        raise ShapeError(f"{what} has shape {array.shape}; wanted (N, T, D) or (T, D)")
    array = np.ascontiguousarray(array, np.float64)  # one order of memory, one order of sums
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        place = ", ".join(map(str, bad[0]))
        kind = "NaN" if np.isnan(array[tuple(bad[0])]) else "infinity"
        raise DataError(
            f"{what} holds {kind} at [{place}]; a network has nothing to put in its place: fill it, or leave "
            "the steps out"
        )
    return array
