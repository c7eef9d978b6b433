"""E-steps: log-likelihood of the data, and what arrives at parameters, Σ_n w_n ∂log Z_n/∂θ.

Rows run one after another on the graph itself, or, where it is made of single variables, many at once.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import ImpossibleEvidenceError, UnsupportedError
from msgpass.graph import FactorGraph
from msgpass.learning.aligned import Aligned, alignable
from msgpass.learning.rows import Rows
from msgpass.messages import Messages
from msgpass.run import run

ENTRIES = 1 << 22
"""Table entries that one run of many rows may hold."""


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
    names : list of str
        Parameters whose messages are read.
    algebra, schedule
        As ``run`` takes them.
    """

    def __init__(self, graph: FactorGraph, rows: Rows, names, algebra=None, schedule=None):
        self.graph, self.rows, self.names = graph, rows, tuple(names)
        self.settings: dict[str, Any] = {"algebra": algebra, "schedule": schedule}
        self.aligned: Aligned | None = None
        approximate = schedule is not None and schedule.loops == "approximate"
        if len(rows) > 1 and algebra is None and not approximate and alignable(graph):
            largest = max(np.prod([s.node.states for s in f.args]) for f in graph.factors.values())
            self.aligned = Aligned(graph, int(min(len(rows), max(2, ENTRIES // largest))))

    def __call__(self, values: dict[str, np.ndarray]) -> Expected:
        """At these values of parameters."""
        if self.aligned is not None:
            try:
                return self._together(self.aligned, values)
            except UnsupportedError:  # this schedule takes no aligned batches
                self.aligned = None
        total, sums = 0.0, {n: np.zeros(self.graph.nodes[n].shape) for n in self.names}
        for r, weight in enumerate(self.rows.weights):
            try:
                m = run(self.graph, values={**values, **self.rows.values(r)}, **self.settings)
                value = float(m.total)
                if value == -np.inf:
                    raise _impossible(self.rows, r)
                for name, array in sums.items():
                    array += weight * m.lent(name)
            except ImpossibleEvidenceError as problem:
                raise _impossible(self.rows, r) from problem
            total += weight * value
        return Expected(total, sums)

    def _together(self, aligned: Aligned, values) -> Expected:
        total, sums = 0.0, {n: np.zeros(self.graph.nodes[n].shape) for n in self.names}
        for start in range(0, len(self.rows), aligned.size):
            chosen = np.arange(start, start + aligned.size)
            weights = np.where(chosen < len(self.rows), self.rows.weights[chosen % len(self.rows)], 0.0)
            columns = {n: c[chosen % len(self.rows)] for n, c in self.rows.columns.items()}
            m = run(aligned.graph, values=aligned.values(values, columns), **self.settings)
            each = _each(m, aligned.size)
            if (each == -np.inf).any():
                raise _impossible(self.rows, int(chosen[np.argmin(each)] % len(self.rows)))
            total += float(weights @ each)
            for name, array in sums.items():
                array += np.tensordot(weights, m.lent(name), 1)
        return Expected(total, sums)


def _each(m: Messages, size: int) -> np.ndarray:
    """log Z of every row, over all components."""
    return sum(m.totals(block.nodes[0]).reshape(-1, size).sum(axis=0) for block in m.graph.plan().blocks)


def _impossible(rows: Rows, r: int) -> ImpossibleEvidenceError:
    if not rows.columns:
        return ImpossibleEvidenceError("the graph's observations have probability zero")
    told = ", ".join(f"{n}={c[r].tolist()}" for n, c in rows.columns.items() if c[r].size < 4)
    return ImpossibleEvidenceError(
        f"row {int(rows.first[r])} of the data has probability zero ({told}): some table holds −∞ there, "
        "which learning does not change; give what may happen a probability above zero"
    )
