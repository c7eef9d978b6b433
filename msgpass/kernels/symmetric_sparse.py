"""Large sparse symmetric systems: an order of elimination and the pattern of its factor, made once; then a
factorisation by SuperLU, and the selected inverse.

The order is minimum degree on the pattern, SuperLU's own. To find the pattern of L it factorises a matrix of that
pattern with negative entries beside a dominant diagonal, where nothing cancels: entries that happen to be 0 in
a run have a place in L all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.kernels.symmetric_system import SINGULAR, NotPositive, scales


class SparsePattern:
    """Order and pattern of a system.

    Parameters
    ----------
    cells : sequence of arrays of int, (instances, s)
        Rows and columns of each block.
    n : int
        Rows of the system.
    """

    def __init__(self, cells: Sequence[np.ndarray], n: int):
        self.cells, self.n = cells, n
        keys = [(c[:, None, :] * n + c[:, :, None]).ravel() for c in cells]  # column · n + row
        sizes = [k.size for k in keys]
        self.keys, places = np.unique(np.concatenate(keys), return_inverse=True)
        self.places = np.split(places.ravel(), np.cumsum(sizes)[:-1])
        rows, columns = self.keys % n, self.keys // n
        self.diagonal = np.flatnonzero(rows == columns)
        counts = np.bincount(columns, minlength=n)
        surrogate = np.where(rows == columns, counts[columns] + 1.0, -1.0)
        found = _factorise(self._csc(rows, columns, surrogate), "MMD_AT_PLUS_A")
        self.place = np.asarray(found.perm_c, np.int64)
        own_rows, own_columns = self.place[rows], self.place[columns]
        self.order = np.lexsort((own_rows, own_columns))
        self.rows = own_rows[self.order].astype(np.int32)
        self.indptr = np.concatenate([[0], np.cumsum(np.bincount(own_columns, minlength=n))]).astype(np.int32)
        lower = _factorise(self.permuted(surrogate), "NATURAL").L
        lower.sort_indices()
        self.lower_indptr, self.lower_rows = lower.indptr, lower.indices
        columns = np.repeat(np.arange(n, dtype=np.int64), np.diff(lower.indptr))
        self.lower_keys = columns * n + lower.indices

    def _csc(self, rows, columns, data):
        from scipy.sparse import csc_array

        indptr = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=self.n))]).astype(np.int32)
        return csc_array((data, rows.astype(np.int32), indptr), shape=(self.n, self.n))

    def permuted(self, data: np.ndarray) -> Any:
        """The matrix in the order of elimination, from entries in the order of ``keys``."""
        from scipy.sparse import csc_array

        return csc_array((data[self.order], self.rows, self.indptr), shape=(self.n, self.n))

    def assemble(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Entries in the order of ``keys``."""
        data = np.zeros(len(self.keys))
        for cells, places, matrices in zip(self.cells, self.places, blocks, strict=True):
            weights = np.broadcast_to(matrices, (*cells.shape, cells.shape[1]))
            # Symmetric blocks: column · n + row runs over the transposed axes.
            data += np.bincount(places, weights.ravel(), len(data))
        return data

    def positions(self, k: int) -> np.ndarray:
        """Where block k's entries stand in L, (instances, s, s)."""
        kept = self.__dict__.setdefault("_positions", {})
        if k not in kept:
            own = self.place[self.cells[k]]
            column = np.minimum(own[:, :, None], own[:, None, :])
            row = np.maximum(own[:, :, None], own[:, None, :])
            kept[k] = np.searchsorted(self.lower_keys, column * self.n + row)
        return kept[k]


def _factorise(matrix, order: str):
    from scipy.sparse.linalg import splu

    return splu(matrix, permc_spec=order, diag_pivot_thresh=0.0, options={"SymmetricMode": True})


class SparseDefinite:
    """A positive system in an order that is known."""

    def __init__(self, pattern: SparsePattern, blocks):
        self.pattern = pattern
        data = pattern.assemble(blocks)
        diagonal = data[pattern.diagonal]
        try:
            scales(diagonal)
        except NotPositive:
            raise
        self.diagonal = np.empty(pattern.n)
        self.diagonal[pattern.place] = diagonal
        try:
            self.lu = _factorise(pattern.permuted(data), "NATURAL")
        except RuntimeError:  # exactly singular: find the direction in a system beside it
            beside = data.copy()
            beside[pattern.diagonal] *= 1 + 1e-12
            self.lu = _factorise(pattern.permuted(beside), "NATURAL")
            raise self._not_positive(self.lu.U.diagonal()) from None
        self.pivots = self.lu.U.diagonal()
        if not (self.pivots > SINGULAR * self.diagonal).all():
            raise self._not_positive(self.pivots)
        self.log_det = float(np.log(self.pivots).sum())

    def _not_positive(self, pivots) -> NotPositive:
        from scipy.sparse.linalg import spsolve_triangular

        share = pivots / self.diagonal
        worst = int(np.argmin(share))
        one = np.zeros(len(pivots))
        one[worst] = 1.0
        found = spsolve_triangular(self.lu.L.T.tocsr(), one, lower=False, unit_diagonal=True)
        direction = found * np.sqrt(self.diagonal)
        return NotPositive(direction[self.pattern.place], bool(share[worst] > -1e-9))

    @cached_property
    def lower(self) -> np.ndarray:
        """Entries of L at its pattern."""
        p, found = self.pattern, self.lu.L
        found.sort_indices()
        if found.nnz == len(p.lower_keys):
            return found.data
        columns = np.repeat(np.arange(p.n, dtype=np.int64), np.diff(found.indptr))
        data = np.zeros(len(p.lower_keys))
        data[np.searchsorted(p.lower_keys, columns * p.n + found.indices)] = found.data
        return data

    @cached_property
    def selected(self) -> np.ndarray:
        """Entries of K⁻¹ at the pattern of L."""
        from msgpass.kernels.runtime import compiling
        from msgpass.kernels.selected_inverse_compiled import selected_inverse

        with compiling("the selected inverse", selected_inverse):
            return selected_inverse(
                self.pattern.lower_indptr, self.pattern.lower_rows, self.lower, self.pivots
            )

    def entries(self, k: int) -> np.ndarray:
        """Blocks of K⁻¹ at the cells of block k."""
        return self.selected[self.pattern.positions(k)]

    def solve(self, right: np.ndarray) -> np.ndarray:
        """K⁻¹ times a vector or the columns of a matrix."""
        permuted = np.empty(right.shape)
        permuted[self.pattern.place] = right
        return self.lu.solve(permuted)[self.pattern.place]

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """Vectors of covariance K⁻¹."""
        from scipy.sparse.linalg import spsolve_triangular

        scaled = normal / np.sqrt(self.pivots[:, None])
        found = spsolve_triangular(self.lu.L.T.tocsr(), scaled, lower=False, unit_diagonal=True)
        return found[self.pattern.place]
