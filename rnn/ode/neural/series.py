"""``Irregular``: series (t, X) as padded rows, with empty ones where a time is asked for or a gap is long."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.estimators.sequences import Sequences

ROUND = 1e-9  # part of a gap that it may be longer
MOST_ROWS = 100_000
"""Rows of one series, those that cut long gaps included."""


@dataclass(frozen=True)
class Irregular(Sequences):
    """Padded series; NaN in x is missing.

    Attributes
    ----------
    t : array (N, T)
        Beyond a series' end its last time.
    places : list of arrays
        Rows of each series' own observations.
    asked : list of arrays
        Rows of each series' times that were asked for.
    """

    t: np.ndarray
    places: list[np.ndarray]
    asked: list[np.ndarray]

    @property
    def extra(self) -> dict[str, Any]:
        """What the network takes beside x."""
        return {"t": self.t, "lengths": self.lengths}

    def at(self, padded: np.ndarray, rows: list[np.ndarray]) -> list[np.ndarray]:
        """Some rows of each series."""
        return [row[k] for row, k in zip(padded, rows, strict=True)]


def read_series(X) -> tuple[list[tuple[np.ndarray, np.ndarray]], bool]:
    """([(t (T,), x (T, D)), …], whether it is one series alone), checked.

    Parameters
    ----------
    X : list of (t, x), or one (t, x)
        Times increasing; x (T, D), or (T,) for one feature.

    Raises
    ------
    ShapeError, DataError
        They name the series that does not fit.
    """
    single = isinstance(X, tuple) and len(X) == 2 and not isinstance(X[0], tuple)
    if not isinstance(X, list | tuple) or not len(X):
        raise DataError(f"X is a list of series (t, x), at least one; got {type(X).__name__} {X!r:.40}")
    found = [_series(part, k) for k, part in enumerate([X] if single else X)]
    for k, (_, x) in enumerate(found):
        if x.shape[1] != found[0][1].shape[1]:
            raise ShapeError(
                f"series {k} has {x.shape[1]} features, series 0 has {found[0][1].shape[1]}; all need as many"
            )
    return found, single


def _series(part, k: int) -> tuple[np.ndarray, np.ndarray]:
    if not isinstance(part, tuple | list) or len(part) != 2:
        raise DataError(f"series {k} is {type(part).__name__}, wanted a pair (t, x): times and values there")
    t, x = (real_numbers(value, f"{what} of series {k}") for value, what in zip(part, "tx", strict=True))
    x = x[:, None] if x.ndim == 1 else x
    if t.ndim != 1 or x.ndim != 2 or len(t) != len(x) or not x.size:
        raise ShapeError(f"series {k} has t of shape {t.shape} and x of {x.shape}; wanted (T,) and (T, D)")
    if np.isinf(x).any():
        raise DataError(f"x of series {k} holds an infinite value; NaN is missing")
    _increasing(t, f"t of series {k}")
    return t, x


def real_numbers(value, what: str) -> np.ndarray:
    try:
        array = np.ma.filled(value.astype(float), np.nan) if np.ma.isMaskedArray(value) else np.asarray(value)
        if array.dtype.kind in "OSU":
            array = array.astype(float)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{what} is not an array of numbers: {problem}") from None
    if array.dtype.kind not in "iubf":
        raise DataError(f"{what} must hold real numbers, got dtype {array.dtype}; give times as numbers")
    return array.astype(float)


def _increasing(t: np.ndarray, what: str) -> None:
    if not np.isfinite(t).all():
        raise DataError(f"{what} holds NaN or an infinite value")
    bad = np.flatnonzero(np.diff(t) <= 0)
    if bad.size:
        k = bad[0]
        raise DataError(
            f"{what} must increase, but t[{k}] = {t[k]:g} is followed by {t[k + 1]:g}; sort the rows and "
            "take each time once"
        )


def is_shared(t) -> bool:
    """Times are one array for all series, and not one a series."""
    return np.ndim(t[0]) == 0 if isinstance(t, list | tuple | np.ndarray) and len(t) else True


def read_asked(t, series: list) -> list[np.ndarray]:
    """Times that are asked for, one array a series; one array is for all."""
    shared = is_shared(t)
    parts = (
        [real_numbers(t, "t")] * len(series)
        if shared
        else [real_numbers(part, f"t[{k}]") for k, part in enumerate(t)]
    )
    if len(parts) != len(series):
        raise ShapeError(f"t has {len(parts)} arrays of times, X has {len(series)} series")
    for k, (times, (own, _)) in enumerate(zip(parts, series, strict=True)):
        if times.ndim != 1:
            raise ShapeError(f"times asked of series {k} have shape {times.shape}; wanted (M,)")
        if not np.isfinite(times).all():
            raise DataError(f"times asked of series {k} hold NaN or an infinite value")
        if times.min(initial=np.inf) < own[0]:
            raise DataError(
                f"series {k} begins at t = {own[0]:g} and is asked about t = {times.min():g}, before it; a "
                "state begins where something is seen"
            )
    return parts


def laid_out(series: list, asked: list[np.ndarray] | None, longest: float, form: str) -> Irregular:
    """Rows of observations, of times that are asked for, and within gaps that are longer than ``longest``."""
    times, values, places, wanted = [], [], [], []
    for k, (t, x) in enumerate(series):
        own = t if asked is None else np.union1d(t, asked[k])
        gaps = np.diff(own)
        counts = np.maximum(1, np.ceil(gaps / longest * (1 - ROUND)))
        if counts.sum() > MOST_ROWS:
            raise DataError(
                f"series {k} has a gap of {gaps.max():.3g} usual gaps, and cut into parts of at most longest="
                f"{longest:g} it has {counts.sum() + 1:.3g} rows, more than {MOST_ROWS}; look at its times, "
                "and at those that are asked for, or raise longest="
            )
        counts = counts.astype(int)
        starts, part = np.repeat(own[:-1], counts), np.concatenate([np.arange(n) for n in (*counts, 0)])
        rows = np.append(starts + np.repeat(gaps / counts, counts) * part, own[-1])
        places.append(np.searchsorted(rows, t))
        wanted.append(places[-1] if asked is None else np.searchsorted(rows, asked[k]))
        filled = np.full((len(rows), x.shape[1]), np.nan)
        filled[places[-1]] = x
        times.append(rows)
        values.append(filled)
    lengths = np.array([len(rows) for rows in times])
    shape = len(series), lengths.max()
    t, x = np.empty(shape), np.full((*shape, values[0].shape[1]), np.nan)
    for k, n in enumerate(lengths):
        t[k, :n], t[k, n:], x[k, :n] = times[k], times[k][-1], values[k]
    return Irregular(x, lengths, form, t, places, wanted)
