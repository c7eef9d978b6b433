"""Graphs as bipartite ``networkx`` graphs, one node a variable, parameter or observation and one a factor
(over slices), and back; see :mod:`~msgpass.interop.networkx_pairwise` for graphs whose edges are the factors.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from msgpass.errors import GraphError
from msgpass.interop.directed import log
from msgpass.nodes import Node, Observation, Parameter, Sequence, Slice, Variable


def to_networkx(graph):
    """Bipartite graph of names, complete: :func:`from_networkx` makes the graph again.

    Parameters
    ----------
    graph : FactorGraph

    Returns
    -------
    networkx.DiGraph
        An edge runs from a factor's inputs to the factor and from the factor to what it computes; its
        attribute ``slices`` says which rows, and ``axis`` at which places of the factor's ``scope``. Nodes
        have

        ``kind``, ``bipartite``
            "variable", "sequence", "parameter", "observation" (0) or "factor" (1).
        ``states``, ``state_names``, ``shape``
            Number of states, their names or None, and the shape of one row.
        ``length``
            Of a sequence: its lengths, one for each ragged part.
        ``value``
            Of a parameter or observation.
        ``potential``, ``parts``, ``scope``, ``out``
            Of a factor: the kind; its arrays, names of its parameters and slices by role, such as
            ``log_values``; and what it relates and computes: pairs (name, rows), where rows are None (a
            single variable), a whole number, a ``slice``, an array, "all", or ("after" or "before", pair).
        ``item``
            The object of this graph, whose functions a Step or Loss has from.

        ``graph["conditions"]`` and ``graph["weights"]`` are labels and weights by variable.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=3, states=2)
    >>> _ = g.factor(Table([[0.0, -1.0], [-1.0, 0.0]]), z[:-1], z[1:], name="link")
    >>> drawn = to_networkx(g)
    >>> sorted(drawn.nodes), drawn.edges["z", "link"]["slices"]
    (['link', 'z'], ['z[:-1]', 'z[1:]'])
    >>> drawn.nodes["link"]["scope"]
    (('z', slice(None, -1, None)), ('z', slice(1, None, None)))
    """
    import networkx as nx

    drawn = nx.DiGraph(
        conditions={n: graph.labels.get(n, labels) for n, labels in graph.conditions.items()},
        weights=dict(graph.weights),
    )
    for node in graph.nodes.values():
        drawn.add_node(
            node.name,
            kind=type(node).__name__.lower(),
            bipartite=0,
            item=node,
            states=node.states,
            state_names=graph.state_names.get(node.name),
            shape=node.shape,
        )
        if isinstance(node, Sequence):
            drawn.nodes[node.name]["length"] = node.clock.lengths
        elif not isinstance(node, Variable):
            drawn.nodes[node.name]["value"] = node.value
    for factor in graph.factors.values():
        drawn.add_node(
            factor.name,
            kind="factor",
            bipartite=1,
            item=factor,
            potential=type(factor.potential).__name__,
            parts={role: _part(p) for role, p in factor.potential.parts.items()},
            scope=tuple(map(_rows, factor.args)),
            out=tuple(map(_rows, factor.out)),
        )
        for k, s in enumerate(factor.args):
            _link(drawn, s.node.name, factor.name, s.name, k)
        for s in (*(s.edge for s in factor.args if s.edge is not None), *factor.potential.reads):
            _link(drawn, s.node.name, factor.name, s.name)
        for p in factor.potential.parameters.values():
            _link(drawn, p.name, factor.name, p.name)
        for s in factor.out:
            _link(drawn, factor.name, s.node.name, s.name)
    return drawn


def _link(drawn, source: str, target: str, text: str, axis: int | None = None) -> None:
    if not drawn.has_edge(source, target):
        drawn.add_edge(source, target, slices=[], axis=[])
    drawn.edges[source, target]["slices"].append(text)
    if axis is not None:
        drawn.edges[source, target]["axis"].append(axis)


def _part(part):
    """An array, the name of a parameter, or a pair (name, rows)."""
    return part.name if isinstance(part, Parameter) else _rows(part) if isinstance(part, Slice) else part


def _rows(s: Slice) -> tuple[str, Any]:
    if s.kind == "single":
        return s.node.name, None
    if s.kind == "index":
        return s.node.name, s.start
    if s.kind == "range":
        return s.node.name, slice(s.start, s.stop)
    if s.kind == "pick":
        return s.node.name, s.start.rows
    return s.node.name, "all" if s.kind == "all" else (s.kind, _rows(s.edge))


def from_networkx(drawn):
    """A factor graph of a ``networkx`` graph.

    Parameters
    ----------
    drawn : networkx.Graph or DiGraph
        With ``bipartite`` or ``kind`` at its nodes, what :func:`to_networkx` describes; less is enough:
        ``states`` of a variable (2 if not given), and of a factor ``table`` (values ≥ 0) or ``log_values``,
        with its variables in the order of the attribute ``scope`` or of ``axis`` at its edges. Without
        ``bipartite``, edges are the factors; see
        :func:`msgpass.interop.networkx_pairwise.pairwise_graph`.

    Returns
    -------
    FactorGraph
        Nodes are called by their names as strings.

    Examples
    --------
    >>> import networkx as nx
    >>> drawn = nx.Graph()
    >>> drawn.add_nodes_from("ab", bipartite=0, states=2)
    >>> drawn.add_node("f", bipartite=1, table=[[1, 2], [3, 4]], scope=("a", "b"))
    >>> drawn.add_edges_from([("a", "f"), ("b", "f")])
    >>> from msgpass import run
    >>> round(float(np.exp(run(from_networkx(drawn)).total)), 9)
    10.0
    """
    from msgpass.graph import FactorGraph
    from msgpass.interop.networkx_pairwise import check_graph, pairwise_graph

    check_graph(drawn)
    kinds = {
        n: data.get("kind", ("variable", "factor")[bool(data.get("bipartite"))]) for n, data in _data(drawn)
    }
    if not any("kind" in data or "bipartite" in data for _, data in _data(drawn)):
        return pairwise_graph(drawn)
    graph = FactorGraph()
    for n, data in _data(drawn):
        if kinds[n] != "factor":
            _add_node(graph, str(n), kinds[n], data)
    for n, data in _data(drawn):
        if kinds[n] == "factor":
            _add_factor(graph, drawn, n, data)
    for name, labels in drawn.graph.get("conditions", {}).items():
        graph.condition(graph[name], graph[labels] if isinstance(labels, str) else labels)
    for name, weight in drawn.graph.get("weights", {}).items():
        graph.weigh(
            graph[name], graph[weight.observation] if weight.observation else weight.value, weight.task
        )
    return graph


def _data(drawn):
    return drawn.nodes(data=True)


def _add_node(graph, name: str, kind: str, data: dict) -> None:
    states = data.get("state_names") or data.get("states")
    if kind == "parameter":
        graph.parameter(name, _wanted(name, data, "value"))
    elif kind == "observation":
        graph.observe(name, _wanted(name, data, "value"), states)
    else:
        shape = data.get("shape", ())
        states = 2 if states is None and "shape" not in data else states
        if kind == "sequence":
            length = _wanted(name, data, "length")
            graph.sequence(name, list(length) if np.iterable(length) else length, states, shape)
        elif kind == "variable":
            graph.variable(name, states, shape)
        else:
            raise GraphError(
                f"node {name!r}: kind is variable, sequence, parameter, observation or factor, got {kind!r}"
            )


def _wanted(name: str, data: dict, what: str):
    if what not in data:
        raise GraphError(f"node {name!r} needs the attribute {what}; it has {', '.join(data) or 'none'}")
    return data[what]


def _add_factor(graph, drawn, n, data: dict) -> None:
    name = str(n)
    scope = data["scope"] if "scope" in data else _scope_of_edges(drawn, n)
    args = [_slice(graph, name, pair) for pair in scope]
    out = tuple(_slice(graph, name, pair) for pair in data.get("out", ())) or None
    graph.factor(_potential(graph, name, data), *args, out=out, name=name)


def _scope_of_edges(drawn, n) -> list:
    """Neighbours by ``axis``; one alone needs none."""
    sides = drawn.in_edges(n, data=True) if drawn.is_directed() else drawn.edges(n, data=True)
    found = []
    for a, b, data in sides:
        axis = data.get("axis")
        other = b if a == n else a
        found += [(k, other) for k in (axis if np.iterable(axis) else [axis])]
    if len(found) == 1:
        return [found[0][1]]
    if sorted(k for k, _ in found if isinstance(k, int | np.integer)) != list(range(len(found))):
        raise GraphError(
            f"factor {str(n)!r}: which axis of its table is whose? Give the node scope=(…), its variables in "
            "order, or every edge axis=0, 1, …"
        )
    return [node for _, node in sorted(found, key=lambda pair: pair[0])]


def _slice(graph, factor: str, pair):
    """A slice of (name, rows), or of a name alone, which may be a pair itself."""
    named = isinstance(pair, tuple) and len(pair) == 2 and str(pair) not in graph.nodes
    name, rows = pair if named else (pair, None)
    if str(name) not in graph.nodes:
        raise GraphError(f"factor {factor!r} relates {name!r}, which is no variable of the graph")
    node: Any = graph.nodes[str(name)]
    if rows is None:
        return node
    if isinstance(rows, str) and rows == "all":
        return node.all
    if isinstance(rows, tuple):
        kind, edge = rows
        return getattr(node, kind)(_slice(graph, factor, edge))
    return node[rows]


def _potential(graph, name: str, data: dict):
    from msgpass.potentials import Table

    made = data.get("item")
    if made is not None and "parts" in data:
        fresh = copy(made.potential)
        fresh.parts = {role: _bound(graph, name, part) for role, part in data["parts"].items()}
        return fresh
    if "parts" in data and data.get("potential", "Table") == "Table":
        return Table(_bound(graph, name, data["parts"]["log_values"]))
    if "log_values" in data:
        return Table(_bound(graph, name, data["log_values"]))
    return Table(log(_wanted(name, data, "table")))


def _bound(graph, name: str, part):
    if isinstance(part, str):
        if not isinstance(graph.nodes.get(part), Parameter):
            raise GraphError(f"factor {name!r} needs the parameter {part!r}, which the graph does not have")
        return graph.nodes[part]
    if isinstance(part, tuple) and part and isinstance(graph.nodes.get(part[0]), Node | Observation):
        return _slice(graph, name, part)
    return part
