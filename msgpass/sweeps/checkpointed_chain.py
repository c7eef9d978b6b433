"""A chain of tables under ``Checkpointed``: totals, parameter messages and best paths in little memory.

The marginals, (T, K), are never held, unless a parameter of that shape asks for them, and linear evidence
exists for a stretch of steps at a time.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.kernels.table_chain_checkpointed import (
    CheckpointedCounts,
    checkpointed_counts,
    checkpointed_path,
)
from msgpass.kernels.table_chain_windows import ChainLogs
from msgpass.sweeps.table_chain import ChainTables, deliver_counts, raise_impossible

STEPS = 1 << 20
"""Steps of a best path that are counted at a time."""


class CheckpointedChain:
    """Messages of one chain that survive its sweep.

    Attributes
    ----------
    total : float
    per_sequence : ndarray, shape (N,)
        log Z, or the best score, of every sequence.
    path : ndarray of int, shape (T,), or None
        The best path in kernel order, under MaxProduct.
    """

    def __init__(self, tables: ChainTables, maximise: bool, slots: int):
        self.tables, self.maximise, self.layout = tables, maximise, tables.layout
        t, offsets = tables, tables.layout.offsets
        logs = ChainLogs(t.log_init, t.log_transition, t.log_evidence, t.rows, offsets)
        self._what = logs, slots, self._wants_gamma, self._wants_pairs
        self.path: Any = None
        self.counts: CheckpointedCounts | None = None
        if maximise:
            self.per_sequence, self.path, self.ruled_out = checkpointed_path(logs, slots)
        else:
            self.counts = counts = checkpointed_counts(*self._what)
            self.per_sequence, self.ruled_out = counts.log_z, counts.impossible
        self.total = float(self.per_sequence.sum())

    @property
    def _wants_gamma(self) -> bool:
        """A parameter's message needs the marginals of single steps."""
        t = self.tables
        known = [*t.initial, t.indexed, *(m for m in t.unaries if t.indexed is not None and t.is_constant(m))]
        return any(
            not isinstance(m.family.potential.source, np.ndarray) and not any(m is k for k in known)
            for m in t.unaries
        )

    @property
    def _wants_pairs(self) -> bool:
        """A parameter stands behind a transition."""
        return any(not isinstance(m.family.potential.source, np.ndarray) for m, _ in self.tables.pairs)

    def impossible(self) -> None:
        """Raise where the evidence has probability zero, naming the first impossible step."""
        if self.total == -np.inf:
            raise_impossible(self.tables.node.name, self.layout.n, *min(self.ruled_out))

    def stacked(self, flat: np.ndarray) -> np.ndarray:
        """Kernel order → (T, *batch, …)."""
        return self.layout.out_of(flat, self.tables.node.shape)

    def add_parameters(self, store, sign: float = 1.0) -> None:
        """Expected counts at parameters, or those of the best path."""
        self.impossible()
        t = self.tables
        if self.maximise:
            deliver_counts(t, self._along, self._path_pairs, self._path_rows, store, sign, self._path_first)
        else:
            c = self.counts or checkpointed_counts(*self._what)
            deliver_counts(t, c.gamma, c.xi, c.row_counts, store, sign, c.first)
            self._give_up(store, c.gamma)

    def _give_up(self, store, gamma: np.ndarray | None) -> None:
        """Leave γ to the one parameter that holds it, so that reading it there makes no copy."""
        holders = [n for n in store.borrowed if gamma is not None and np.shares_memory(store.peek(n), gamma)]
        if len(holders) == 1:
            store.borrowed.discard(holders[0])
            self.counts = None

    # -- counts of the best path

    @cached_property
    def _along(self) -> np.ndarray | None:
        """One where the path goes, (T, K), if somebody asks for single steps."""
        if not self._wants_gamma:
            return None
        return (self.path[:, None] == np.arange(self.layout.states)).astype(self.tables.dtype)

    @property
    def _path_first(self) -> np.ndarray:
        first = self.path[self.layout.offsets[:-1]]
        return (first[:, None] == np.arange(self.layout.states)).astype(self.tables.dtype)

    @property
    def _path_rows(self) -> np.ndarray | None:
        """Steps of the path by row of evidence, (R, K)."""
        rows, K = self.tables.rows, self.layout.states
        if rows is None:
            return None
        shape = len(self.tables.log_evidence), K
        return _counted(lambda a, b: rows[a:b] * K + self.path[a:b], len(rows), shape, self.tables.dtype)

    @property
    def _path_pairs(self) -> np.ndarray:
        """Transitions of the path, (K, K) or (P, K, K) like the transition."""
        path, offsets, K = self.path, self.layout.offsets, self.layout.states
        starts = offsets[1:-1]

        def pairs(a: int, b: int) -> np.ndarray:
            joint = path[a:b] * K + path[a + 1 : b + 1]
            return np.delete(joint, starts[(starts > a) & (starts <= b)] - 1 - a)

        if self.tables.log_transition.ndim == 2:
            return _counted(pairs, len(path) - 1, (K, K), self.tables.dtype)
        joint = pairs(0, len(path) - 1)
        xi = np.zeros((len(joint), K * K), self.tables.dtype)
        xi[np.arange(len(joint)), joint] = 1
        return xi.reshape(-1, K, K)


def _counted(cells, n: int, shape: tuple[int, int], dtype) -> np.ndarray:
    """How often each cell of ``shape`` occurs among ``cells(a, b)`` for 0 ≤ a < b ≤ n."""
    counts = np.zeros(shape[0] * shape[1], np.int64)
    for a in range(0, n, STEPS):
        counts += np.bincount(cells(a, min(a + STEPS, n)), minlength=len(counts))
    return counts.reshape(shape).astype(dtype)
