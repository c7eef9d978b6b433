"""Counts and sums of marginals of sparse chains on two threads, without the marginals themselves."""

from typing import NamedTuple

import numpy as np

from msgpass.kernels import sparse_chain_lean as lean
from msgpass.kernels.runtime import compiling
from msgpass.kernels.sparse_chain_compiled import Sweep
from msgpass.kernels.sparse_chain_types import SparseProblem


class Lean(NamedTuple):
    """What arrives, without marginals: as :class:`~msgpass.kernels.sparse_chain_types.SparseCounts`."""

    log_scale: np.ndarray
    xi: np.ndarray
    evidence: np.ndarray
    sums: np.ndarray
    failed: np.ndarray


def lean_sweep(problem: SparseProblem, lost: float) -> Lean:
    """Counts alone, in memory of the order of S √T."""
    with compiling("the lean sparse chain sweep", lean.back_over_marks):
        return LeanSweep(problem, lost).sums()


class LeanSweep(Sweep):
    """Counts and sums of marginals alone; see :mod:`~msgpass.kernels.sparse_chain_lean`."""

    def sums(self) -> Lean:
        """One sequence from both ends, many of them shared out."""
        p, evidence = self.problem.pattern, self.problem.evidence
        self.stride = max(1, int(np.ceil(np.sqrt(np.diff(self.offsets).max() / 2))))
        self.stepped = np.empty((0, 0)) if self.shared else np.zeros(self.problem.values.shape)
        while True:
            known, xi = self.failed.copy(), self._buffers()
            # Threads share counts only where each step has a row of its own.
            counts = np.zeros(evidence.shape), np.zeros(evidence.shape)
            counts = counts if self.problem.rows is not None else (counts[0], counts[0])
            sums = np.zeros((3, p.n_states)), np.zeros((3, p.n_states))
            self.stepped[...] = 0.0
            log_scale = (self._one_lean if self.middle else self._many_lean)(xi, counts, sums)
            if (known == self.failed).all() or self.failed.all():
                break
        if self.failed.all():
            counts, sums, xi = ([np.zeros_like(a[0])] * 2 for a in (counts, sums, xi))
            self.stepped[...] = 0.0
        pairs = self.stepped
        if self.shared:
            pairs = np.empty(p.nnz)
            pairs[p.runs.order] = (xi[0] + xi[1]) * self.entries[4][0]
        evidence = counts[0] if counts[0] is counts[1] else counts[0] + counts[1]
        return Lean(log_scale, pairs, evidence, sums[0] + sums[1], self.failed)

    def _many_lean(self, xi, counts, sums) -> np.ndarray:
        self.share(
            lean.sequences, self.lost, self.stride, self.scale, xi, self.stepped, counts, sums, self.failed
        )
        return self._log_scale()

    def _one_lean(self, xi, counts, sums) -> np.ndarray:
        if self.failed[0]:
            return np.zeros(1)
        m, length, S = self.middle, int(self.offsets[1]), self.problem.pattern.n_states
        rings = np.empty((2, 2, S))
        marks = [np.empty(((n + self.stride - 1) // self.stride, S)) for n in (m, length - m)]
        head, tail = (self.entries, self.problem.init, self.local, 0), (self.lost, self.stride)
        fine = self.pair(
            lean.mark_forward,
            (*head, m, *tail, marks[0], rings[0], self.scale),
            lean.mark_backward,
            (self.entries, self.local, 0, m, *tail, marks[1], rings[1], self.scale),
        )
        log_z, scale = self._met(all(fine), *rings)
        if self.failed[0]:
            return np.zeros(1)
        before = rings[0][(m - 1) % 2] / scale
        self.before /= scale
        blocks = np.empty((2, self.stride + 1, S))
        made = [(self.scale, xi[k], self.stepped, counts[k], sums[k]) for k in (0, 1)]
        fine = self.pair(
            lean.back_over_marks,
            (*head, m - 1, self.before, *tail, marks[0], blocks[0], *made[0]),
            lean.on_over_marks,
            (self.entries, self.local, 0, m, before, *tail, marks[1], blocks[1], *made[1]),
        )
        self.failed[0] = not all(fine)
        return np.array([log_z])
