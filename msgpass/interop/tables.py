"""A graph of tables written out: variables by the names of the unrolled graph, one table an instance.

What writers of other formats start from. Observations are variables with evidence here, so that nothing is
summed out or sliced away on the way. (A run sums a missing observation out of each factor on its own; one
that several factors read is one variable here.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence, Slice


class TableFactor(NamedTuple):
    """One table: its name, its variables, and its log values with one axis a variable."""

    name: str
    scope: tuple[str, ...]
    log_values: np.ndarray


@dataclass(frozen=True, eq=False)
class WrittenOut:
    """Variables, tables and evidence.

    Attributes
    ----------
    states : dict of str to int
        States of every variable, rows of sequences one after another, in the order of the graph.
    state_names : dict of str to tuple
        Of the variables that have some.
    factors : tuple of TableFactor
    evidence : dict of str to int
        What is observed or clamped.
    """

    states: dict[str, int]
    state_names: dict[str, tuple]
    factors: tuple[TableFactor, ...]
    evidence: dict[str, int]

    @property
    def numbers(self) -> dict[str, int]:
        """Place of every variable in the order of ``states``."""
        return {name: k for k, name in enumerate(self.states)}


def written_out(graph, values: dict | None = None, what: str = "this format") -> WrittenOut:
    """Write out a graph of tables.

    Parameters
    ----------
    graph : FactorGraph
    values : dict, optional
        Parameters, data and evidence, as in ``run(graph, values=…)``.
    what : str
        What it is for, in errors.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=3, states=2)
    >>> _ = g.factor(Table([[0.0, -1.0], [-1.0, 0.0]]), z[:-1], z[1:], name="link")
    >>> [(f.name, f.scope) for f in written_out(g).factors]
    [('link[0]', ('z[0]', 'z[1]')), ('link[1]', ('z[1]', 'z[2]'))]
    """
    from msgpass.run import resolve_values

    arrays, clamp = resolve_values(graph.plan(), values)
    states: dict[str, int] = {}
    names: dict[str, tuple] = {}
    evidence: dict[str, int] = {}
    for node in graph.nodes.values():
        if isinstance(node, Parameter):
            continue
        rows = labels(node)
        if not node.discrete or (node.shape and not isinstance(node, Observation)) or node.shape[1:]:
            raise UnsupportedError(
                f"{what} holds discrete variables alone, one a name; the graph has {node.describe()}"
            )
        states |= dict.fromkeys(rows, int(node.states))
        if node.name in graph.state_names:
            names |= dict.fromkeys(rows, graph.state_names[node.name])
        given = arrays[node.name] if isinstance(node, Observation) else clamp.get(node.name)
        if given is not None:
            evidence |= {r: int(k) for r, k in zip(rows, np.ravel(given), strict=True) if k >= 0}
    factors = [made for factor in graph.factors.values() for made in _instances(factor, arrays, what)]
    return WrittenOut(states, names, tuple(factors), evidence)


def labels(node) -> list[str]:
    """Names of a node's rows in the unrolled graph."""
    if isinstance(node, Sequence):
        return [f"{node.name}[{t}]" for t in range(node.clock.total)]
    if isinstance(node, Observation) and node.shape:
        return [f"{node.name}[{t}]" for t in range(node.shape[0])]
    return [node.name]


def table_of(factor, arrays, what: str) -> tuple[np.ndarray, bool]:
    """Log values of a factor, and whether their first axis is the instance."""
    from msgpass.plan import resolve
    from msgpass.potentials import TABLES, Structured
    from msgpass.sweeps.expanded import table_instances

    if not isinstance(factor.potential, TABLES):
        raise UnsupportedError(
            f"{what} holds tables alone, and factor {factor.name!r} is a {type(factor.potential).__name__}"
        )
    if not isinstance(factor.potential, Structured) and isinstance(factor.potential.source, Slice):
        raise UnsupportedError(
            f"{what} holds numbers, and the table of {factor.name!r} is computed by a step; run the "
            "graph and build one whose table is the computed array"
        )
    found = table_instances(resolve(factor), arrays)
    array, stepped = found.array, found.stepped
    return np.asarray(array, np.float64), stepped


def _instances(factor, arrays, what: str):
    from msgpass.plan import resolve
    from msgpass.sweeps.rows import instance_numbers

    array, stepped = table_of(factor, arrays, what)
    family = resolve(factor)
    columns = []
    for arg in family.args:
        name = arg.slice.node.name
        if arg.rows is None:
            columns.append([name] * factor.n)
        else:
            rows = np.broadcast_to(instance_numbers(family, arg), (factor.n,))
            columns.append([f"{name}[{r}]" for r in rows.tolist()])
    single = factor.n == 1 and family.counts is None
    for j, scope in enumerate(zip(*columns, strict=True)):
        yield TableFactor(
            factor.name if single else f"{factor.name}[{j}]", scope, array[j] if stepped else array
        )
