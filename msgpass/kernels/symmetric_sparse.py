"""Large sparse symmetric systems: an order of elimination and the pattern of its factor, made once; then a
factorisation by SuperLU, and the selected inverse.

The order is minimum degree on the variables' pattern, SuperLU's own; a multiplier follows the last variable of its
equation, where its pivot is negative. To find the pattern of L, SuperLU factorises a matrix of that pattern with
negative entries beside a dominant diagonal, where nothing cancels: entries that happen to be 0 in a run have a
place in L all the same.
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
    n, variables : int
        Cells, and how many of them are not multipliers.
    """

    def __init__(self, cells: Sequence[np.ndarray], n: int, variables: int):
        self.cells, self.n, self.variables = cells, n, variables
        keys = [(c[:, None, :] * n + c[:, :, None]).ravel() for c in cells]  # column · n + row
        sizes = [k.size for k in keys]
        self.keys, places = np.unique(np.concatenate(keys), return_inverse=True)
        self.places = np.split(places.ravel(), np.cumsum(sizes)[:-1])
        rows, columns = self.keys % n, self.keys // n
        self.diagonal = np.flatnonzero(rows == columns)
        surrogate = np.where(rows == columns, np.bincount(columns, minlength=n)[columns] + 1.0, -1.0)
        self.place = self._order(rows, columns, surrogate)
        own_rows, own_columns = self.place[rows], self.place[columns]
        self.order = np.lexsort((own_rows, own_columns))
        self.rows = own_rows[self.order].astype(np.int32)
        self.indptr = _ends(own_columns, n)
        lower = _factorise(self.permuted(surrogate), "NATURAL").L
        lower.sort_indices()
        self.lower_indptr, self.lower_rows = lower.indptr, lower.indices
        columns = np.repeat(np.arange(n, dtype=np.int64), np.diff(lower.indptr))
        self.lower_keys = columns * n + lower.indices

    def _order(self, rows, columns, surrogate) -> np.ndarray:
        """Place of every cell in the order of elimination."""
        from scipy.sparse import csc_array

        p, n = self.variables, self.n
        own = (rows < p) & (columns < p)
        index = rows[own].astype(np.int32), _ends(columns[own], p)
        found = _factorise(csc_array((surrogate[own], *index), shape=(p, p)), "MMD_AT_PLUS_A")
        place = np.asarray(found.perm_c, np.int64)
        if n == p:
            return place
        after = np.zeros(n)
        after[:p] = place
        link = (rows < p) & (columns >= p)
        np.maximum.at(after, columns[link], place[rows[link]] + 0.5)
        found = np.empty(n, np.int64)
        found[np.argsort(after, kind="stable")] = np.arange(n)
        return found

    def permuted(self, data: np.ndarray) -> Any:
        """The matrix in the order of elimination, from entries in the order of ``keys``."""
        from scipy.sparse import csc_array

        return csc_array((data[self.order], self.rows, self.indptr), shape=(self.n, self.n))

    def assemble(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """Entries in the order of ``keys``."""
        data = np.zeros(len(self.keys))
        for cells, places, matrices in zip(self.cells, self.places, blocks, strict=True):
            weights = np.broadcast_to(matrices, (*cells.shape, cells.shape[1]))
            data += np.bincount(places, weights.ravel(), len(data))  # of symmetric blocks
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


def _ends(columns: np.ndarray, n: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=n))]).astype(np.int32)


def _factorise(matrix, order: str):
    from scipy.sparse.linalg import splu

    return splu(matrix, permc_spec=order, diag_pivot_thresh=0.0, options={"SymmetricMode": True})


class SparseSystem:
    """A system in an order that is known: K = L D Lᵀ."""

    def __init__(self, pattern: SparsePattern, blocks):
        self.pattern, n = pattern, pattern.n
        self.data = pattern.assemble(blocks)
        own = self.data[pattern.diagonal]
        scale = scales(own[: pattern.variables], n)
        size, self.sign = own.copy(), np.ones(n)
        if n > pattern.variables:
            size[pattern.variables :] = self._sizes(scale)[pattern.variables :]
        self.size = np.empty(n)
        self.size[pattern.place] = size
        self.sign[pattern.place[pattern.variables :]] = -1.0
        try:
            self.lu = _factorise(pattern.permuted(self.data), "NATURAL")
        except RuntimeError:  # exactly singular: find where in a system beside it
            beside = self.data.copy()
            beside[pattern.diagonal] += 1e-15 * size * np.where(np.arange(n) < pattern.variables, 1, -1)
            self.lu = _factorise(pattern.permuted(beside), "NATURAL")
        self.pivots = self.lu.U.diagonal()
        bad = ~(self.sign * self.pivots > SINGULAR * self.size)
        if bad.any() or (self.lu.perm_r != np.arange(n)).any():
            raise self._not_positive(bad | (self.lu.perm_r != np.arange(n)))
        self.log_pivots = np.log(np.abs(self.pivots))[pattern.place]

    def _sizes(self, scale: np.ndarray) -> np.ndarray:
        """R + G diag(Λ)⁻¹ Gᵀ on the diagonal: what the pivot of a multiplier is measured by."""
        p, n = self.pattern.variables, self.pattern.n
        rows, columns = self.pattern.keys % n, self.pattern.keys // n
        link = (rows < p) & (columns >= p)
        found = np.bincount(columns[link], (self.data[link] * scale[rows[link]]) ** 2, n)
        found[p:] -= self.data[self.pattern.diagonal][p:]
        if not (found[p:] > 0).all():
            low = p + int(np.argmin(found[p:]))
            raise NotPositive(np.arange(n) == low, "equations")
        return found

    def _not_positive(self, bad) -> NotPositive:
        from scipy.sparse.linalg import spsolve_triangular

        p = self.pattern
        first = int(np.argmax(bad))
        one = np.zeros(p.n)
        one[first] = 1.0
        if self.sign[first] < 0:
            return NotPositive(one[p.place], "equations")
        top = self.lu.L.tocsc()[: first + 1, : first + 1]
        one[: first + 1] = spsolve_triangular(
            top.T.tocsr(), one[: first + 1], lower=False, unit_diagonal=True
        )
        direction = (one * np.sqrt(self.size) * (self.sign > 0))[p.place]
        return NotPositive(direction, "flat" if self.pivots[first] > -1e-9 * self.size[first] else "rising")

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
        """K⁻¹ times a vector or the columns of a matrix, refined once."""
        p = self.pattern
        matrix, permuted = p.permuted(self.data), np.empty(right.shape)
        permuted[p.place] = right
        found = self.lu.solve(permuted)
        return (found + self.lu.solve(permuted - matrix @ found))[p.place]

    def draw(self, normal: np.ndarray) -> np.ndarray:
        """Vectors of covariance K⁻¹."""
        from scipy.sparse.linalg import spsolve_triangular

        scaled = normal / np.sqrt(self.pivots[:, None])
        found = spsolve_triangular(self.lu.L.T.tocsr(), scaled, lower=False, unit_diagonal=True)
        return found[self.pattern.place]
