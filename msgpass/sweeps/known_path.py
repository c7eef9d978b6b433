"""A chain whose states are all given: its log Z is the score of one path, its counts are those of that path.

This is the clamped half of a conditional random field with complete labels. Nothing is summed over, so that
no second sweep is needed; where a label is missing the chain is swept with the others clamped.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import ImpossibleEvidenceError
from msgpass.sweeps.table_chain import ChainRun


class KnownPath(ChainRun):
    """Counts of one path through the tables of a run.

    Parameters
    ----------
    run : ChainRun
        The same chain with its states free.
    labels : array of int, (T, *batch)
        A state for every row.
    values : dict
        Arrays of the run.
    """

    def __init__(self, run: ChainRun, labels: np.ndarray, values):
        self.kernels, self.block, self.layout, self.tables = run.kernels, run.block, run.layout, run.tables
        self.maximise, self.forward_only = True, run.forward_only
        self.labels, self.values = labels, values
        self.path: Any = run.layout.into(labels)
        self.problem = self.removed = None

    @cached_property
    def per_sequence(self) -> np.ndarray:
        """Score of every sequence's path."""
        t, path, offsets = self.tables, self.path, self.layout.offsets
        rows = np.arange(len(path)) if t.rows is None else t.rows
        steps = np.asarray(t.log_evidence)[rows, path].astype(np.float64)
        firsts = offsets[:-1]
        steps[firsts] += t.log_init[path[firsts]]
        inside = np.ones(len(path), bool)
        inside[firsts] = False
        later = np.flatnonzero(inside)
        here, before = path[later], path[later - 1]
        table = t.log_transition
        steps[later] += table[before, here] if table.ndim == 2 else table[np.arange(len(later)), before, here]
        return np.add.reduceat(steps, firsts)

    @cached_property
    def clamped(self) -> ChainRun:
        """The chain with the labels as evidence, for messages and beliefs of factors."""
        from msgpass.sweeps.table_chain import ChainTables

        clamp = {self.block.node.name: self.labels}
        tables = ChainTables(self.block, self.layout, self.values, clamp)
        return ChainRun(
            self.block, self.layout, self.values, False, clamp, self.forward_only, tables, self.kernels
        )

    @property
    def log_alpha_beta(self) -> tuple[np.ndarray, np.ndarray]:
        """Messages under the labels."""
        return self.clamped.log_alpha_beta

    def log_belief(self) -> np.ndarray:
        """0 at the labels, −∞ elsewhere."""
        self.impossible()
        with np.errstate(divide="ignore"):
            return self.stacked(np.log(self.gamma))

    def pair_belief(self) -> np.ndarray:
        """0 at the pairs of labels, −∞ elsewhere."""
        return self.clamped.pair_belief()

    def impossible(self) -> None:
        """Raise where the labels have probability zero, naming the first such step."""
        if self.total != -np.inf:
            return
        try:
            self.clamped.impossible()
        except ImpossibleEvidenceError as problem:
            raise ImpossibleEvidenceError(f"the labels: {problem}", problem.step) from None
