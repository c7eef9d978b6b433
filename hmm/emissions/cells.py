"""Real data with missing cells, laid out once for the normal emissions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hmm.emissions.base import observed_cells


@dataclass(frozen=True, eq=False)
class Cells:
    """Features in rows, (D, T), so that sweeps over time are contiguous; 0 where missing."""

    filled: np.ndarray
    observed: np.ndarray | None

    @classmethod
    def of(cls, X: np.ndarray) -> Cells:
        """From (T, D) with NaN."""
        observed = observed_cells(X)
        columns = np.ascontiguousarray(X.T, np.float64)
        return cls(columns if observed is None else np.nan_to_num(columns), observed)

    @cached_property
    def some(self) -> np.ndarray | float:
        """1.0 for rows with something in them, 0.0 for rows that are missing."""
        return 1.0 if self.observed is None else self.observed.any(axis=0).astype(float)

    @cached_property
    def counted(self) -> np.ndarray:
        """Features, then what they are counted by: whether each is observed, or a row of ones, (C, T)."""
        count = np.ones((1, self.filled.shape[1])) if self.observed is None else self.observed
        return np.concatenate([self.filled, count])

    @cached_property
    def patterns(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """(rows, which features they show) for each pattern of missing cells, rows without anything left
        out."""
        D = len(self.filled)
        if self.observed is None:
            return [(np.arange(self.filled.shape[1]), np.ones(D, bool))]
        codes = np.packbits(self.observed.astype(bool), axis=0)
        shown, which = np.unique(codes, axis=1, return_inverse=True)
        order = np.argsort(which.ravel(), kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(which.ravel()))[:-1])
        masks = np.unpackbits(shown, axis=0, count=D).T.astype(bool)
        return [(rows, mask) for rows, mask in zip(groups, masks, strict=True) if mask.any()]
