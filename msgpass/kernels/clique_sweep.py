"""Compiled sweeps over a clique program, with the readings that the reference has: sum-product on numbers, on
logarithms where numbers would vanish, and max-product.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from msgpass.kernels import clique_log, clique_max, clique_sum
from msgpass.kernels.clique_program import DOWN, SEPARATOR, SIZE, TABLE, UP, CliqueProgram
from msgpass.kernels.runtime import recycled_empty

LN2 = float(np.log(2.0))


class CliqueSweep:
    """What both have: memory, and readings of tables that are logs or numbers.

    Attributes
    ----------
    work : array (B, memory)
    totals : array (B, trees)
        log Z, or the best score, of every tree.
    logarithms : bool
        Whether ``work`` holds logarithms.
    """

    kernels: Any
    logarithms = True

    def __init__(self, program: CliqueProgram, batch: int):
        self.program, self.batch = program, batch
        self.compiled = program.compiled
        self.work = recycled_empty((batch, program.memory))
        self.distributed = False

    def distribute(self) -> None:
        """Roots to leaves, once."""
        if not self.distributed:
            self.distributed = True
            self._distribute()

    def _distribute(self) -> None:
        raise NotImplementedError

    def logs(self, numbers: np.ndarray) -> np.ndarray:
        """Logarithms of what came out of a kernel."""
        if self.logarithms:
            return numbers
        with np.errstate(divide="ignore"):
            return np.log(numbers)

    def project(self, jobs, length: int) -> np.ndarray:
        """Normalised log beliefs of smaller tables, (B, length)."""
        self.distribute()
        _, _, _, patterns, maps, *_ = self.compiled
        out = np.empty((self.batch, length))
        if len(jobs):
            self.kernels.project(self.work, jobs, patterns, maps, out)
        return self.logs(out)

    def marginals(self) -> np.ndarray:
        """Log marginals of all variables end to end, (B, Σ states)."""
        return self.project(self.compiled[5], int(self.program.state_starts[-1]))

    def all_factors(self) -> list[np.ndarray]:
        """Log beliefs of all families' instances, (B, instances, states…) each."""
        p = self.program
        found = self.project(self.compiled[6], int(p.input_starts[-1]))
        starts = p.input_starts.tolist()
        return [
            found[:, starts[k] : starts[k + 1]].reshape(self.batch, n, *p.shapes[k])
            for k, n in enumerate(p.counts.tolist())
        ]

    def factors(self, k: int) -> np.ndarray:
        """Log beliefs of a family's instances, (B, instances, states…)."""
        program = self.program
        a, b = program.instance_starts[k : k + 2]
        start, end = program.input_starts[k : k + 2]
        jobs = self.compiled[6][a:b].copy()
        jobs[:, 1] -= start
        return self.project(jobs, int(end - start)).reshape(self.batch, b - a, *program.shapes[k])

    def belief(self, c: int) -> np.ndarray:
        """Everything that is known in clique c, (B, states…), up to a constant."""
        self.distribute()
        tree = self.program.tree
        return self._read(c, TABLE, SIZE).reshape(self.batch, *tree.sizes[tree[c]])

    def up(self, c: int) -> np.ndarray:
        """What clique c sends to its parent, (B, states of the separator…), up to a constant."""
        return self._message(c, UP)

    def down(self, c: int) -> np.ndarray:
        """What its parent sends to clique c."""
        self.distribute()
        return self._message(c, DOWN)

    def _message(self, c: int, column: int) -> np.ndarray:
        tree = self.program.tree
        return self._read(c, column, SEPARATOR).reshape(self.batch, *tree.sizes[tree.separator(c)])

    def _read(self, c: int, column: int, length: int) -> np.ndarray:
        row = self.program.cliques[c]
        return self.logs(self.work[:, row[column] : row[column] + row[length]])

    def roots(self, column: int = UP) -> np.ndarray:
        """Messages of the roots, (B, trees)."""
        return self.work[:, self.program.cliques[self.program.tree.roots, column]]

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """(n, B, variables)."""
        cliques, tree = self.compiled[0], self.program.tree
        states = np.zeros((self.batch, n, len(tree.sizes)), np.int64)
        for b in range(self.batch):
            uniforms = rng.random((n, len(tree)))
            self.kernels.draw(self.work[b], cliques, tree.variables, tree.sizes, uniforms, states[b])
        return np.moveaxis(states, 1, 0)


class SumSweep(CliqueSweep):
    """Sum-product.

    Parameters
    ----------
    values : array (B or 1, inputs)
        Each factor's table with 1 at its largest entry.
    shifts : array (B or 1, trees)
        Σ log of what was divided out.
    lows : array of int (B or 1, instances)
        Exponents of 2 of the smallest entries.
    logs : callable () → array (B or 1, inputs)
        The tables themselves, for both passes again where numbers vanish.
    """

    kernels, logarithms = clique_sum, False

    def __init__(self, program, batch, values, shifts, lows, logs: Callable[[], np.ndarray]):
        super().__init__(program, batch)
        self.tables = logs
        cliques, factors, children, patterns, maps, *_ = self.compiled
        exponents = np.zeros((batch, len(program.tree.roots)), np.int64)
        self.bounds = np.empty((batch, 2 * len(program.tree)), np.int64)
        vanished = clique_sum.collect(
            values, lows, self.work, cliques, factors, children, patterns, maps, exponents, self.bounds
        )
        if vanished:
            self.collect_logs()
        else:
            self.totals = self.logs(self.roots()) + (exponents * LN2 + shifts)

    def collect_logs(self) -> None:
        """Leaves to roots in logarithms."""
        self.kernels, self.logarithms = clique_log, True
        clique_log.collect(self.tables(), self.work, *self.compiled[:5])
        self.totals = self.roots()

    def _distribute(self) -> None:
        cliques, _, _, patterns, maps, *_ = self.compiled
        if not self.logarithms and clique_sum.distribute(self.work, cliques, patterns, maps, self.bounds):
            self.collect_logs()
        if self.logarithms:
            clique_log.distribute(self.work, cliques, patterns, maps)


class MaxSweep(CliqueSweep):
    """Max-product on logarithms, (B or 1, inputs)."""

    kernels = clique_max

    def __init__(self, program, batch, logs):
        super().__init__(program, batch)
        clique_max.collect(logs, self.work, *self.compiled[:5])
        self.totals = self.roots()

    def _distribute(self) -> None:
        self.best()  # is traced through tables as they are collected
        cliques, _, _, patterns, maps, *_ = self.compiled
        clique_max.distribute(self.work, cliques, patterns, maps)

    def best(self) -> np.ndarray:
        """(B, variables): from the roots, the first best states of each residual given the separator."""
        if "assigned" not in self.__dict__:
            tree = self.program.tree
            self.assigned = np.zeros((self.batch, len(tree.sizes)), np.int64)
            clique_max.trace(self.work, self.compiled[0], tree.variables, tree.sizes, self.assigned)
        return self.assigned
