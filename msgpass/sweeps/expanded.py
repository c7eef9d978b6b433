"""Sparse and grouped tables as families of instances: spread over all states where a sweep asks for that,
in their own shape where counts arrive.

The sparse chain reads their values as they are (:mod:`~msgpass.sweeps.sparse_chain`); trees, windows and
checkpoints read full tables.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.dual_array import zeros
from msgpass.errors import UnsupportedError
from msgpass.plan import Family
from msgpass.potentials import GroupedTable, SparseTable, Structured
from msgpass.sweeps.structured_chain import Link, LinkInstances
from msgpass.sweeps.structured_instances import StructuredInstances
from msgpass.sweeps.table_instances import TableInstances

FULL = 1 << 24
"""Entries up to which a sparse table is written out in full: 128 MB."""


def table_instances(family: Family, values) -> TableInstances:
    """The log tables of a family in one run, by the kind of its potential."""
    kind = type(family.potential)
    if kind is SparseTable:
        return SparseInstances(family, values)
    if kind is GroupedTable:
        return GroupedInstances(family, values)
    if isinstance(family.potential, Structured):
        return StructuredInstances(family, values)
    if isinstance(family.potential, Link):
        return LinkInstances(family, values)
    return TableInstances(family, values)


class SparseInstances(TableInstances):
    """A sparse table; ``own`` holds its values as they are, ``array`` in full."""

    def __init__(self, family: Family, values):
        super().__init__(family, values)
        self.own = self.array
        self.has_batch = False
        self.rows, self.cols = family.potential.rows, family.potential.cols
        del self.array

    @cached_property
    def array(self) -> np.ndarray:
        """The full table, −∞ where nothing is listed."""
        shape = (*self.own.shape[:-1], *self.states)
        if np.prod(shape, dtype=float) > FULL:
            raise UnsupportedError(
                f"the sparse table of {self.family.name!r} would be written out as {shape} here. It stays "
                "sparse on one sequence that it alone links step to step, under SumProduct or MaxProduct "
                "with Sequential or ForwardOnly"
            )
        full = np.full_like(self.own, -np.inf, shape=shape)
        full[..., self.rows, self.cols] = self.own
        return full

    def fold(self, counts: np.ndarray) -> np.ndarray:
        """Counts of the full table → of the listed entries."""
        return counts[..., self.rows, self.cols]

    def symbol_counts(self, counts: np.ndarray) -> np.ndarray:
        """Counts (latent, symbol) of the listed entries."""
        return self.fold(super().symbol_counts(counts))

    def add_counts(self, weights: np.ndarray, target, chosen=None) -> None:
        """Add expected counts of the full table onto an array shaped like the source."""
        if not self.observed and self.stepped:
            target[slice(None) if chosen is None else chosen] += self.fold(weights)
        elif not self.observed:
            target += self.fold(weights).sum(axis=0)
        elif self.stepped:
            n = self.family.factor.n
            full = zeros((n, *self.states), weights.dtype, [weights])
            super().add_counts(weights, full, chosen)
            target[slice(0, n)] += self.fold(full)
        else:
            full = zeros(self.states, weights.dtype, [weights])
            for place, weight in enumerate(weights):
                self._scatter_slow((place,), weight, full, chosen)
            target += self.fold(full)


class GroupedInstances(TableInstances):
    """A grouped table; ``compact`` is the same family over groups in place of states."""

    def __init__(self, family: Family, values):
        self.family, self.values = family, values
        self.compact = TableInstances(family, values)
        self.states, self.batch = self.compact.states, ()
        self.observed, self.stepped = self.compact.observed, self.compact.stepped
        self.has_batch = False
        self.groups = family.potential.groups
        axis = family.potential.axis(family.factor)
        self.axis = axis - len(self.states)
        self.n_groups = self.compact.array.shape[self.axis]
        self.compact.states = (*self.states[:axis], self.n_groups, *self.states[axis + 1 :])

    @cached_property
    def array(self) -> np.ndarray:
        """Values of all states."""
        return np.take(self.compact.array, self.groups, axis=self.axis)

    def table(self, j: int) -> np.ndarray:
        """Log table of instance j over the states."""
        return self.compact.table(j)[self.groups]

    def stacked(self) -> np.ndarray:
        """Log tables of all instances, (n, S)."""
        return self.compact.stacked()[:, self.groups]

    @cached_property
    def segments(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """States group after group, where each group starts among them, and the groups that have states."""
        order = np.argsort(self.groups, kind="stable")
        present, starts = np.unique(self.groups[order], return_index=True)
        return order, starts, present

    def fold(self, counts: np.ndarray) -> np.ndarray:
        """Counts (…, S) of states → (…, K) of groups."""
        order, starts, present = self.segments
        folded = zeros((*counts.shape[:-1], self.n_groups), counts.dtype, [counts])
        folded[..., present] = np.add.reduceat(counts[..., order], starts, axis=-1)
        return folded

    def symbol_counts(self, counts: np.ndarray) -> np.ndarray:
        """Counts (state, symbol) in the table's own axes."""
        return self.compact.symbol_counts(self.fold(counts.T).T)

    def add_counts(self, weights: np.ndarray, target, chosen=None) -> None:
        """Add expected counts, (n, S), onto an array shaped like the source."""
        self.compact.add_counts(self.fold(weights), target, chosen)
