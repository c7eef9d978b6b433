"""Data of independent features, laid out once: for each column what is observed in it, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Column:
    """One feature: its observed values in their order, or its distinct values and which of them stands
    where."""

    values: np.ndarray
    rows: slice | np.ndarray
    which: np.ndarray | None

    @classmethod
    def of(cls, x: np.ndarray, repeated: bool) -> Column:
        """From (T,) with NaN; ``repeated`` data (counts) are worth sorting into distinct values."""
        missing = np.isnan(x)
        rows: slice | np.ndarray = slice(None)
        if missing.any():
            rows = np.flatnonzero(~missing)
        values, which = np.ascontiguousarray(x[rows]), None
        if repeated:
            values, which = np.unique(values, return_inverse=True)
        return cls(values, rows, which)

    def weights(self, weights: np.ndarray) -> np.ndarray:
        """(T, K) weights of rows → weights of values, (K, n)."""
        shown = np.ascontiguousarray(weights[self.rows].T)
        if self.which is None:
            return shown
        return np.stack([np.bincount(self.which, w, len(self.values)) for w in shown])

    def add(self, total: np.ndarray, per_value: np.ndarray) -> None:
        """Add what each value is worth, (K, n), to (K, T)."""
        total[:, self.rows] += per_value if self.which is None else per_value[:, self.which]


@dataclass(frozen=True, eq=False)
class Columns:
    """All features of T rows."""

    n_rows: int
    columns: list[Column]

    @classmethod
    def of(cls, X: np.ndarray, repeated: bool) -> Columns:
        """From (T, D) with NaN."""
        return cls(len(X), [Column.of(x, repeated) for x in np.asarray(X, np.float64).T])
