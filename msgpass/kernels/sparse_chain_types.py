"""What goes into and comes out of the sweeps over a chain whose transition is sparse.

    p(z) ∝ init(z_0) Π_t A_t(z_{t−1}, z_t) Π_t evidence(row_t, group(z_t)) Π_sequences final(z_{L−1})

As :mod:`~msgpass.kernels.table_chain_types`, with the entries of A listed and evidence shared by groups of
states.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

from msgpass.kernels.sparse_chain_runs import Runs, find_runs


class SparsePattern:
    """Where the entries of a transition table are, by target and by source; made once a plan.

    Attributes
    ----------
    n_states : int
    rows, cols : ndarray of int64, shape (nnz,)
        Source and target of each entry, in the user's order.
    by_target : ndarray of int64, shape (nnz,)
        Entries sorted by (target, source): a forward step of the reference gathers over them.
    into : ndarray of int64, shape (S + 1,)
        Target j has the entries ``by_target[into[j]:into[j + 1]]``.
    source : ndarray of int32, shape (nnz,)
        Their sources.
    by_source, out_of, target
        The same sorted by (source, target), for a backward step.
    runs : Runs
        Entries in the order of the compiled sweeps.
    """

    def __init__(self, n_states: int, rows: np.ndarray, cols: np.ndarray):
        self.n_states, self.rows, self.cols = n_states, rows, cols
        self.by_target, self.into, self.source = _sorted(n_states, cols, rows)
        self.by_source, self.out_of, self.target = _sorted(n_states, rows, cols)

    @cached_property
    def runs(self) -> Runs:
        """Found when a compiled sweep asks for them."""
        return find_runs(self.rows, self.cols)

    @property
    def nnz(self) -> int:
        """Number of entries."""
        return len(self.rows)

    @cached_property
    def targets(self) -> np.ndarray:
        """Targets that have entries; ``into[targets]`` are where np.ufunc.reduceat starts."""
        return np.flatnonzero(np.diff(self.into))

    @cached_property
    def sources(self) -> np.ndarray:
        """Sources that have entries."""
        return np.flatnonzero(np.diff(self.out_of))

    def find(self, sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Number of the entry of each (source, target), all of which must be listed."""
        keys = self.rows[self.by_source] * np.int64(self.n_states) + self.target
        return self.by_source[np.searchsorted(keys, sources * np.int64(self.n_states) + targets)]


def _sorted(n_states: int, major: np.ndarray, minor: np.ndarray) -> tuple:
    order = np.lexsort((minor, major))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(major, minlength=n_states))]).astype(np.int64)
    return order, bounds, minor[order].astype(np.int32)


class SparseProblem(NamedTuple):
    """Chains of S states laid end to end, T time steps and P pairs of neighbours in all.

    Attributes
    ----------
    pattern : SparsePattern
    init, final : ndarray, shape (S,)
        Potentials of the first and of the last state of every sequence.
    values : ndarray, shape (nnz,) or (P, nnz)
        Entries of the transition in the order of the pattern's ``rows``: shared, or one table a pair.
    evidence : ndarray, shape (R, G)
    rows : ndarray of int64, shape (T,), or None
        Row of ``evidence`` used at each step; ``None``: R = T, in order.
    groups : ndarray of int64, shape (S,), or None
        Column of ``evidence`` that each state uses; ``None``: G = S, in order.
    offsets : ndarray of int64, shape (N + 1,)
    """

    pattern: SparsePattern
    init: np.ndarray
    final: np.ndarray
    values: np.ndarray
    evidence: np.ndarray
    rows: np.ndarray | None
    groups: np.ndarray | None
    offsets: np.ndarray

    def local(self, t: int) -> np.ndarray:
        """Evidence of every state at step t, (S,)."""
        row = self.evidence[t if self.rows is None else self.rows[t]]
        return row if self.groups is None else row[self.groups]

    def table(self, pair: int) -> np.ndarray:
        """Values of the entries at a pair of neighbours, (nnz,)."""
        return self.values if self.values.ndim == 1 else self.values[pair]


class SparseCounts(NamedTuple):
    """Expected sufficient statistics; all zero for impossible sequences.

    Attributes
    ----------
    log_scale : ndarray, shape (N,)
        Logarithm of each sequence's partition function, of the tables as given; −inf when impossible.
    gamma : ndarray, shape (T, S), or None
        Posterior marginals, unless only their sums were asked for.
    xi : ndarray, shape of ``values``
        Expected uses of each entry.
    impossible : list of (int, int)
        (sequence, first impossible time step within it).
    evidence : ndarray, shape (R, G), or None
        Marginals added up in the shape of the evidence, where only sums were asked for.
    sums : ndarray, shape (3, S), or None
        Marginals added up over first steps, last steps and all steps, likewise.
    """

    log_scale: np.ndarray
    gamma: np.ndarray | None
    xi: np.ndarray
    impossible: list[tuple[int, int]]
    evidence: np.ndarray | None = None
    sums: np.ndarray | None = None
