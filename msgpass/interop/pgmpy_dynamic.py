"""pgmpy's ``DynamicBayesianNetwork`` as sequences with tables over slices, and back.

P(x₀ | parents in slice 0)          factor over x[0]
P(x₁ | parents in slices 0 and 1)   factor over [:-1] and [1:], repeated
the same in both                    one factor over [:]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import DataError, GraphError, UnsupportedError
from msgpass.interop.directed import Conditional, add_table, state_names
from msgpass.interop.pgmpy import conditional_of, names_of, pgmpy_module, tabular
from msgpass.nodes import Observation, Parameter, Sequence


def from_dynamic(model, length: int, parameters: bool):
    """See :func:`msgpass.interop.pgmpy.from_pgmpy`."""
    from msgpass.graph import FactorGraph

    if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
        raise DataError(f"length must be a whole number of slices ≥ 1, got {length!r}")
    cpds = {(cpd.variables[0][0], cpd.variables[0][1]): cpd for cpd in model.cpds}
    names = names_of(dict.fromkeys(node[0] for node in model.nodes()))
    graph = FactorGraph()
    for node, name in names.items():
        cpd = cpds.get((node, 0)) or cpds.get((node, 1))
        if cpd is None:
            raise GraphError(f"no CPD of {node}; give it one with model.add_cpds(…)")
        graph.sequence(name, length, state_names(_states(cpd)))
    for node, name in names.items():
        for one, slices, rows in _tables(model, cpds, node, names):
            if rows == "[1:]" and length == 1:
                continue
            scope = [_slice(graph[v], t, rows) for v, t in zip((*one.parents, name), slices, strict=True)]
            start = "" if rows == "[:]" else ", start" if rows == "[0]" else ", step"
            given = f" | {', '.join(s.name for s in scope[:-1])}" if one.parents else ""
            add_table(graph, one, scope, f"P({scope[-1].name}{given})", parameters, name + start)
    return graph


def _states(cpd):
    """Names of the states of a CPD's own variable; pgmpy keys them by tuples and by nodes."""
    return next(states for node, states in cpd.state_names.items() if tuple(node) == tuple(cpd.variables[0]))


def _tables(model, cpds: dict, node, names: dict):
    """(conditional, slice of each of its variables, rows) of one node."""
    first: Any = cpds.get((node, 0))
    later: Any = cpds.get((node, 1))
    across: list = [p for p in model.get_parents((node, 1)) if p[1] == 0]
    if later is None and across:
        raise GraphError(
            f"no CPD of {(node, 1)}, which has parents in slice 0; give it one with model.add_cpds(…)"
        )
    if first is None and any(v[1] == 0 for v in later.variables[1:]):
        raise GraphError(f"no CPD of {(node, 0)}: the first slice needs one of its own")
    if first is None or later is None or _alike(first, later):
        one = first if first is not None else later
        yield conditional_of(one, _by_node(one, names)), [0] * len(one.variables), "[:]"
        return
    for cpd, rows in ((first, "[0]"), (later, "[1:]")):
        slices = [v[1] for v in (*cpd.variables[1:], cpd.variables[0])]
        yield conditional_of(cpd, _by_node(cpd, names)), slices, rows


def _by_node(cpd, names: dict) -> dict:
    return {v: names[v[0]] for v in cpd.variables}


def _alike(first, later) -> bool:
    """The same table within either slice."""
    return (
        [v[0] for v in first.variables] == [v[0] for v in later.variables]
        and all(v[1] == 1 for v in later.variables)
        and np.array_equal(first.values, later.values)
    )


def _slice(node: Sequence, t: int, rows: str):
    if rows == "[0]":
        return node[0]
    return node[:] if rows == "[:]" else node[:-1] if t == 0 else node[1:]


def to_dynamic(graph, values: dict | None = None):
    """See :func:`msgpass.interop.pgmpy.to_pgmpy`."""
    from msgpass.interop.tables import table_of
    from msgpass.run import resolve_values

    what = "a DynamicBayesianNetwork"
    arrays, _ = resolve_values(graph.plan(), values)
    nodes = [node for node in graph.nodes.values() if not isinstance(node, Parameter)]
    steps = _steps(nodes, what)
    found: dict = {}
    for factor in graph.factors.values():
        table, stepped = table_of(factor, arrays, what)
        if stepped and factor.n > 1:
            raise UnsupportedError(
                f"{what} has one table for all slices, and that of {factor.name!r} differs from step to step"
            )
        for t, slices in _places(factor, steps, what):
            key = (factor.args[-1].node.name, t)
            if key in found:
                raise UnsupportedError(
                    f"{what}: two tables have {key} as their last variable; it has one a variable"
                )
            parents = tuple((s.node.name, k) for s, k in zip(factor.args[:-1], slices[:-1], strict=True))
            found[key] = Conditional(key, parents, np.exp(table[0] if stepped else table))
    return _network(graph, nodes, found, steps, what)


def _network(graph, nodes, found: dict, steps: int, what: str):
    model = pgmpy_module("models").DynamicBayesianNetwork()
    slices = (0, 1) if steps > 1 else (0,)
    missing = next(((n.name, t) for n in nodes for t in slices if (n.name, t) not in found), None)
    if missing:
        raise UnsupportedError(f"{what}: no table has {missing} as its last variable; it has one a variable")
    model.add_nodes_from(n.name for n in nodes)
    edges = [(p, key) for key, one in found.items() for p in one.parents]
    model.add_edges_from(e for e in edges if e[1][1] == 0 or e[0][1] == 0)
    names = {n.name: list(graph.state_names.get(n.name, range(n.states))) for n in nodes}
    model.add_cpds(
        *(
            tabular(one, {v: names[v[0]] for v in (one.variable, *one.parents)})
            for key, one in found.items()
            if key[1] == 0 or one.parents or not _repeats(found, key)
        )
    )
    return model


def _repeats(found: dict, key) -> bool:
    """A root of slice 1 with the table of slice 0, which pgmpy repeats by itself."""
    first = found[key[0], 0]
    return not first.parents and np.array_equal(first.values, found[key].values)


def _steps(nodes, what: str) -> int:
    lengths = set()
    for node in nodes:
        data = isinstance(node, Observation) and len(node.shape) == 1
        if not node.discrete or not (data or (isinstance(node, Sequence) and not node.shape)):
            raise UnsupportedError(f"{what} holds discrete sequences alone; the graph has {node.describe()}")
        lengths.add(node.clock.lengths if isinstance(node, Sequence) else (node.shape[0],))
    if len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise UnsupportedError(f"{what} needs sequences of one length, got {sorted(lengths)}")
    return next(iter(lengths))[0]


def _places(factor, steps: int, what: str):
    """(slice of the last variable, slices of all) that a factor gives tables to."""
    kinds = {s.kind for s in factor.args}
    if kinds == {"index"} and all(s.index_row(steps) == 0 for s in factor.args):
        return [(0, [0] * len(factor.args))]
    if kinds == {"range"}:
        rows = [s.span((steps,))[0] for s in factor.args]
        if factor.n == steps:
            later = [(1, [1] * len(rows))] if steps > 1 else []
            return [(0, rows), *later]
        if factor.n == steps - 1 and rows[-1] == 1 and set(rows) <= {0, 1}:
            return [(1, rows)]
    raise UnsupportedError(
        f"{what} has tables of the first slice, [0], and of two slices that follow each other, [:-1] and "
        f"[1:], the later one's variable last; factor {factor.name!r} is over "
        f"{', '.join(s.name for s in factor.args)}"
    )
