"""E-steps: log-likelihood of the data, and what arrives at parameters, Σ_n w_n ∂log Z_n/∂θ.

Rows run many at once where the graph allows it: as an aligned batch of single variables, or as sequences end
to end; else one after another on the graph itself.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from msgpass.elimination import clique_tree
from msgpass.errors import ConvergenceWarning, ImpossibleEvidenceError, UnsupportedError
from msgpass.graph import FactorGraph
from msgpass.learning.aligned import Aligned, alignable
from msgpass.learning.end_to_end import EndToEnd, layable
from msgpass.learning.rows import Rows
from msgpass.messages import Messages
from msgpass.run import run
from msgpass.sweeps.flattened import flatten

ENTRIES = 1 << 22
"""Table entries, or an eighth as many steps, that one run of many rows may hold."""


class Expected(NamedTuple):
    """Σ w total, and Σ w ∂total/∂parameter by name."""

    total: float
    parameters: dict[str, np.ndarray]


class Expectation:
    """Runs of a graph over data.

    Parameters
    ----------
    graph : FactorGraph
    rows : Rows
    names : iterable of str
        Parameters whose messages are read, where the graph has them.
    algebra, schedule
        As ``run`` takes them.
    """

    def __init__(self, graph: FactorGraph, rows: Rows, names, algebra=None, schedule=None):
        self.graph, self.rows = graph, rows
        self.names = tuple(n for n in names if n in graph.nodes)
        self.settings: dict[str, Any] = {"algebra": algebra, "schedule": schedule}
        self.approximate = schedule is not None and getattr(schedule, "loops", None) == "approximate"
        many = len(rows) > 1 and algebra is None
        self.together = many and alignable(graph)
        self.laid = many and not self.approximate and layable(graph)
        self.kept: dict[int, Any] = {}  # copies of the graph by how many rows they hold

    def __call__(self, values: dict[str, np.ndarray]) -> Expected:
        """At these values of parameters."""
        values = {n: v for n, v in values.items() if n in self.graph.nodes}
        total, sums = 0.0, {n: np.zeros(self.graph.nodes[n].shape) for n in self.names}
        for m, each, weights in self._runs(values):
            total += float(weights @ each)
            for name, array in sums.items():
                arrived = m.lent(name)
                by_row = arrived.ndim > array.ndim
                array += np.tensordot(weights, arrived, 1) if by_row else weights[0] * arrived
        return Expected(total, sums)

    @cached_property
    def entries(self) -> int:
        """Table entries of one row, of the cliques where there are any."""
        if getattr(self.settings["schedule"], "loops", None) == "exact":
            flats = [flatten(block) for block in self.graph.plan().blocks]
            return sum(int(clique_tree(flat.scopes, flat.states).total_size) for flat in flats)
        return sum(math.prod(s.node.states for s in f.args) for f in self.graph.factors.values())

    def _runs(self, values) -> Iterator[tuple[Messages, np.ndarray, np.ndarray]]:
        """(a run, the totals in it, their weights)."""
        if self.together:
            try:
                yield from self._aligned(values)
                return
            except UnsupportedError:  # this schedule takes no aligned batches
                self.together = False
        yield from self._end_to_end(values) if self.laid else self._one_by_one(values, range(len(self.rows)))

    def _one_by_one(self, values, chosen):
        for r in chosen:
            weight = self.rows.weights[r]
            try:
                m = run(self.graph, values={**values, **self.rows.values(r)}, **self.settings)
                total = float(m.total)
            except ImpossibleEvidenceError as problem:
                raise _impossible(self.rows, r) from problem
            if total == -np.inf:
                raise _impossible(self.rows, r)
            yield m, np.array([total]), np.array([weight])

    def _aligned(self, values):
        size = min(len(self.rows), max(2, ENTRIES // self.entries))
        aligned = self._copy(Aligned, size)
        for start in range(0, len(self.rows), size):
            chosen = np.arange(start, start + size)
            known = chosen < len(self.rows)
            chosen = np.where(known, chosen, 0)
            columns = {n: c[chosen] for n, c in self.rows.columns.items()}
            with warnings.catch_warnings():
                if self.approximate:
                    warnings.simplefilter("ignore", ConvergenceWarning)
                m = run(aligned.graph, values=aligned.values(values, columns), **self.settings)
            if self.approximate and not m.convergence:  # a row that does not settle keeps others from it
                yield from self._one_by_one(values, chosen[known])
                continue
            blocks = m.graph.plan().blocks
            each = np.sum([m.totals(b.nodes[0]).reshape(-1, size).sum(axis=0) for b in blocks], axis=0)
            self._check(each, chosen)
            yield m, each, np.where(known, self.rows.weights[chosen], 0.0)

    def _end_to_end(self, values):
        length = next(iter(self.rows.columns.values())).shape[1]
        longest = max(1, ENTRIES // (8 * length))
        for weight in np.unique(self.rows.weights):
            (alike,) = np.nonzero(self.rows.weights == weight)
            for start in range(0, len(alike), longest):
                chosen = alike[start : start + longest]
                laid = self._copy(EndToEnd, len(chosen))
                columns = {n: c[chosen] for n, c in self.rows.columns.items()}
                m = run(laid.graph, values=laid.values(values, columns), **self.settings)
                total = float(m.total)
                if total == -np.inf:
                    self._look(m, chosen)
                yield m, np.array([total]), np.array([weight])

    def _look(self, m: Messages, chosen: np.ndarray) -> None:
        """Raise for the row that is impossible, by name where the parts of a component are rows."""
        for block in m.graph.plan().blocks:
            each = m.totals(block.nodes[0])
            if len(each) == len(chosen):
                self._check(each, chosen)
        raise ImpossibleEvidenceError(
            f"one of {len(chosen)} rows of the data has probability zero: some table holds −∞ there"
        )

    def _copy(self, kind, size: int):
        if size not in self.kept:
            self.kept[size] = kind(self.graph, size)
        return self.kept[size]

    def _check(self, each: np.ndarray, chosen: np.ndarray) -> None:
        if (each == -np.inf).any():
            raise _impossible(self.rows, int(chosen[int(np.argmin(each)) % len(chosen)]))


class Sum:
    """Several of these, each with its sign: graphs that share parameters, and what is taken off."""

    def __init__(self, terms: list[tuple[float, Expectation]]):
        self.terms = terms

    def __call__(self, values: dict[str, np.ndarray]) -> Expected:
        """At these values of parameters."""
        total, sums = 0.0, dict[str, np.ndarray]()
        for sign, term in self.terms:
            expected = term(values)
            total += sign * expected.total
            for name, arrived in expected.parameters.items():
                sums[name] = sums[name] + sign * arrived if name in sums else sign * arrived
        return Expected(total, sums)


def _impossible(rows: Rows, r: int) -> ImpossibleEvidenceError:
    if not rows.columns:
        return ImpossibleEvidenceError("the graph's observations have probability zero")
    told = ", ".join(f"{n}={c[r].tolist()}" for n, c in rows.columns.items() if c[r].size < 4)
    return ImpossibleEvidenceError(
        f"row {int(rows.first[r])} of the data has probability zero ({told}): some table holds −∞ there, "
        "which learning does not change; give what may happen a probability above zero"
    )
