"""Both passes over a tree of cliques in NumPy, in logarithms, for any reduction over states.

With ψ_c the sum of the log factors placed in clique c, S_c what it shares with its parent, and ⊕ the
reduction,

    collect      up_c[S_c]   = ⊕_{c∖S_c} (ψ_c + Σ_{children d} up_d)
    distribute   down_d[S_d] = ⊕_{c∖S_d} (ψ_c + down_c + Σ_{children e≠d} up_e)
    belief       b_c         = ψ_c + down_c + Σ_{children d} up_d

Collecting is variable elimination, and distributing is its adjoint (Shafer & Shenoy 1990). Each child's own
message is left out of what it is told, by running sums from both sides: nothing is divided, so that zeros
(−∞) need no care.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.elimination import CliqueTree

Reduce = Callable[[np.ndarray, tuple[int, ...]], np.ndarray]


def aligned(table: np.ndarray, scope: list[int], clique: list[int]) -> np.ndarray:
    """A table (B, states of ``scope``…) with one axis for each variable of ``clique``, of length 1 where the
    scope does not have it.
    """
    table = np.transpose(table, (0, *(1 + scope.index(v) for v in clique if v in scope)))
    sizes = iter(table.shape[1:])
    return table.reshape(len(table), *(next(sizes) if v in scope else 1 for v in clique))


class CliqueReference:
    """One sweep.

    Parameters
    ----------
    tree : CliqueTree
    scopes : sequence of int arrays (instances, arity)
        Of each family of factors.
    tables : sequence of arrays (B or 1, instances, states…)
        Log tables of each family.
    reduce : callable (logs, axes) → logs
    batch : int
        B.
    """

    def __init__(self, tree: CliqueTree, scopes, tables, reduce: Reduce, batch: int = 1):
        self.tree, self.scopes, self.reduce, self.batch = tree, scopes, reduce, batch
        self.homes = [tree.home(s) if len(s) else np.zeros(0, np.int64) for s in scopes]
        self.dims = [tuple(tree.sizes[tree[c]].tolist()) for c in range(len(tree))]
        self.local = [np.zeros((batch, *dims)) for dims in self.dims]
        for home, scope, logs in zip(self.homes, scopes, tables, strict=True):
            for j, c in enumerate(home):
                self.local[c] = self.local[c] + aligned(logs[:, j], scope[j].tolist(), tree[c].tolist())
        self.children: list[list[int]] = [[] for _ in self.dims]
        for c, p in enumerate(tree.parent.tolist()):
            if p >= 0:
                self.children[p].append(c)
        self.collect()
        self._downs: list[np.ndarray] | None = None

    def collect(self) -> None:
        """Leaves to roots."""
        self.ups: list[np.ndarray] = []
        for c in range(len(self.tree)):
            inside = self.inside(c)
            self.ups.append(self.reduce(inside, self.axes(c, self.tree.separator(c))))
        self.totals = np.stack([self.ups[r] for r in self.tree.roots], axis=-1)

    @property
    def downs(self) -> list[np.ndarray]:
        """What each clique's parent says, roots to leaves."""
        if self._downs is None:
            self._downs = [np.zeros((self.batch, *self.separator_dims(c))) for c in range(len(self.tree))]
            for c in range(len(self.tree) - 1, -1, -1):
                self._distribute(c, self._downs)
        return self._downs

    def _distribute(self, c: int, down: list[np.ndarray]) -> None:
        sent = [self.spread(d, c, self.ups[d]) for d in self.children[c]]
        before = self.local[c] + self.own(c, down[c])
        behind = [np.zeros(())]
        for message in sent[:0:-1]:
            behind.append(behind[-1] + message)
        for d, message in zip(self.children[c], sent, strict=True):
            down[d] = self.reduce(before + behind.pop(), self.axes(c, self.tree.separator(d)))
            before = before + message

    def inside(self, c: int) -> np.ndarray:
        """What is known below the separator of clique c, (B, states…)."""
        total = self.local[c]
        for d in self.children[c]:
            total = total + self.spread(d, c, self.ups[d])
        return total

    def belief(self, c: int) -> np.ndarray:
        """Everything that is known in clique c, (B, states…), not normalised."""
        return self.inside(c) + self.own(c, self.downs[c])

    def up(self, c: int) -> np.ndarray:
        """What clique c sends to its parent, (B, states of the separator…)."""
        return self.ups[c]

    def down(self, c: int) -> np.ndarray:
        """What its parent sends to clique c."""
        return self.downs[c]

    def own(self, c: int, message: np.ndarray) -> np.ndarray:
        """A message over the separator of c, over the axes of c."""
        return message.reshape(self.batch, *(1,) * self.residual(c), *self.separator_dims(c))

    def spread(self, d: int, c: int, message: np.ndarray) -> np.ndarray:
        """A message over the separator of d, over the axes of its parent c."""
        return aligned(message, self.tree.separator(d).tolist(), self.tree[c].tolist())

    def residual(self, c: int) -> int:
        """Variables of c that its parent does not have."""
        return int(self.tree.lengths[c] - self.tree.separator_lengths[c])

    def separator_dims(self, c: int) -> tuple[int, ...]:
        """States of the separator's variables."""
        return self.dims[c][self.residual(c) :]

    def axes(self, c: int, keep) -> tuple[int, ...]:
        """Axes of a table over clique c that are reduced to keep these variables."""
        kept, n = set(np.asarray(keep).tolist()), len(self.dims[c])
        return tuple(a - n for a, v in enumerate(self.tree[c].tolist()) if v not in kept)

    # -- readings ------------------------------------------------------------------------------------

    def marginals(self) -> np.ndarray:
        """Log marginals of all variables end to end, (B, Σ states), each normalised by ⊕."""
        tree, found = self.tree, {}
        for c in np.argsort(tree.table_sizes, kind="stable").tolist():
            missing = [v for v in tree[c].tolist() if v not in found]
            if missing:
                logs = self.belief(c)
                for v in missing:
                    found[v] = self.normalised(self.reduce(logs, self.axes(c, [v])), 1)
        return np.concatenate([found[v] for v in range(len(tree.sizes))], axis=1)

    def factors(self, k: int) -> np.ndarray:
        """Log beliefs of a family's instances, (B, instances, states…), normalised by ⊕."""
        scope = self.scopes[k]
        shape = tuple(self.tree.sizes[scope[0]].tolist()) if len(scope) else ()
        found = np.full((self.batch, len(scope), *shape), -np.inf)
        for c in np.unique(self.homes[k]).tolist():
            logs, members = self.belief(c), self.tree[c].tolist()
            for j in np.flatnonzero(self.homes[k] == c):
                names = scope[j].tolist()
                own = self.normalised(self.reduce(logs, self.axes(c, names)), len(names))
                kept = [v for v in members if v in names]
                found[:, j] = np.transpose(own, (0, *(1 + kept.index(v) for v in names)))
        return found

    def all_factors(self) -> list[np.ndarray]:
        """Of every family."""
        return [self.factors(k) for k in range(len(self.scopes))]

    def normalised(self, logs: np.ndarray, axes: int) -> np.ndarray:
        """Less ⊕ over the last ``axes``."""
        total = self.reduce(logs, tuple(range(-axes, 0)))
        with np.errstate(invalid="ignore"):
            return logs - total.reshape(*total.shape, *(1,) * axes)

    def best(self) -> np.ndarray:
        """(B, variables): from the roots, the first best states of each residual given the separator."""
        tree, states = self.tree, np.zeros((self.batch, len(self.tree.sizes)), np.int64)
        rows = np.arange(self.batch)
        for c in range(len(tree) - 1, -1, -1):
            n, members = self.residual(c), tree[c].tolist()
            logs = self.inside(c)
            logs = np.moveaxis(logs, range(1 + n, logs.ndim), range(1, logs.ndim - n))
            chosen = logs[rows, *(states[:, v] for v in members[n:])].reshape(self.batch, -1).argmax(axis=-1)
            for v, at in zip(members[:n], np.unravel_index(chosen, self.dims[c][:n]), strict=True):
                states[:, v] = at
        return states
