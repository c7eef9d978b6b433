"""The log tables of a chain with a sparse transition, as few and as small as its factors have them.

What a factor says of the first and of the last state of each sequence is kept apart; what is the same at
every step goes into the transition and the first; the rest is one evidence table, (R, G), with the row that a
step uses and the column that a state uses. So evidence of a categorical observation stays a table and an
index, and evidence shared by groups of states stays shared.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.kernels.sparse_chain import Scaled, SparsePattern, SparseProblem, scaled
from msgpass.plan import TableChain
from msgpass.sweeps.expanded import GroupedInstances, SparseInstances, table_instances
from msgpass.sweeps.rows import rows_of
from msgpass.sweeps.table_instances import TableInstances


class SparseLayout:
    """The pattern of the transition and where sequences lie; made once a plan."""

    order = None  # sparse chains have no aligned batches

    def __init__(self, block: TableChain):
        family, flipped = block.pairs[0]
        rows, cols = family.potential.rows, family.potential.cols
        self.states = block.node.states
        self.pattern = SparsePattern(self.states, *((cols, rows) if flipped else (rows, cols)))
        self.clock = block.node.clock
        self.offsets, self.lengths = self.clock.offsets, self.clock.sizes
        self.n, self.pairs = len(self.lengths), self.clock.total - len(self.lengths)


class SparseTables:
    """Tables of one run; see the module's text."""

    def __init__(self, block: TableChain, layout: SparseLayout, values, clamp=None):
        self.block, self.layout, self.node = block, layout, block.node
        self.unaries = [table_instances(f, values) for f in block.unaries]
        self.pair: Any = SparseInstances(block.pairs[0][0], values)
        self.dtype = np.result_type(self.pair.own.dtype, *(compact(m).array.dtype for m in self.unaries))
        places = [self._place(m) for m in self.unaries]
        self.initial, self.last, self.constant, self.local = (
            [m for m, p in zip(self.unaries, places, strict=True) if p == place]
            for place in ("first", "last", "every", "")
        )
        self.labels = (clamp or {}).get(self.node.name)

    @property
    def every(self) -> list[TableInstances]:
        """All families."""
        return [*self.unaries, self.pair]

    def _place(self, m: TableInstances) -> str:
        """Which states of a sequence a family speaks of, if it says the same of every sequence."""
        arg = m.family.args[0]
        if len(m.family.args) > 1 or m.stepped:
            return ""
        if arg.slice.kind == "index":
            return {0: "first", -1: "last"}.get(arg.slice.start, "")
        whole = arg.slice.kind == "range" and m.family.factor.n == self.node.clock.total
        return "every" if whole else ""

    def _sum(self, families: list) -> np.ndarray:
        """Log table over the states, (S,), of families that say the same everywhere."""
        return sum((m.table(0) for m in families), np.zeros(self.layout.states))

    @cached_property
    def grouping(self) -> GroupedInstances | None:
        """One of the local families, if they all group the states alike; then evidence has its columns."""
        grouped = [m for m in self.local if isinstance(m, GroupedInstances)]
        if self.labels is not None or not grouped or len(grouped) < len(self.local):
            return None
        first = grouped[0]
        alike = all(
            m.n_groups == first.n_groups and np.array_equal(m.groups, first.groups) for m in grouped[1:]
        )
        return first if alike else None

    def own(self, m: TableInstances) -> TableInstances:
        """A local family over the columns of the evidence."""
        return m.compact if self.grouping is not None else m  # type: ignore[attr-defined]

    @cached_property
    def whole(self) -> TableInstances | None:
        """The one local family, over the columns of the evidence, if it says something at every step."""
        if len(self.local) != 1 or self.labels is not None:
            return None
        m = self.local[0]
        full = m.family.factor.stepped and m.family.factor.n == self.node.clock.total
        return self.own(m) if full else None

    @property
    def indexed(self) -> bool:
        """The evidence is a table of symbols and an index."""
        return self.whole is not None and bool(self.whole.observed) and not self.whole.stepped

    @cached_property
    def evidence(self) -> tuple[np.ndarray, np.ndarray | None]:
        """(R, G) log values and the row of each step (None: in order)."""
        T, m = self.node.clock.total, self.whole
        if not self.local and self.labels is None:
            return np.zeros((1, 1)), np.zeros(T, np.int64)
        if m is not None and self.indexed:
            symbols = m.data(m.observed[0])
            missing = (symbols < 0).any()
            table = m.extended if missing else m.array
            table = table.T if m.observed == [1] else table
            return table, np.where(symbols < 0, len(table) - 1, symbols) if missing else symbols
        if m is not None:
            return m.stacked(), None
        columns = self.grouping.n_groups if self.grouping is not None else self.layout.states
        dense = np.zeros((T, columns))
        for m in self.local:
            dense[rows_of(m.family, latent_arg(m))] += self.own(m).stacked()
        if self.labels is not None:
            known = self.labels >= 0
            kept = dense[known, self.labels[known]]
            dense[known] = -np.inf
            dense[known, self.labels[known]] = kept
        return dense, None

    @cached_property
    def groups(self) -> np.ndarray | None:
        """Column of the evidence that each state uses (None: its own)."""
        if not self.local and self.labels is None:
            return np.zeros(self.layout.states, np.int64)
        return self.grouping.groups if self.grouping is not None else None

    @cached_property
    def logs(self) -> SparseProblem:
        """Log tables in float64."""
        constant = self._sum(self.constant)
        values = np.asarray(self.pair.own, np.float64)
        if self.constant:
            values = values + constant[self.layout.pattern.cols]
        evidence, rows = self.evidence
        return SparseProblem(
            self.layout.pattern,
            self._sum(self.initial) + constant,
            self._sum(self.last),
            values,
            np.asarray(evidence, np.float64),
            rows,
            self.groups,
            self.layout.offsets,
        )

    @cached_property
    def scaled(self) -> Scaled:
        """Linear tables, scaled by their maxima."""
        return scaled(self.logs)


def compact(m: TableInstances) -> Any:
    """A family in its own shape."""
    return m.compact if isinstance(m, GroupedInstances) else m


def latent_arg(m: TableInstances):
    """The argument of a local family that is free."""
    return m.family.args[next(k for k in range(len(m.states)) if k not in m.observed)]
