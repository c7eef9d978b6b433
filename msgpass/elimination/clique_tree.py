"""``CliqueTree``: cliques in an order in which children come before parents, as flat arrays.

Variables of a clique are kept in one order that all cliques share: first those that no clique nearer the root
holds (the *residual*), then the *separator*, what the parent holds too, in the order in which the parent has
it. A table over a clique, as a matrix (residual, separator), is then reduced to its message without moving an
axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class CliqueTree:
    """A forest of cliques.

    Attributes
    ----------
    variables : int array
        Variables of all cliques, end to end.
    starts : int array (cliques + 1,)
        Where each clique's begin.
    parent : int array (cliques,)
        Number of the parent, larger than the clique's own; −1 at a root.
    sizes : int array (variables,)
        States of each variable.
    """

    variables: np.ndarray
    starts: np.ndarray
    parent: np.ndarray
    sizes: np.ndarray

    @classmethod
    def of(cls, cliques, parent, sizes) -> CliqueTree:
        """From cliques and parents in any order; cliques are renumbered from the leaves to the roots."""
        parent = np.asarray(parent, np.int64)
        order = _leaves_first(parent)
        number = np.empty_like(order)
        number[order] = np.arange(len(order))
        lengths = np.array([len(cliques[c]) for c in order], np.int64)
        flat = np.fromiter((v for c in order for v in cliques[c]), np.int64, int(lengths.sum()))
        above = parent[order]
        return cls.sorted(flat, lengths, np.where(above < 0, -1, number[above]), sizes)

    @classmethod
    def sorted(cls, variables, lengths, parent, sizes) -> CliqueTree:
        """From flat arrays in which children come before parents; puts each clique's variables in order."""
        sizes = np.asarray(sizes, np.int64)
        variables, lengths = np.asarray(variables, np.int64), np.asarray(lengths, np.int64)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        top = np.full(len(sizes), -1, np.int64)
        top[variables] = owner  # the last one stays: cliques come in the order of their numbers
        order = np.lexsort((variables, top[variables], owner))
        starts = np.concatenate([[0], np.cumsum(lengths)])
        return cls(variables[order], starts, np.asarray(parent, np.int64), sizes)

    def __len__(self) -> int:
        return len(self.parent)

    def __getitem__(self, c: int) -> np.ndarray:
        """Variables of clique c: residual, then separator."""
        return self.variables[self.starts[c] : self.starts[c + 1]]

    @cached_property
    def lengths(self) -> np.ndarray:
        """Number of variables of each clique."""
        return np.diff(self.starts)

    @cached_property
    def owner(self) -> np.ndarray:
        """Clique of each entry of ``variables``."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def top(self) -> np.ndarray:
        """The clique nearest the root that holds each variable; −1 where none does."""
        top = np.full(len(self.sizes), -1, np.int64)
        top[self.variables] = self.owner
        return top

    @cached_property
    def shared(self) -> np.ndarray:
        """Of each entry of ``variables``: the parent holds it, too."""
        return self.top[self.variables] > self.owner

    @cached_property
    def separator_lengths(self) -> np.ndarray:
        """Number of variables that each clique shares with its parent."""
        return np.add.reduceat(self.shared, self.starts[:-1]) if len(self) else np.zeros(0, np.int64)

    def separator(self, c: int) -> np.ndarray:
        """Variables that clique c shares with its parent."""
        return self[c][self.lengths[c] - self.separator_lengths[c] :]

    def home(self, scopes: np.ndarray) -> np.ndarray:
        """A clique that holds all of a scope, (n, arity) → (n,): of its variables' tops, the one furthest
        from the root.
        """
        return self.top[scopes].min(axis=-1)

    @cached_property
    def table_sizes(self) -> np.ndarray:
        """Entries of each clique's table, as floats (they may be far too many to hold)."""
        return np.exp2(np.add.reduceat(np.log2(self.sizes)[self.variables], self.starts[:-1])).round()

    @cached_property
    def part(self) -> np.ndarray:
        """Number of the tree that each clique belongs to, in the order of the roots."""
        found = np.full(len(self), -1, np.int64)
        roots = np.flatnonzero(self.parent < 0)
        found[roots] = np.arange(len(roots))
        for c in range(len(self) - 1, -1, -1):
            if found[c] < 0:
                found[c] = found[self.parent[c]]
        return found

    @cached_property
    def roots(self) -> np.ndarray:
        """Cliques without a parent."""
        return np.flatnonzero(self.parent < 0)

    @property
    def width(self) -> int:
        """Variables of the largest clique, less one."""
        return int(self.lengths.max()) - 1 if len(self) else 0

    @property
    def largest(self) -> float:
        """Entries of the largest table."""
        return float(self.table_sizes.max()) if len(self) else 0.0

    @property
    def total_size(self) -> float:
        """Entries of all tables: what a sweep costs."""
        return float(self.table_sizes.sum())

    def __repr__(self) -> str:
        return (
            f"CliqueTree({len(self)} cliques over {len(self.sizes)} variables, width {self.width}, largest "
            f"table {self.largest:.6g}, in all {self.total_size:.6g})"
        )


def _leaves_first(parent: np.ndarray) -> np.ndarray:
    """Cliques, children before parents, each tree in one piece (its parts stay close in memory)."""
    children: list[list[int]] = [[] for _ in parent]
    stack: list[int] = []
    for c, p in enumerate(parent.tolist()):
        (stack if p < 0 else children[p]).append(c)
    order = []
    while stack:
        c = stack.pop()
        order.append(c)
        stack.extend(children[c])
    return np.array(order[::-1], np.int64)
