"""One run over a :class:`TableChain` whose transition is one sparse table: time and memory in proportion to
its entries, and at most one (T, S) array of marginals. Where that would be large, it is made when
marginals are read, by a sweep of its own.

It answers what :class:`~msgpass.sweeps.table_chain.ChainRun` answers; pair counts and pair beliefs are of the
listed entries, in their order.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import ImpossibleEvidenceError
from msgpass.kernels import sparse_chain as kernels
from msgpass.kernels import sparse_chain_reference as reference
from msgpass.kernels.sparse_chain_folds import folded
from msgpass.plan import TableChain
from msgpass.sweeps.chain_readings import ChainReadings
from msgpass.sweeps.rows import rows_of
from msgpass.sweeps.sparse_tables import SparseLayout, SparseTables, compact, latent_arg
from msgpass.sweeps.table_chain import EXACT_LOGS, arrive
from msgpass.sweeps.tree import table_target


class SparseChainRun(ChainReadings):
    """Messages of one sparse chain."""

    flips_pairs = False

    def __init__(
        self,
        block: TableChain,
        layout: SparseLayout,
        tables: SparseTables,
        maximise: bool,
        forward_only: bool,
    ):
        self.block, self.layout, self.tables, self.maximise = block, layout, tables, maximise
        self.counts: Any = None
        self.path: Any = None
        if maximise:
            self.per_sequence, self.path = kernels.best_path(tables.logs)
        elif forward_only:
            self.per_sequence = kernels.forward_scale(tables.logs, tables.scaled)
        else:
            lean = kernels.worth_lean(tables.logs)
            self.counts = kernels.expected_counts(tables.logs, tables.scaled, lean)
            self.per_sequence = self.counts.log_scale
        self.total = float(self.per_sequence.sum())

    def impossible(self) -> None:
        """Raise where the evidence has probability zero, naming the first impossible step."""
        if self.total != -np.inf:
            return
        if self.counts is not None:
            sequence, step = self.counts.impossible[0]
        else:
            sequence = int(np.flatnonzero(self.per_sequence == -np.inf)[0])
            a, b = self.layout.offsets[sequence : sequence + 2]
            step = reference.first_dead(self.log_alpha[a:b])
        which = f" of sequence {sequence}" if self.layout.n > 1 else ""
        raise ImpossibleEvidenceError(
            f"the evidence on {self.block.node.name!r} has probability zero: step {step}{which} is "
            "the first that no state explains (total is −inf). Give the listed entries a little probability "
            "there, list more of them, or treat that observation as missing (−1)",
            step,
        )

    # -- messages and beliefs ----------------------------------------------------------------------------

    @cached_property
    def log_alpha(self) -> np.ndarray:
        """Forward messages, (T, S)."""
        return kernels.log_forward(self.tables.logs, self.maximise)

    @cached_property
    def log_beta(self) -> np.ndarray:
        """Backward messages, (T, S)."""
        return kernels.log_backward(self.tables.logs, self.maximise)

    @property
    def log_alpha_beta(self) -> Either:
        """True unnormalised log messages, each made when it is taken."""
        return Either(self)

    def stacked(self, flat: np.ndarray) -> np.ndarray:
        """In the precision of the tables."""
        return flat.astype(self.tables.dtype, copy=False) if flat.dtype.kind == "f" else flat

    @cached_property
    def gamma(self) -> np.ndarray:
        """Posterior marginals (along the best path: one where it goes), (T, S)."""
        if self.maximise:
            return (self.path[:, None] == np.arange(self.layout.states)).astype(np.float64)
        counts: Any = self.counts
        if counts.gamma is None:
            counts = kernels.expected_counts(self.tables.logs, self.tables.scaled)
        return counts.gamma

    def log_belief(self) -> np.ndarray:
        """Normalised log marginals; max-marginals with the best at 0."""
        self.impossible()
        gamma = None if self.maximise else self.gamma
        if gamma is not None and (gamma.size > EXACT_LOGS or gamma.all()):
            with np.errstate(divide="ignore"):
                return self.stacked(np.log(gamma))
        both = self.log_alpha + self.log_beta
        return self.stacked(both - self._normaliser(both))

    def _normaliser(self, logs: np.ndarray) -> np.ndarray:
        """Maximum or log-sum-exp of each row."""
        top = logs.max(axis=1, keepdims=True)
        return top if self.maximise else top + np.log(np.exp(logs - top).sum(axis=1, keepdims=True))

    @property
    def ends(self) -> np.ndarray:
        """Row of the later state of each pair."""
        inside = np.ones(self.layout.clock.total, bool)
        inside[self.layout.offsets[:-1]] = False
        return np.flatnonzero(inside)

    def pair_belief(self) -> np.ndarray:
        """Normalised log beliefs of the listed entries, (P, nnz), by step."""
        self.impossible()
        alpha, beta = self.log_alpha, self.log_beta
        joint = np.empty((self.layout.pairs, self.layout.pattern.nnz))
        for pair, later in enumerate(self.ends):
            joint[pair] = reference.log_pairs(self.tables.logs, alpha, beta, int(later), pair)
        return self.stacked(joint - self._normaliser(joint)) if len(joint) else self.stacked(joint)

    def cross(self, row: int) -> np.ndarray:
        """What arrives at a row from the step before it."""
        if row in self.layout.offsets[:-1]:
            return np.zeros(self.layout.states)
        pattern, logs = self.layout.pattern, self.tables.logs
        n = int(np.searchsorted(self.layout.offsets, row, side="right")) - 1
        own = self.tables.pair.own
        own = own if own.ndim == 1 else own[row - 1 - n]
        entries = self.log_alpha[row - 1][pattern.source] + own[pattern.by_target]
        return reference.reduced(entries, logs.pattern.into, pattern.targets, self.maximise)

    # -- counts ------------------------------------------------------------------------------------------

    @cached_property
    def xi(self) -> np.ndarray:
        """Expected uses of each entry, like its values."""
        if not self.maximise:
            return self.counts.xi
        pattern, later = self.layout.pattern, self.ends
        used = pattern.find(self.path[later - 1], self.path[later])
        if self.tables.pair.stepped:
            xi = np.zeros((len(later), pattern.nnz))
            xi[np.arange(len(later)), used] = 1
            return xi
        return np.bincount(used, minlength=pattern.nnz).astype(np.float64)

    @cached_property
    def sums(self) -> np.ndarray:
        """Marginals summed over the first, the last and all steps, (3, S)."""
        if not self.maximise and self.counts.sums is not None:
            return self.counts.sums
        first, last, every = self.layout.offsets[:-1], self.layout.offsets[1:] - 1, slice(None)
        if self.maximise:
            paths = (self.path[rows] for rows in (first, last, every))
            return np.array([np.bincount(p, minlength=self.layout.states) for p in paths], np.float64)
        return np.array([self.gamma[rows].sum(axis=0) for rows in (first, last, every)])

    @cached_property
    def evidence_counts(self) -> np.ndarray:
        """Marginals added up in the evidence's own shape, (R, G)."""
        rows, groups, logs = self.tables.logs.rows, self.tables.groups, self.tables.logs
        if not self.maximise and self.counts.evidence is not None:
            return self.counts.evidence
        if self.maximise:
            places = np.arange(len(self.path)) if rows is None else rows
            columns = self.path if groups is None else groups[self.path]
            counts = np.zeros(logs.evidence.shape)
            np.add.at(counts, (places, columns), 1.0)
            return counts
        return folded(self.gamma, rows, groups, logs.evidence.shape)

    def add_parameters(self, store, sign: float = 1.0) -> None:
        """Expected counts at parameters and at real sequences behind tables."""
        self.impossible()
        t = self.tables
        constants = [m for m in (*t.unaries, t.pair) if not isinstance(m.family.potential.source, np.ndarray)]
        for m in constants:
            if m is t.pair:
                self._arrive(m, store, self.xi, sign)
            elif m in t.initial:
                self._arrive(m, store, m.fold(self.sums[0]), sign)
            elif m in t.last:
                self._arrive(m, store, m.fold(self.sums[1]), sign)
            elif m in t.constant:
                self._arrive(m, store, m.fold(self.sums[2]), sign)
            else:
                self._add_local(m, store, sign)

    def _add_local(self, m, store, sign: float) -> None:
        t, counts = self.tables, self.evidence_counts
        own = t.own(m)
        if own is t.whole and t.indexed:
            self._arrive(own, store, own.symbol_counts(counts.T), sign)
        elif own is t.whole and not own.observed:
            self._arrive(own, store, counts, sign)
        else:
            at = rows_of(m.family, latent_arg(m))
            own.add_counts(sign * self.stacked(counts[at]), table_target(compact(m), store))

    def _arrive(self, m, store, counts: np.ndarray, sign: float) -> None:
        arrive(m, store, self.stacked(counts), sign)

    def instance_counts(self, family, j: int) -> np.ndarray:
        """What one instance says to its parameter, in the parameter's shape."""
        made = next(m for m in self.tables.every if m.family is family)
        total = np.zeros_like(made.family.potential.value("log_values", made.values))
        if made is self.tables.pair:
            later = self.ends[j : j + 1]
            if self.maximise:
                used = self.layout.pattern.find(self.path[later - 1], self.path[later])
                total[(j, used[0]) if made.stepped else used] += 1
                return total
            alpha, beta = self.log_alpha, self.log_beta
            logs = reference.log_pairs(self.tables.logs, alpha, beta, int(later[0]), j)[None]
            total[j if made.stepped else ...] += np.exp(logs - self._normaliser(logs))[0]
            return total
        rows = np.atleast_1d(np.arange(self.layout.clock.total)[rows_of(family, latent_arg(made))])
        row = rows[j : j + 1]
        weights = self.gamma[row] if self.maximise else np.exp(self.log_belief()[row])
        made.add_counts(weights, total, slice(j, j + 1))
        return total


class Either:
    """(log α, log β), each made when it is taken."""

    def __init__(self, run: SparseChainRun):
        self.run = run

    def __getitem__(self, which: int) -> np.ndarray:
        return self.run.log_beta if which == 1 else self.run.log_alpha

    def __iter__(self):
        yield from (self.run.log_alpha, self.run.log_beta)


def run_sparse(x, k: int, block: TableChain, maximise: bool, clamp) -> SparseChainRun:
    """A sparse chain of an execution; pattern, and tables that no value of this run touches, stay with the
    plan."""
    cache = x.plan.cache
    layout = cache.get(("sparse layout", k))
    if layout is None:
        layout = cache[("sparse layout", k)] = SparseLayout(block)
    depends = x._depends(k, block)
    kept = not clamp and "*" not in depends and depends.isdisjoint(x.overridden)
    tables = cache.get(("sparse tables", k)) if kept else None
    if tables is None:
        tables = SparseTables(block, layout, x.values, clamp)
        if kept:
            cache[("sparse tables", k)] = tables
    return SparseChainRun(block, layout, tables, maximise, not x.schedule.backward)
