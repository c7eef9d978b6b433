"""One run over a :class:`TableChain`: gather the local evidence, hand the chain to the kernels, read the
messages.

    α_t(j) = b_t(j) Σ_i α_{t−1}(i) A(i, j)      β_t(i) = Σ_j A(i, j) b_{t+1}(j) β_{t+1}(j)      γ_t ∝ α_t β_t

Evidence of one categorical observation stays a table and an index, (R, K) and (T,): no (T, K) table is made
of it. An aligned batch is laid end to end like ragged sequences.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple, NoReturn

import numpy as np

from msgpass.dual_array import zeros
from msgpass.errors import ImpossibleEvidenceError
from msgpass.kernels import table_chain as sequential
from msgpass.kernels.table_chain import ChainCounts, ChainProblem
from msgpass.kernels.table_chain_exponentiate import scaled_exponentials, scaled_whole
from msgpass.nodes import Parameter
from msgpass.plan import TableChain
from msgpass.sweeps.chain_readings import ChainReadings
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.rows import rows_of
from msgpass.sweeps.table_instances import TableInstances
from msgpass.sweeps.tree import table_target


class ChainLayout:
    """How rows of the sequence (and of its batch) lie in the kernels' order; made once a plan."""

    def __init__(self, block: TableChain):
        clock, batch = block.node.clock, int(np.prod(block.node.shape))
        lengths = np.asarray(clock.lengths)
        self.batch, self.clock, self.states = batch, clock, block.node.states
        self.batch_axes = len(block.node.shape)
        self.order: np.ndarray | None = None
        if block.node.shape:
            grid = np.arange(clock.total * batch).reshape(clock.total, batch)
            self.order = np.concatenate(
                [grid[a:b].T.ravel() for a, b in zip(clock.offsets[:-1], clock.offsets[1:], strict=True)]
            )
            lengths = np.repeat(lengths, batch)
        self.offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        self.n, self.lengths = len(lengths), lengths
        self.starts, self.steps = self.offsets[:-1], lengths - 1
        self.pairs = int(self.offsets[-1]) - self.n

    def into(self, stacked: np.ndarray) -> np.ndarray:
        """(T, *batch, …) → kernel order."""
        if self.order is None:
            return stacked
        return stacked.reshape(len(self.order), *stacked.shape[1 + self.batch_axes :])[self.order]

    def pairs_out_of(self, pairs: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """(P, K, K) in kernel order → (instances, *batch, K, K)."""
        if self.order is None:
            return pairs
        parts, at = [], 0
        for length in self.clock.lengths:
            count = (length - 1) * self.batch
            part = pairs[at : at + count].reshape(self.batch, length - 1, *pairs.shape[1:])
            parts.append(np.swapaxes(part, 0, 1).reshape(length - 1, *shape, *pairs.shape[1:]))
            at += count
        return np.concatenate(parts)

    def out_of(self, flat: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Kernel order → (T, *batch, …)."""
        if self.order is None:
            return flat
        result = np.empty_like(flat)
        result[self.order] = flat
        return result.reshape(self.clock.total, *shape, *flat.shape[1:])


EXACT_LOGS = 1 << 20
"""Entries T·K up to which log marginals that underflow are made from the log messages."""


class Symbols(NamedTuple):
    """The one categorical observation of a chain in kernel order, missing ones as one symbol more."""

    rows: np.ndarray
    missing: bool

    @classmethod
    def of(cls, tables: ChainTables) -> Symbols:
        """Read off the indexed family's data."""
        made = tables.indexed
        symbols = tables.layout.into(made.data(made.observed[0]))
        missing = bool((symbols < 0).any())
        return cls(
            np.where(symbols < 0, made.states[made.observed[0]], symbols) if missing else symbols, missing
        )


def _total(arrays: list, otherwise):
    """Sum of log tables, or ``otherwise`` where there is none."""
    total = arrays[0] if arrays else otherwise
    for array in arrays[1:]:
        total = total + array
    return total


class ChainTables:
    """The log tables of a chain in one run: init (K,), transition (K, K) or (P, K, K), evidence (R, K) with
    rows.
    """

    def __init__(
        self, block: TableChain, layout: ChainLayout, values, clamp=None, symbols: Symbols | None = None
    ):
        self.block, self.layout, self.node = block, layout, block.node
        self.unaries = [table_instances(f, values) for f in block.unaries]
        self.pairs = [(table_instances(f, values), flipped) for f, flipped in block.pairs]
        labels = (clamp or {}).get(block.node.name)
        self.dtype = np.result_type(*(m.array.dtype for m in self.every))
        self.indexed: Any = self._indexed() if labels is None else None
        self.symbols: Any = (symbols or Symbols.of(self)) if self.indexed is not None else None
        self.initial = [m for m in self.unaries if self._is_initial(m)]
        self.log_init = _total([m.array for m in self.initial], np.zeros(block.node.states, self.dtype))
        self.log_transition = self._transition()
        self.log_evidence: np.ndarray
        self.rows: Any
        self.log_evidence, self.rows = self._evidence(labels)

    @property
    def every(self) -> list[TableInstances]:
        """All families."""
        return [*self.unaries, *(m for m, _ in self.pairs)]

    def _is_initial(self, m: TableInstances) -> bool:
        arg = m.family.args[0]
        return (
            len(m.family.args) == 1
            and arg.slice.kind == "index"
            and arg.slice.start == 0
            and not m.stepped
            and not m.has_batch
        )

    def is_constant(self, m: TableInstances) -> bool:
        """One table over the states, at every step."""
        arg = m.family.args[0]
        return (
            len(m.family.args) == 1
            and not m.stepped
            and not m.has_batch
            and arg.slice.kind == "range"
            and m.family.factor.n == self.node.clock.total
        )

    def _indexed(self) -> TableInstances | None:
        """The one categorical family that covers every step, if all other evidence is constant in time."""
        local = [m for m in self.unaries if not self._is_initial(m) and not self.is_constant(m)]
        if len(local) != 1:
            return None
        m = local[0]
        full = m.family.factor.stepped and m.family.factor.n == self.node.clock.total and len(m.observed) == 1
        return m if full and not m.stepped and not m.has_batch else None

    def _transition(self) -> np.ndarray:
        K = self.node.states
        static: Any = 0
        stepped: Any = None
        if len(self.pairs) == 1 and self.pairs[0][0].array.ndim == 2 and not self.pairs[0][0].observed:
            m, flipped = self.pairs[0]
            return m.array.T if flipped else m.array
        for m, flipped in self.pairs:
            if not m.stepped and not m.observed and not m.has_batch:
                static = static + (m.array.T if flipped else m.array)
                continue
            tables = m.stacked()
            tables = np.swapaxes(tables, -1, -2) if flipped else tables
            stepped = tables if stepped is None else stepped + tables
        if stepped is None:
            return static if self.pairs else np.zeros((K, K), self.dtype)
        stepped = stepped + static
        if self.layout.order is None:
            return stepped
        if stepped.ndim == 3:
            stepped = np.broadcast_to(stepped[:, None], (len(stepped), self.layout.batch, K, K))
        counts = np.asarray(self.node.clock.lengths) - 1
        ends = np.cumsum(counts)
        flat = stepped.reshape(len(stepped), self.layout.batch, K, K)
        return np.concatenate(
            [np.swapaxes(flat[e - c : e], 0, 1).reshape(-1, K, K) for c, e in zip(counts, ends, strict=True)]
        )

    def _evidence(self, labels) -> tuple[np.ndarray, np.ndarray | None]:
        constant = _total([m.array for m in self.unaries if self.is_constant(m)], None)
        if self.indexed is not None:
            m, symbols = self.indexed, self.symbols
            table = m.extended if symbols.missing else m.array
            table = table.T if m.observed == [1] else table
            return table if constant is None else table + constant, symbols.rows
        T, K = self.node.clock.total, self.node.states
        local = [m for m in self.unaries if not self._is_initial(m) and not self.is_constant(m)]
        if (
            len(local) == 1
            and labels is None
            and constant is None
            and not local[0].observed
            and local[0].array.shape == (T, *self.node.shape, K)
        ):
            return self.layout.into(local[0].array), None
        dense = zeros((T, *self.node.shape, K), self.dtype, [m.array for m in self.every])
        if constant is not None:
            dense += constant
        for m in local:
            tables = m.stacked()
            tables = tables.reshape(tables.shape[0], *((1,) * (dense.ndim - tables.ndim)), *tables.shape[1:])
            dense[rows_of(m.family, m.family.args[_latent_position(m)])] += tables
        if labels is not None:
            known = labels[..., None] >= 0
            dense = np.where(known & (np.arange(K) != labels[..., None]), -np.inf, dense)
        return self.layout.into(dense), None

    @cached_property
    def counts_suffice(self) -> bool:
        """Whether parameters need no more of γ than its sums over first steps and over equal symbols."""
        summed = [*self.initial, self.indexed]
        return self.indexed is not None and all(
            any(m is s for s in summed)
            or self.is_constant(m)
            or isinstance(m.family.potential.source, np.ndarray)
            for m in self.unaries
        )

    @cached_property
    def problem(self) -> tuple[ChainProblem, np.ndarray]:
        """The linear tables, and what their scaling takes out of log Z."""
        return scaled(self.log_init, self.log_transition, self.log_evidence, self.rows, self.layout)

    def deliver(self, counts: ChainCounts, store, sign: float) -> None:
        """Add expected counts onto whatever stands behind the tables."""
        deliver_counts(self, counts.gamma, counts.xi, counts.row_counts, store, sign, counts.initial[None])


def scaled(
    log_init: np.ndarray, log_transition: np.ndarray, log_evidence: np.ndarray, rows: Any, layout: ChainLayout
) -> tuple[ChainProblem, np.ndarray]:
    """Linear tables scaled by their maxima, and what that takes out of each sequence's log Z."""
    init, init_top = scaled_whole(log_init)
    transition, trans_top = scaled_whole(log_transition)
    evidence, tops = scaled_exponentials(log_evidence)
    offsets = layout.offsets
    per_step = tops if rows is None else tops.take(rows)
    by_sequence = np.add.reduceat(per_step, layout.starts) if layout.n > 1 else per_step.sum(keepdims=True)
    removed = init_top + by_sequence
    if transition.ndim == 2:
        removed = removed + trans_top * layout.steps
    else:
        sums = np.concatenate([[0.0], np.cumsum(trans_top)])
        pairs = offsets - np.arange(len(offsets))
        removed = removed + sums[pairs[1:]] - sums[pairs[:-1]]
    logs = (log_init, log_transition, log_evidence)
    return ChainProblem(init, transition, evidence, rows, offsets, logs), removed


def _latent_position(m: TableInstances) -> int:
    return next(k for k in range(len(m.states)) if k not in m.observed)


class ChainRun(ChainReadings):
    """Messages of one chain, swept when first read: counts without γ unless γ is what is read first."""

    def __init__(
        self,
        block: TableChain,
        layout: ChainLayout,
        values,
        maximise: bool,
        clamp=None,
        forward_only: bool = False,
        cached: Any = None,
        kernels: Any = sequential,
    ):
        self.kernels = kernels  # a module: `table_chain`, or one that answers the same
        self.block, self.layout, self.maximise = block, layout, maximise
        self.tables: Any = ChainTables(block, layout, values, clamp) if cached is None else cached
        self.forward_only = forward_only
        self.path: Any = None
        self.problem: Any = None
        self.removed: Any = None
        t = self.tables
        if maximise:
            here = t.log_init, t.log_transition, t.log_evidence, t.rows, layout.offsets
            scores, path = kernels.best_path(*here)
            self.path = path
            self.per_sequence = np.asarray(scores, np.float64)
        else:
            self.problem, self.removed = t.problem
            self.want_gamma = not t.counts_suffice

    @cached_property
    def per_sequence(self) -> np.ndarray:
        """log Z, or the best score, of every sequence."""
        scale = self.kernels.forward_scale(self.problem) if self.forward_only else self.counts.log_scale
        return scale + self.removed

    @cached_property
    def total(self) -> float:
        """Sum over sequences."""
        return float(self.per_sequence.sum())

    @cached_property
    def counts(self) -> Any:
        """Expected counts; None where nothing is summed over, or nothing but the scale."""
        if self.maximise or self.forward_only:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return self.kernels.expected_counts(self.problem, self.want_gamma)

    def first_impossible(self) -> tuple[int, int] | None:
        """(sequence, step) of the first impossible step."""
        if self.total != -np.inf:
            return None
        if self.counts is not None and self.counts.impossible:
            return self.counts.impossible[0]
        alpha = self.log_alpha_beta[0]
        for n, (a, b) in enumerate(zip(self.layout.offsets[:-1], self.layout.offsets[1:], strict=True)):
            gone = np.flatnonzero((alpha[a:b] == -np.inf).all(axis=1))
            if len(gone):
                return n, int(gone[0])
        return 0, 0

    def impossible(self) -> None:
        """Raise where the evidence has probability zero, naming the first impossible step."""
        found = self.first_impossible()
        if found is not None:
            raise_impossible(self.block.node.name, self.layout.n, *found)

    @cached_property
    def log_alpha_beta(self) -> tuple[np.ndarray, np.ndarray]:
        """True unnormalised log messages in kernel order."""
        t = self.tables
        return self.kernels.log_messages(
            t.log_init, t.log_transition, t.log_evidence, t.rows, self.layout.offsets, self.maximise
        )

    def stacked(self, flat: np.ndarray) -> np.ndarray:
        """Kernel order → (T, *batch, …)."""
        return self.layout.out_of(flat, self.block.node.shape)

    @cached_property
    def gamma(self) -> np.ndarray:
        """Posterior marginals in kernel order (along the best path: one where it goes)."""
        if self.maximise:
            return (self.path[:, None] == np.arange(self.layout.states)).astype(self.tables.dtype)
        self.want_gamma = True
        counts: Any = self.counts
        if counts.gamma is None:
            counts = self.kernels.expected_counts(self.problem)
        return counts.gamma

    def log_belief(self) -> np.ndarray:
        """Normalised log marginals; max-marginals with the best at 0."""
        if not self.maximise:
            self.want_gamma = True
        self.impossible()
        gamma = None if self.maximise else self.gamma
        if gamma is not None and (gamma.size > EXACT_LOGS or gamma.all()):
            with np.errstate(divide="ignore"):
                return self.stacked(np.log(gamma))
        # Marginals that underflow still have finite logarithms, α + β.
        alpha, beta = self.log_alpha_beta
        both = alpha + beta
        top = both.max(axis=1, keepdims=True)
        if not self.maximise:
            top = top + np.log(np.exp(both - top).sum(axis=1, keepdims=True))
        return self.stacked(both - top)

    def add_parameters(self, store, sign: float = 1.0) -> None:
        """Expected counts at parameters, marginals at real sequences behind tables."""
        self.impossible()
        counts = self.counts
        if counts is None:
            deliver_counts(self.tables, self.gamma, self.xi, None, store, sign)
            return
        if not self.tables.counts_suffice:
            counts = counts._replace(gamma=self.gamma)
        self.tables.deliver(counts, store, sign)

    @cached_property
    def xi(self) -> np.ndarray:
        """Expected transition counts, (K, K) or (P, K, K) like the transition."""
        if not self.maximise:
            return self.counts.xi
        K, path, offsets = self.layout.states, self.path, self.layout.offsets
        inside = np.ones(len(path), bool)
        inside[offsets[:-1]] = False
        here, before = path[inside], path[np.flatnonzero(inside) - 1]
        if self.tables.log_transition.ndim == 3:
            xi = np.zeros((len(here), K, K), self.tables.dtype)
            xi[np.arange(len(here)), before, here] = 1
            return xi
        return np.bincount(before * K + here, minlength=K * K).reshape(K, K).astype(self.tables.dtype)

    def pair_belief(self) -> np.ndarray:
        """Normalised log joint of neighbours, (instances, *batch, K, K), by step."""
        self.impossible()
        alpha, beta = self.log_alpha_beta
        offsets, t = self.layout.offsets, self.tables
        inside = np.ones(len(alpha), bool)
        inside[offsets[:-1]] = False
        later = np.flatnonzero(inside)
        evidence = t.log_evidence if t.rows is None else t.log_evidence[t.rows]
        joint = alpha[later - 1][:, :, None] + t.log_transition + (evidence[later] + beta[later])[:, None, :]
        top = joint.max(axis=(1, 2), keepdims=True)
        if not self.maximise:
            top = top + np.log(np.exp(joint - top).sum(axis=(1, 2), keepdims=True))
        return self.layout.pairs_out_of(joint - top, self.block.node.shape)


def raise_impossible(name: str, n_sequences: int, sequence: int, step: int) -> NoReturn:
    """Say that the evidence on a chain has probability zero, and where."""
    which = f" of sequence {sequence}" if n_sequences > 1 else ""
    raise ImpossibleEvidenceError(
        f"the evidence on {name!r} has probability zero: step {step}{which} is the first that no state "
        "explains (total is −inf). "
        "Give the tables a little probability there, or treat that observation as missing (−1)",
        step,
    )


def deliver_counts(
    tables: ChainTables,
    gamma: Any,
    xi: Any,
    row_counts: np.ndarray | None,
    store,
    sign: float,
    first: np.ndarray | None = None,
) -> None:
    """Add marginals γ and pair counts ξ (kernel order) onto whatever stands behind the tables.

    ``first`` holds γ at the first step of every sequence, (N, K), or their sum, (1, K), where not all of γ
    was kept; γ may be None if the counts suffice.
    """
    layout, shape = tables.layout, tables.node.shape
    if first is None:
        first = gamma[:1] if layout.n == 1 else gamma[layout.offsets[:-1]]
    stacked = None
    for m in tables.unaries:
        if isinstance(m.family.potential.source, np.ndarray):
            continue
        if any(m is i for i in tables.initial):
            arrive(m, store, m.fold(first.sum(axis=0)), sign)
        elif m is tables.indexed:
            if row_counts is None:
                row_counts = np.stack(
                    [np.bincount(tables.rows, column, len(tables.log_evidence)) for column in gamma.T], axis=1
                )
            arrive(m, store, m.symbol_counts(row_counts.T), sign)
        elif row_counts is not None and tables.is_constant(m):
            once = row_counts.sum(axis=0).reshape(1, *(1 for _ in shape), -1)
            m.add_counts(sign * once, table_target(m, store))
        else:
            stacked = layout.out_of(gamma, shape) if stacked is None else stacked
            own = stacked[rows_of(m.family, m.family.args[_latent_position(m)])]
            if m.stepped and not m.observed and own.shape == m.array.shape:
                arrive(m, store, m.fold(own), sign)
            else:
                m.add_counts(sign * own, table_target(m, store))
    for m, flipped in tables.pairs:
        if isinstance(m.family.potential.source, np.ndarray):
            continue
        pairs = layout.pairs_out_of(xi, shape) if xi.ndim == 3 else xi
        pairs = np.swapaxes(pairs, -1, -2) if flipped else pairs
        if not m.observed and pairs.shape == m.array.shape and m.stepped == (xi.ndim == 3):
            arrive(m, store, m.fold(pairs), sign)
        else:
            m.add_counts(sign * pairs, table_target(m, store))


def arrive(m: TableInstances, store, counts: np.ndarray, sign: float) -> None:
    """Add counts that have the shape of the table itself onto its parameter, or the real rows behind it."""
    counts = counts if sign == 1 else sign * counts
    source = m.family.potential.source
    if isinstance(source, Parameter):
        if not store.lend(source.name, counts):
            store[source.name] += counts
        return
    if source.kind == "single":
        if not store.lend(source.node.name, counts):
            store[source.node.name] += counts
        return
    rows = source.rows(m.family.clock, m.family.counts)
    if len(counts) == len(store.values_of[source.node.name]) and store.lend(source.node.name, counts):
        return
    store[source.node.name][rows] += counts
