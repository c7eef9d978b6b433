"""From a clique tree and the scopes of factors to a flat program: arrays that one compiled loop runs down.

The program knows no values, so it is made once. Memory is one line of numbers: the table of every clique,
then what each sends to its parent, then what it is sent. Nothing here loops over cliques or factors.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from msgpass.elimination import CliqueTree
from msgpass.kernels.clique_patterns import Patterns

TABLE, SIZE, UP, DOWN, SEPARATOR, PARENT, FACTORS, CHILDREN, PATTERN, PART, FIRST, RESIDUAL = range(12)
"""Columns of ``cliques``: start of its table, entries, start of its messages up and down and their entries,
parent, start of its factors and of its children (those of the next clique are the ends), the pattern of its
separator in its parent, its tree, start of its variables in ``variables``, how many of them are residual."""


@dataclass(frozen=True, eq=False)
class CliqueProgram:
    """A sweep's structure.

    Parameters
    ----------
    tree : CliqueTree
    scopes : sequence of int arrays (instances, arity)
        Of each family of factors; all instances of a family have tables of one shape.

    Attributes
    ----------
    input_starts : int array (families + 1,)
        Where each family's tables begin among the inputs: instance after instance, each in C order. The last
        families are tables of ones for the variables that no factor touches.
    """

    tree: CliqueTree
    scopes: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, tree: CliqueTree, scopes) -> CliqueProgram:
        """Also covers variables that no factor touches."""
        seen = np.zeros(len(tree.sizes), bool)
        for scope in scopes:
            seen[scope] = True
        free = np.flatnonzero(~seen)
        ones = [free[tree.sizes[free] == states][:, None] for states in np.unique(tree.sizes[free])]
        return cls(tree, (*(np.asarray(s, np.int64) for s in scopes), *ones))

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Shape of each family's tables."""
        return [tuple(self.tree.sizes[s[0]].tolist()) if len(s) else () for s in self.scopes]

    @cached_property
    def table_sizes(self) -> np.ndarray:
        """Entries of each family's tables."""
        return np.array([int(np.prod(s, dtype=np.int64)) for s in self.shapes], np.int64)

    @cached_property
    def counts(self) -> np.ndarray:
        """Instances of each family."""
        return np.array([len(s) for s in self.scopes], np.int64)

    @cached_property
    def input_starts(self) -> np.ndarray:
        """Where each family's tables begin, and the end."""
        return np.concatenate([[0], np.cumsum(self.table_sizes * self.counts)])

    @cached_property
    def instance_starts(self) -> np.ndarray:
        """Number of each family's first instance, and of all."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @cached_property
    def homes(self) -> np.ndarray:
        """Clique of every instance, family after family."""
        found = [self.tree.home(s) for s in self.scopes if len(s)]
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    @cached_property
    def offsets(self) -> np.ndarray:
        """Input of every instance."""
        return np.concatenate(
            [
                start + np.arange(n) * size
                for start, n, size in zip(self.input_starts, self.counts, self.table_sizes, strict=False)
            ]
            or [np.zeros(0, np.int64)]
        )

    # -- patterns ------------------------------------------------------------------------------------

    @cached_property
    def members(self) -> np.ndarray:
        """(cliques, W): variables of each clique, right-aligned, −1 before them."""
        tree = self.tree
        wide = int(tree.lengths.max()) if len(tree) else 0
        found = np.full((len(tree), wide), -1, np.int64)
        ends = tree.starts[1:][tree.owner]
        found[tree.owner, wide - ends + np.arange(len(tree.variables))] = tree.variables
        return found

    @cached_property
    def dims(self) -> np.ndarray:
        """(cliques, W): states of these variables, 1 before them."""
        return np.where(self.members < 0, 1, self.tree.sizes[self.members])

    @cached_property
    def patterns(self) -> Patterns:
        """Of factors, separators and single variables in cliques."""
        return Patterns()

    @cached_property
    def factor_patterns(self) -> np.ndarray:
        """Pattern of every instance in its clique."""
        found = []
        for k, scope in enumerate(self.scopes):
            homes = self.homes[self.instance_starts[k] : self.instance_starts[k + 1]]
            rows, strides = self.members[homes], np.zeros((len(homes), self.members.shape[1]), np.int64)
            stride = int(self.table_sizes[k])
            for a, size in enumerate(self.shapes[k]):
                stride //= size
                strides += np.where(rows == scope[:, a, None], stride, 0)
            found.append(self.patterns.of(self.dims[homes], strides))
        return np.concatenate(found) if found else np.zeros(0, np.int64)

    @cached_property
    def separator_patterns(self) -> np.ndarray:
        """Pattern of each clique's separator in its parent, −1 at roots."""
        tree = self.tree
        below = np.flatnonzero(tree.parent >= 0)
        rows, own = self.members[tree.parent[below]], self.members[below]
        lengths = tree.separator_lengths[below]
        strides, stride = np.zeros(rows.shape, np.int64), np.ones(len(below), np.int64)
        for k in range(int(lengths.max()) if len(below) else 0):
            v = np.where(lengths > k, own[:, own.shape[1] - 1 - k], -2)
            strides += np.where(rows == v[:, None], stride[:, None], 0)
            stride = stride * np.where(v >= 0, tree.sizes[v], 1)
        found = np.full(len(tree), -1, np.int64)
        found[below] = self.patterns.of(self.dims[tree.parent[below]], strides)
        return found

    # -- arrays --------------------------------------------------------------------------------------

    @cached_property
    def cliques(self) -> np.ndarray:
        """(cliques + 1, columns): see the columns' names."""
        tree, n = self.tree, len(self.tree)
        sizes = tree.table_sizes.astype(np.int64)
        wide = self.members.shape[1]
        shared = np.arange(wide) >= wide - tree.separator_lengths[:, None]
        separators = np.where(shared, self.dims, 1).prod(axis=1)
        found = np.zeros((n + 1, 12), np.int64)
        starts = np.concatenate([[0], np.cumsum(np.concatenate([sizes, separators, separators]))])
        found[:n, TABLE], found[:n, UP], found[:n, DOWN] = starts[:-1].reshape(3, n)
        found[:n, SIZE], found[:n, SEPARATOR], found[:n, PARENT] = sizes, separators, tree.parent
        found[:, FACTORS] = np.searchsorted(self.homes[self.by_clique], np.arange(n + 1))
        found[:, CHILDREN] = np.searchsorted(tree.parent[self.children], np.arange(n + 1))
        found[:n, PATTERN], found[:n, PART] = self.separator_patterns, tree.part
        found[:, FIRST] = tree.starts
        found[:n, RESIDUAL] = tree.lengths - tree.separator_lengths
        return found

    @cached_property
    def memory(self) -> int:
        """Numbers that a sweep works on."""
        sizes = self.cliques
        return int(sizes[:, SIZE].sum() + 2 * sizes[:, SEPARATOR].sum())

    @cached_property
    def by_clique(self) -> np.ndarray:
        """Instances in the order of their cliques."""
        return np.argsort(self.homes, kind="stable")

    @cached_property
    def factors(self) -> np.ndarray:
        """(instances, 3) in the order of their cliques: input, pattern, number."""
        order = self.by_clique
        return np.stack([self.offsets[order], self.factor_patterns[order], order], axis=1)

    @cached_property
    def children(self) -> np.ndarray:
        """Cliques with a parent, in the order of their parents."""
        below = np.flatnonzero(self.tree.parent >= 0)
        return below[np.argsort(self.tree.parent[below], kind="stable")]

    @cached_property
    def marginal_jobs(self) -> np.ndarray:
        """(variables, 4): table, start of what comes out, its entries, pattern; from each variable's smallest
        clique.
        """
        tree = self.tree
        order = np.lexsort((tree.table_sizes[tree.owner], tree.variables))
        _, first = np.unique(tree.variables[order], return_index=True)
        cliques = tree.owner[order[first]]
        strides = (self.members[cliques] == np.arange(len(cliques))[:, None]).astype(np.int64)
        patterns = self.patterns.of(self.dims[cliques], strides)
        return np.stack([self.cliques[cliques, TABLE], self.state_starts[:-1], tree.sizes, patterns], axis=1)

    @cached_property
    def state_starts(self) -> np.ndarray:
        """Where each variable's states begin among those of all, and the end."""
        return np.concatenate([[0], np.cumsum(self.tree.sizes)])

    @cached_property
    def factor_jobs(self) -> np.ndarray:
        """(instances, 4), as for variables; what comes out is laid out as the inputs are."""
        sizes = np.repeat(self.table_sizes, self.counts)
        return np.stack([self.cliques[self.homes, TABLE], self.offsets, sizes, self.factor_patterns], axis=1)

    @cached_property
    def compiled(self) -> tuple[np.ndarray, ...]:
        """(cliques, factors, children, patterns, maps, marginal jobs, factor jobs), patterns complete."""
        made = self.cliques, self.factors, self.children, self.marginal_jobs, self.factor_jobs
        cliques, factors, children, marginal, factor = map(np.ascontiguousarray, made)
        return cliques, factors, children, *self.patterns.arrays(), marginal, factor

    @cached_property
    def parts(self) -> np.ndarray:
        """Tree of every instance."""
        return self.tree.part[self.homes]

    @cached_property
    def label_places(self) -> np.ndarray:
        """(variables, 4): where a label of each acts, as (input, stride, blocks, entries of a block): the
        smallest table that has the variable.
        """
        found = np.zeros((len(self.tree.sizes), 4), np.int64)
        for k in np.argsort(-self.table_sizes, kind="stable").tolist():
            scope, size = self.scopes[k], int(self.table_sizes[k])
            begins = self.input_starts[k] + np.arange(len(scope)) * size
            stride = size
            for a, states in enumerate(self.shapes[k]):
                stride //= states
                found[scope[:, a], 0] = begins
                found[scope[:, a], 1] = stride
                found[scope[:, a], 2] = size // (stride * states)
                found[scope[:, a], 3] = stride * states
        return found
