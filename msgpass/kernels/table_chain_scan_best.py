"""Best paths and max-product messages of chains of tables by a blocked scan, in logarithms.

α is swept in every block but a sequence's last and β in that one, so that the best state where they meet is
known; from there the path is walked back through α and on through β, the argmax taken again at each step.
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels import table_chain_scan_max as kernels
from msgpass.kernels.runtime import compiling, run_all
from msgpass.kernels.table_chain_scan_blocks import Blocks


class BestScan:
    """Messages of the max-product algebra; arguments as for
    :class:`~msgpass.kernels.table_chain_scan_scaled.ScaledScan`, in logarithms.
    """

    def __init__(self, log_init, log_transition, log_evidence, rows, offsets, count: int):
        self.offsets, self.rows, self.blocks = offsets, rows, Blocks.cut(offsets, count)
        self.transition, self.evidence = log_transition, log_evidence
        self.transposed = np.ascontiguousarray(log_transition.transpose(0, 2, 1))
        n, (steps, n_states) = len(self.blocks.rows), (int(offsets[-1]), len(log_init))
        self.alpha, self.beta = np.empty((steps, n_states)), np.empty((steps, n_states))
        self.openings, self.closings = np.empty((n, n_states)), np.zeros((n, n_states))
        self.work = np.empty((n, 2, n_states))
        opens = np.flatnonzero(self.blocks.opens)
        first = self.blocks.rows[opens, kernels.FIRST]
        self.openings[opens] = log_init + log_evidence[rows[first] if rows.size else first]
        with compiling("the best-path scan over a chain", kernels.forward):
            self._reduce()

    def _reduce(self) -> None:
        b = self.blocks
        if (b.opens & b.closes).all():
            return
        n_states, inner = self.alpha.shape[1], np.flatnonzero(b.inner)
        place = np.full(len(b.rows), -1)
        place[inner] = np.arange(len(inner))
        matrices = np.empty((len(inner), 2, n_states, n_states))
        here = b.rows[inner], self.transition, self.evidence, self.rows, matrices
        tasks = [(kernels.transfers, (here[0], np.array([k]), *here[1:])) for k in range(len(inner))]
        run_all(tasks + self._forward(b.opens & ~b.closes) + self._backward(b.closes & ~b.opens))
        for block in range(1, len(b.rows)):
            if not b.opens[block] and place[block - 1] < 0:
                self.openings[block] = self.alpha[b.rows[block, kernels.FIRST]]
            elif not b.opens[block]:
                before = self.openings[block - 1][:, None]
                self.openings[block] = (before + matrices[place[block - 1], 0]).max(axis=0)
        for block in range(len(b.rows) - 2, -1, -1):
            if not b.closes[block] and place[block + 1] < 0:
                self.closings[block] = self.beta[b.rows[block, kernels.LAST]]
            elif not b.closes[block]:
                self.closings[block] = (matrices[place[block + 1], 0] + self.closings[block + 1]).max(axis=1)

    def _forward(self, chosen: np.ndarray) -> list:
        here = self.openings, self.transition, self.evidence, self.rows, self.alpha
        return [(kernels.forward, (self.blocks.rows, which, *here)) for which in self.blocks.chunks(chosen)]

    def _backward(self, chosen: np.ndarray) -> list:
        here = self.closings, self.transposed, self.evidence, self.rows, self.beta, self.work
        return [(kernels.backward, (self.blocks.rows, which, *here)) for which in self.blocks.chunks(chosen)]

    def messages(self) -> tuple[np.ndarray, np.ndarray]:
        """α and β of every row, (T, K) each."""
        b = self.blocks
        whole = b.opens & b.closes
        run_all(self._forward(~b.opens | whole) + self._backward(~b.closes | whole))
        return self.alpha, self.beta

    def path(self) -> tuple[np.ndarray, np.ndarray]:
        """Best score of every sequence, and its path."""
        b = self.blocks
        run_all(self._forward((b.opens & b.closes) | b.inner))
        scores, path = np.empty(len(self.offsets) - 1), np.empty(len(self.alpha), np.int64)
        last = b.rows[b.closes]
        meet = np.where(last[:, kernels.OPENS] == 1, last[:, kernels.LAST], last[:, kernels.FIRST])
        tables = self.transition, self.evidence, self.rows, self.offsets
        with compiling("the walk along best paths", kernels.walk_back):
            cut = last[:, kernels.OPENS] == 0
            both = self.alpha[meet] + np.where(cut[:, None], self.beta[meet], 0.0)
            path[meet], scores[:] = both.argmax(axis=1), both.max(axis=1)
            halves = np.arange(len(meet))
            run_all(
                [
                    (kernels.walk_back, (halves, meet, *tables, self.alpha, path)),
                    (kernels.walk_on, (halves[cut], meet, *tables, self.beta, path)),
                ]
            )
        return scores, path
