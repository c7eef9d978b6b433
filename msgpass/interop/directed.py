"""Directed networks of tables: one conditional distribution a variable, its axes (parents…, variable).

What BIF files and pgmpy's Bayesian networks hold, and how either becomes a graph: a parameter "table of x"
for every variable x, so that learning can change it, behind a factor "P(x | parents)".
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.interop.tables import WrittenOut, written_out

TOLERANCE = 0.01
"""How far rows may be from summing to one, as pgmpy has it: files round to three digits, too."""


class Conditional(NamedTuple):
    """P(variable | parents): values (parents…, variable)."""

    variable: Any  # a name; of a slice, (name, 0 or 1)
    parents: tuple[Any, ...]
    values: np.ndarray


def network_graph(states: dict, conditionals, parameters: bool = True):
    """A graph of variables and their conditional distributions.

    Parameters
    ----------
    states : dict
        Name → number of states, or their names.
    conditionals : list of Conditional
    parameters : bool
        Tables are parameters "table of x".
    """
    from msgpass.graph import FactorGraph

    graph = FactorGraph()
    for name, own in states.items():
        graph.variable(name, own)
    for one in conditionals:
        scope = [graph[name] for name in (*one.parents, one.variable)]
        add_table(graph, one, scope, f"P({one.variable}{_given(one.parents)})", parameters)
    return graph


def add_table(graph, one: Conditional, scope, name: str, parameters: bool = True, of: str | None = None):
    """One conditional distribution as a factor over variables or slices."""
    from msgpass.potentials import Table

    logs = log(one.values)
    source = graph.parameter(f"table of {of or one.variable}", logs) if parameters else logs
    return graph.factor(Table(source), *scope, name=name)


def _given(parents) -> str:
    return f" | {', '.join(parents)}" if parents else ""


def log(values) -> np.ndarray:
    """Logarithm, −∞ of 0."""
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(values, np.float64))


def state_names(states) -> int | tuple:
    """Names of states, or their number where they are called 0, 1, …"""
    names = tuple(states)
    return len(names) if names == tuple(range(len(names))) else names


def conditionals_of(graph, values: dict | None, what: str) -> tuple[WrittenOut, list[Conditional]]:
    """What is written out of a graph, and one conditional distribution a variable."""
    found = as_directed(written_out(graph, values, what), what)
    return found, [Conditional(f.scope[-1], f.scope[:-1], np.exp(f.log_values)) for f in found.factors]


def as_directed(found: WrittenOut, what: str) -> WrittenOut:
    """The tables in the order of the variables, each the last of its own, without directed cycles."""
    import networkx as nx

    by_child: dict = {}
    for f in found.factors:
        child = f.scope[-1]
        sums = np.exp(f.log_values).sum(axis=-1).ravel()
        if np.abs(sums - 1).max() > TOLERANCE:
            raise UnsupportedError(
                f"{what}: the table {f.name!r} of {', '.join(f.scope)} is no distribution of {child!r}: a "
                f"row sums to {sums[np.argmax(np.abs(sums - 1))]:.6g}; write an undirected graph instead"
            )
        if child in by_child:
            raise UnsupportedError(
                f"{what}: {child!r} is the last variable of two tables, {by_child[child].name!r} and "
                f"{f.name!r}; a directed network has one a variable; write an undirected graph instead"
            )
        by_child[child] = f
    missing = next((v for v in found.states if v not in by_child), None)
    if missing is not None:
        raise UnsupportedError(
            f"{what}: no table has {missing!r} as its last variable; a directed network has one a variable"
        )
    arrows = nx.DiGraph((p, f.scope[-1]) for f in found.factors for p in f.scope[:-1])
    if not nx.is_directed_acyclic_graph(arrows):
        cycle = [a for a, _ in nx.find_cycle(arrows)]
        raise UnsupportedError(f"{what}: {' → '.join([*cycle, cycle[0]])} is a directed cycle")
    return WrittenOut(
        found.states, found.state_names, tuple(by_child[v] for v in found.states), found.evidence
    )
