"""Real data with missing cells, laid out once for the normal emissions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hmm.emissions.base import observed_cells


@dataclass(frozen=True, eq=False)
class Cells:
    """Features in rows, so that sweeps over time are contiguous.

    Attributes
    ----------
    filled : array, (D, T)
        0 where missing.
    observed : array, (D, T), or None
        1.0 where observed; None if nothing is missing.
    counted : array, (D + 1, T) or (2 D, T)
        ``filled``, then what its features are counted by: a row of ones, or ``observed``.
    """

    filled: np.ndarray
    observed: np.ndarray | None
    counted: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> Cells:
        """From (T, D) with NaN."""
        observed = observed_cells(X)
        T, D = X.shape
        counted = np.empty((D + 1 if observed is None else 2 * D, T))
        counted[:D] = X.T if observed is None else np.where(observed, X.T, 0.0)
        counted[D:] = 1.0 if observed is None else observed
        return cls(counted[:D], None if observed is None else counted[D:], counted)

    @cached_property
    def some(self) -> np.ndarray | float:
        """1.0 for rows with something in them, 0.0 for rows that are missing."""
        return 1.0 if self.observed is None else self.observed.any(axis=0).astype(float)

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
