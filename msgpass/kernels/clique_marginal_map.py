"""Max over some variables of the sum over the others, in NumPy, over a tree of cliques in which the others
are eliminated first.
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra import MaxProduct, SumProduct
from msgpass.kernels.clique_reference import CliqueReference


class MarginalMap(CliqueReference):
    """One pass to the roots, and back along the best.

    Parameters
    ----------
    maximised : bool array (variables,)
        Those that are maximised; no clique sums out one that it maximises nearer the root.
    """

    def __init__(self, tree, scopes, tables, maximised: np.ndarray, batch: int = 1):
        self.maximised = maximised
        super().__init__(tree, scopes, tables, MaxProduct().reduce, batch)

    def collect(self) -> None:
        """Leaves to roots: each residual's summed variables go before those that are maximised."""
        self.ups: list[np.ndarray] = []
        self.kept: list[np.ndarray] = []  # (B, maximised residual…, separator…)
        for c in range(len(self.tree)):
            own = self.maximised[self.tree[c][: self.residual(c)]]
            summed = tuple(int(a) - len(self.dims[c]) for a in np.flatnonzero(~own))
            logs = self.inside(c)
            self.kept.append(SumProduct().reduce(logs, summed) if summed else logs)
            best = tuple(range(1, 1 + int(own.sum())))
            self.ups.append(self.reduce(self.kept[c], best) if best else self.kept[c])
        self.totals = np.stack([self.ups[r] for r in self.tree.roots], axis=-1)

    def best(self) -> np.ndarray:
        """(B, variables); −1 for those that are summed out."""
        tree, states = self.tree, np.full((self.batch, len(self.tree.sizes)), -1, np.int64)
        rows = np.arange(self.batch)
        for c in range(len(tree) - 1, -1, -1):
            members, n = tree[c], self.residual(c)
            own = [v for v in members[:n].tolist() if self.maximised[v]]
            if not own:
                continue
            logs = np.moveaxis(self.kept[c], range(1, 1 + len(own)), range(-len(own), 0))
            given = logs[rows, *(states[:, v] for v in members[n:].tolist())]
            chosen = given.reshape(self.batch, -1).argmax(axis=-1)
            for v, at in zip(own, np.unravel_index(chosen, tree.sizes[own]), strict=True):
                states[:, v] = at
        return states
