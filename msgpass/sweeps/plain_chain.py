"""The tables of a plain chain: one on the first state, one transition, one evidence, each a parameter.

Most chains are plain and are run many times, under other values. How their tables lie depends on shapes
alone, so what :class:`~msgpass.sweeps.table_chain.ChainTables` found out in one run is kept with the plan as
a :class:`Recipe`, and later runs take their arrays by name and hand counts back by name. Bits are the same.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from msgpass.kernels.table_chain import ChainCounts, ChainProblem
from msgpass.nodes import Parameter
from msgpass.plan import TableChain
from msgpass.sweeps.table_chain import ChainLayout, ChainTables, Symbols, scaled
from msgpass.sweeps.table_instances import TableInstances


class Recipe(NamedTuple):
    """Parameters behind the tables, which axes are the other way round, and the symbols that index the
    evidence."""

    init: str
    transition: str
    evidence: str
    flipped: bool
    by_column: bool
    symbols: Symbols | None

    @classmethod
    def of(cls, tables: ChainTables) -> Recipe | None:
        """None for a chain that is not plain."""
        if len(tables.initial) != 1 or len(tables.unaries) != 2 or len(tables.pairs) != 1:
            return None
        (initial,), (pair, flipped) = tables.initial, tables.pairs[0]
        evidence = next(m for m in tables.unaries if m is not initial)
        sources = [m.family.potential.source for m in (initial, pair, evidence)]
        names = [s.name for s in sources if isinstance(s, Parameter)]
        if len(set(names)) < 3 or any(type(m) is not TableInstances for m in (initial, pair, evidence)):
            return None
        if tables.layout.order is not None or tables.dtype != np.float64:
            return None
        if tables.log_transition.ndim != 2 or pair.observed or pair.stepped:
            return None
        if tables.symbols is None:
            if tables.is_constant(evidence) or evidence.observed or tables.log_evidence is not evidence.array:
                return None
        elif tables.symbols.missing or tables.indexed is not evidence:
            return None
        init, transition, density = names
        return cls(init, transition, density, flipped, evidence.observed == [1], tables.symbols)

    def fits(self, values) -> bool:
        """Whether this run's arrays are of the dtype that the recipe was made for."""
        return all(values[name].dtype == np.float64 for name in self[:3])


class PlainTables:
    """As :class:`~msgpass.sweeps.table_chain.ChainTables`, which stands behind whatever is not here."""

    def __init__(self, recipe: Recipe, block: TableChain, layout: ChainLayout, values):
        self.recipe, self.block, self.layout, self.values = recipe, block, layout, values
        self.log_init = values[recipe.init]
        transition, evidence = values[recipe.transition], values[recipe.evidence]
        self.log_transition = transition.T if recipe.flipped else transition
        self.log_evidence = evidence.T if recipe.by_column else evidence
        self.rows = None if recipe.symbols is None else recipe.symbols.rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._all, name)

    @cached_property
    def _all(self) -> ChainTables:
        return ChainTables(self.block, self.layout, self.values, None, self.recipe.symbols)

    @property
    def counts_suffice(self) -> bool:
        """Whether parameters need no more of γ than its sums."""
        return self.rows is not None

    @cached_property
    def problem(self) -> tuple[ChainProblem, np.ndarray]:
        """As that of all tables."""
        return scaled(self.log_init, self.log_transition, self.log_evidence, self.rows, self.layout)

    def deliver(self, counts: ChainCounts, store, sign: float) -> None:
        """As :func:`~msgpass.sweeps.table_chain.deliver_counts`."""
        recipe = self.recipe
        seen: Any = counts.gamma if recipe.symbols is None else counts.row_counts
        for name, arrived in (
            (recipe.init, counts.initial),
            (recipe.evidence, seen.T if recipe.by_column else seen),
            (recipe.transition, counts.xi.T if recipe.flipped else counts.xi),
        ):
            arrived = arrived if sign == 1 else sign * arrived
            if not store.lend(name, arrived):
                store[name] += arrived
