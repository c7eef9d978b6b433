"""Cells of a component: every number that a variable holds has one, and every equation's multiplier."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property

import numpy as np

from msgpass.errors import TreewidthError
from msgpass.kernels.symmetric_sparse import SparsePattern
from msgpass.plan import Block
from msgpass.sweeps.flattened import Flat

DENSE = 256
"""Cells up to which the system is a full matrix: its inverse takes 2 ms there, and nothing needs scipy."""


class Layout:
    """Cells of the variables and of the factors' scopes; kept with the plan.

    Attributes
    ----------
    starts : array of int, (variables + 1,)
        First cell of each variable.
    n : int
        Cells in all.
    nodes : dict of str to array of int, (rows, size)
        Cells of each node.
    scopes : list of arrays of int, (instances, s)
        Cells of each family's latent variables end to end.
    """

    def __init__(self, block: Block, flat: Flat):
        self.block, self.flat = block, flat
        self.starts = np.concatenate([[0], np.cumsum(flat.states)])
        self.n = int(self.starts[-1])
        spans = {name: flat.of(name) for name in flat.names}
        self.nodes = {name: self._cells(np.arange(s.start, s.stop)[:, None]) for name, s in spans.items()}
        self.scopes = [self._cells(scope) for scope in flat.scopes]
        self.kept: dict[tuple[int, ...], Equations] = {}

    def _cells(self, variables: np.ndarray) -> np.ndarray:
        """(instances, arity) variables → (instances, cells)."""
        columns = []
        for ids in variables.T:
            size = int(self.flat.states[ids[0]]) if len(ids) else 0
            columns.append(self.starts[ids][:, None] + np.arange(size))
        return np.concatenate(columns, axis=1)

    def equations(self, rows: tuple[int, ...]) -> Equations:
        """With so many multipliers for each instance of each family."""
        if rows not in self.kept:
            self.kept[rows] = Equations(self, rows)
        return self.kept[rows]

    @cached_property
    def owner(self) -> np.ndarray:
        """Variable of every cell."""
        return np.repeat(np.arange(len(self.flat)), self.flat.states)

    @cached_property
    def parts(self) -> np.ndarray:
        """Which connected part every variable belongs to, numbered by first variables."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        first = [np.repeat(s[:, 0], s.shape[1]) for s in self.flat.scopes]
        ends = np.concatenate(first), np.concatenate([s.ravel() for s in self.flat.scopes])
        n = len(self.flat)
        return connected_components(coo_array((np.ones(len(ends[0])), ends), shape=(n, n)), directed=False)[1]


class Equations:
    """The cells of a run in which some families are equations.

    Attributes
    ----------
    n : int
        Cells of variables and multipliers.
    cells : list of arrays of int
        Of all blocks of the system: scopes with their multipliers, then nodes.
    """

    def __init__(self, layout: Layout, rows: tuple[int, ...]):
        self.layout, self.rows, self.n = layout, rows, layout.n
        self._pattern: SparsePattern | None = None
        self.first, self.cells = [], []
        for scope, m in zip(layout.scopes, rows, strict=True):
            count = len(scope)
            own = self.n + np.arange(count * m).reshape(count, m)
            self.first.append(self.n)
            self.cells.append(np.concatenate([scope, own], axis=1))
            self.n += count * m
        self.cells += layout.nodes.values()

    def pattern(self, max_size: int) -> SparsePattern:
        """Order of elimination and pattern of the factor, which has at most so many entries."""
        entries = sum(c.shape[0] * c.shape[1] ** 2 for c in self.cells)
        if self._pattern is None and entries <= 4 * max_size:
            with suppress(MemoryError):
                self._pattern = SparsePattern(self.cells, self.n, self.layout.n)
        if self._pattern is not None:
            entries = len(self._pattern.lower_keys)
            if entries <= max_size:
                return self._pattern
        raise TreewidthError(
            f"exact inference over {self.layout.n} Gaussian numbers needs a factor of at least {entries:.4g} "
            f"entries, more than max_size={max_size} or the memory there is. Observe some variables in the "
            "graph, raise max_size (8 bytes an entry, five times), or run Flooding(), whose means are exact "
            "where it converges",
            size=entries,
        )

    def label(self, cell: int) -> str:
        """The variable that holds a cell, or the factor of a multiplier."""
        if cell < self.layout.n:
            return self.layout.flat.label(int(self.layout.owner[cell]))
        k = int(np.searchsorted(self.first, cell, side="right")) - 1
        while not self.rows[k]:
            k -= 1
        factor = self.layout.block.families[k].factor
        return factor.name if factor.n == 1 else factor[(cell - self.first[k]) // self.rows[k]].name
