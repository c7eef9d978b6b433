"""What sweeps that keep no marginals make of them on their way: counts, first steps, and γ if asked for."""

import numpy as np


class Collected:
    """Sums of γ over time, added to as windows of γ come by.

    Attributes
    ----------
    first : ndarray, shape (N, K)
        γ at the first step of every sequence.
    gamma : ndarray, shape (T, K), or None
    by_row : ndarray, shape (R, K)
        γ by row of evidence, of steps whose counts came with their sweep.
    """

    def __init__(self, shape: tuple[int, int, int], rows, n_rows: int, dtype, keep: bool):
        n_sequences, steps, n_states = shape
        self.rows, self.middle = rows, steps // 2
        self.first = np.zeros((n_sequences, n_states))
        self.gamma = np.zeros((steps, n_states), dtype) if keep else None
        by_row = 0 if rows is None else n_rows
        self.by_row = np.zeros((by_row, n_states))
        self.tables: np.ndarray | None = None

    def add(self, base: int, first: int, last: int, gamma: np.ndarray, counted: bool = False) -> None:
        """Take rows ``first:last`` of ``gamma``, whose row r belongs to step ``base + r``.

        With ``counted`` they are in ``by_row`` already. The order of addition is that of ``row_counts`` as
        long as windows come in the order of time and ``base`` is a multiple of four.
        """
        if self.gamma is not None:
            self.gamma[base + first : base + last] = gamma[first:last]
        if self.rows is None or counted:
            return
        from msgpass.kernels.table_chain_row_counts import TABLES, add_rows

        if self.tables is None:
            self.tables = np.zeros((2, TABLES, *self.by_row.shape))
        rows, middle = self.rows[base : base + last], min(max(self.middle - base, first), last)
        add_rows(rows, gamma, first, middle, self.tables[0])
        add_rows(rows, gamma, middle, last, self.tables[1])

    def row_counts(self) -> np.ndarray | None:
        """Σ γ by row of evidence, (R, K)."""
        if self.rows is None:
            return None
        return self.by_row if self.tables is None else self.by_row + self.tables.sum(axis=(0, 1))

    def counts(self) -> tuple[np.ndarray, np.ndarray | None]:
        """Copies of the counts so far, for :meth:`restore`."""
        return self.by_row.copy(), None if self.tables is None else self.tables.copy()

    def restore(self, counts: tuple[np.ndarray, np.ndarray | None]) -> None:
        """Forget what has been counted since."""
        self.by_row, self.tables = counts
