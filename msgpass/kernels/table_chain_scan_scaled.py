"""Scaled messages of chains of tables by a blocked scan: reduce, scan what the blocks have become, sweep.

α at the first row of a block  =  α at the first row of the one before  ·  that block's matrix
β at the last row of a block   =  the next block's matrix  ·  β at its last row
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels import table_chain_scan_sum as kernels
from msgpass.kernels.runtime import compiling, run_all
from msgpass.kernels.table_chain_scan_blocks import Blocks


class ScaledScan:
    """α and β of every sequence, each row times a power of two.

    Parameters
    ----------
    init, transition, evidence, rows, offsets
        Linear tables, contiguous float64, as `msgpass.kernels.table_chain` prepares them; ``rows`` is empty
        for evidence in order.
    possible : callable
        (transition > 0, evidence > 0), exactly, asked for where a scale vanishes inside a block.
    lost : float
    count : int
        Blocks wanted.

    Attributes
    ----------
    alpha, beta : ndarray, shape (T, K)
    alpha_exponents, beta_exponents : ndarray of int64, shape (T,)
        The message is ``alpha[t] * 2**alpha_exponents[t]``.
    """

    def __init__(self, init, transition, evidence, rows, offsets, possible, lost: float, count: int):
        self.tables, self.possible, self.lost = (transition, evidence, rows), possible, lost
        self.offsets, self.blocks = offsets, Blocks.cut(offsets, count)
        n, (steps, n_states) = len(self.blocks.rows), (int(offsets[-1]), len(init))
        self.alpha, self.beta = np.empty((steps, n_states)), np.empty((steps, n_states))
        self.alpha_exponents, self.beta_exponents = np.empty((2, steps), np.int64)
        self.openings, self.closings = np.zeros((n, n_states)), np.ones((n, n_states))
        self.opening_bases, self.closing_bases = np.zeros((2, n), np.int64)
        self.kept = np.ones(n, bool)
        self.work = np.empty((n, n_states))
        self._open(init)
        with compiling("the scan over a chain", kernels.forward):
            self._reduce()
            self._sweep()

    def _open(self, init: np.ndarray) -> None:
        """α at the first row of every sequence."""
        _, evidence, rows = self.tables
        opens = np.flatnonzero(self.blocks.opens)
        first = self.blocks.rows[opens, kernels.FIRST]
        alpha = init * evidence[rows[first] if rows.size else first]
        peak = alpha.max(axis=1)
        shift = np.frexp(peak)[1].astype(np.int64)
        self.openings[opens] = np.ldexp(alpha, -shift[:, None])
        self.opening_bases[opens] = shift
        self.kept[opens] = peak >= self.lost

    # -- reduce, scan

    def _reduce(self) -> None:
        """What can be swept at once, beside the matrices of what cannot; then the scan over blocks."""
        b = self.blocks
        if (b.opens & b.closes).all():
            return
        n_states, inner = self.alpha.shape[1], np.flatnonzero(b.inner)
        place = np.full(len(b.rows), -1)
        place[inner] = np.arange(len(inner))
        matrices = np.empty((len(inner), 2, n_states, n_states))
        exponents, died = np.zeros((2, len(inner), n_states), np.int64)
        tasks = [
            (
                kernels.transfers,
                (b.rows[inner], np.array([k]), *self.tables, self.lost, matrices, exponents, died),
            )
            for k in range(len(inner))
        ]
        tasks += self._forward(b.opens & ~b.closes) + self._backward(b.closes & ~b.opens)
        run_all(tasks)
        for block in range(1, len(b.rows)):
            if not b.opens[block]:
                self._open_from(block - 1, place[block - 1], matrices, exponents, died)
        for block in range(len(b.rows) - 2, -1, -1):
            if not b.closes[block]:
                self._close_from(block + 1, place[block + 1], matrices, exponents)

    def _open_from(self, block: int, place: int, matrices, exponents, died) -> None:
        """Opening of the block behind ``block``."""
        _, _, last, *_ = self.blocks.rows[block]
        if place < 0:
            self.openings[block + 1] = self.alpha[last]
            self.opening_bases[block + 1] = self.alpha_exponents[last]
            self.kept[block + 1] &= self.kept[block]
            return
        start, matrix, exponent = self.openings[block], matrices[place, 0], exponents[place]
        alive = (start > 0) & (died[place] < 0)
        kept = self.kept[block] and alive.any() and self._truly_dead(block, start, died[place])
        if kept:
            mantissa, shifts = np.frexp(start[alive])
            shifts = shifts + exponent[alive]
            top = shifts.max()
            after = np.ldexp(mantissa, shifts - top) @ matrix[alive]
            shift = int(np.frexp(after.max())[1])
            self.openings[block + 1] = np.ldexp(after, -shift)
            self.opening_bases[block + 1] = self.opening_bases[block] + top + shift
        self.kept[block + 1] = kept

    def _truly_dead(self, block: int, start: np.ndarray, died: np.ndarray) -> bool:
        """Whether every state from which a block's scale vanished leads nowhere, by the zeros alone."""
        doubtful = np.flatnonzero((start > 0) & (died >= 0))
        if not len(doubtful):
            return True
        sequence, first, *_ = self.blocks.rows[block]
        possible, seen = self.possible()
        rows = self.tables[2]
        return not any(kernels.reachable(i, first, died[i], sequence, possible, seen, rows) for i in doubtful)

    def _close_from(self, block: int, place: int, matrices, exponents) -> None:
        """Closing of the block before ``block``."""
        first = self.blocks.rows[block, kernels.FIRST]
        if place < 0:
            self.closings[block - 1] = self.beta[first]
            self.closing_bases[block - 1] = self.beta_exponents[first]
            return
        mantissa, shifts = np.frexp(matrices[place, 0] @ self.closings[block])
        alive = mantissa > 0
        shifts = np.where(alive, shifts + exponents[place], 0)
        top = int(shifts[alive].max()) if alive.any() else 0
        self.closings[block - 1] = np.ldexp(mantissa, shifts - top)
        self.closing_bases[block - 1] = self.closing_bases[block] + top

    # -- sweep

    def _sweep(self) -> None:
        b = self.blocks
        whole = b.opens & b.closes
        run_all(self._forward(~b.opens | whole) + self._backward(~b.closes | whole))

    def _forward(self, chosen: np.ndarray) -> list:
        out = self.alpha, self.alpha_exponents, self.kept
        here = self.openings, self.opening_bases, *self.tables, self.lost, *out
        return [(kernels.forward, (self.blocks.rows, which, *here)) for which in self.blocks.chunks(chosen)]

    def _backward(self, chosen: np.ndarray) -> list:
        here = self.closings, self.closing_bases, *self.tables, self.beta, self.beta_exponents, self.work
        return [(kernels.backward, (self.blocks.rows, which, *here)) for which in self.blocks.chunks(chosen)]

    # -- read

    @property
    def scale(self) -> tuple[np.ndarray, np.ndarray]:
        """(mantissa, exponent) of every sequence's Z."""
        last = self.offsets[1:] - 1
        return self.alpha[last].sum(axis=1), self.alpha_exponents[last]

    @property
    def failed(self) -> np.ndarray:
        """Sequences whose scale vanished."""
        failed = np.zeros(len(self.offsets) - 1, bool)
        failed[self.blocks.rows[~self.kept, kernels.SEQUENCE]] = True
        return failed

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """γ, in the place of α, and ξ by pair; no numbers of sequences that failed."""
        xi = np.empty(self.tables[0].shape)
        here = self.openings, self.opening_bases, *self.tables, self.lost
        out = self.alpha, self.alpha_exponents, self.beta, xi, self.kept, self.work
        every = self.blocks.chunks(np.ones(len(self.blocks.rows), bool))
        run_all([(kernels.counts, (self.blocks.rows, which, *here, *out)) for which in every])
        return self.alpha, xi

    def logarithms(self, ahead: np.ndarray, behind: np.ndarray, smallest: float) -> list[np.ndarray]:
        """α and β to their logarithms, in place, with ``ahead`` and ``behind`` (T,) added.

        Returns two arrays of rows that had entries below ``smallest``.
        """
        tiny: list[np.ndarray] = [np.empty(0, np.int64)] * 2

        def take(which: int, messages: np.ndarray, exponents: np.ndarray, added: np.ndarray) -> None:
            flat = messages.ravel()
            if not flat.min() >= smallest:
                tiny[which] = np.flatnonzero((messages < smallest).any(axis=1))
            with np.errstate(divide="ignore", invalid="ignore"):
                np.log(flat, out=flat)
            kernels.add_rows(messages, exponents, added)

        with compiling("the scan over a chain", kernels.add_rows):
            run_all(
                [
                    (take, (0, self.alpha, self.alpha_exponents, ahead)),
                    (take, (1, self.beta, self.beta_exponents, behind)),
                ]
            )
        return tiny
