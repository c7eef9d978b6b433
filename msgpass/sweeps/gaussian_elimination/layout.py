"""Cells of a component: every number that a variable holds has one."""

from __future__ import annotations

from functools import cached_property

import numpy as np

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
        self.flat = flat
        self.starts = np.concatenate([[0], np.cumsum(flat.states)])
        self.n = int(self.starts[-1])
        self.nodes = {name: self._cells(np.arange(*_span(flat.of(name)))[:, None]) for name in flat.names}
        self.scopes = [self._cells(scope) for scope in flat.scopes]

    def _cells(self, variables: np.ndarray) -> np.ndarray:
        """(instances, arity) variables → (instances, cells)."""
        columns = []
        for ids in variables.T:
            size = int(self.flat.states[ids[0]]) if len(ids) else 0
            columns.append(self.starts[ids][:, None] + np.arange(size))
        return np.concatenate(columns, axis=1)

    @property
    def cells(self) -> list[np.ndarray]:
        """Of all blocks of the system: scopes, then nodes."""
        return [*self.scopes, *self.nodes.values()]

    @cached_property
    def pattern(self) -> SparsePattern:
        """Order of elimination and pattern of the factor."""
        return SparsePattern(self.cells, self.n)

    def label(self, cell: int) -> str:
        """The variable that holds a cell."""
        return self.flat.label(int(np.searchsorted(self.starts, cell, side="right")) - 1)


def _span(s: slice) -> tuple[int, int]:
    return s.start, s.stop
