"""``networkx`` graphs whose edges are the factors: Markov random fields such as the Ising model, and Bayesian
networks with a table at each node.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import GraphError, ShapeError
from msgpass.interop.directed import Conditional, log, network_graph

SPINS = np.array([-1.0, 1.0])
"""What the two states of a spin stand for."""


def check_graph(drawn) -> None:
    """A networkx graph without parallel edges."""
    import networkx as nx

    if not isinstance(drawn, nx.Graph) or drawn.is_multigraph():
        raise GraphError(
            f"wanted a networkx Graph or DiGraph, got {type(drawn).__name__}; parallel edges are one table"
        )


def pairwise_graph(drawn, sequence: str | None = None):
    """A factor graph of a graph whose nodes are variables.

    Parameters
    ----------
    drawn : networkx.Graph or DiGraph
        A DiGraph whose nodes all have ``table`` is a Bayesian network: axes are the parents, in the order of
        the attribute ``parents`` or in which their edges were added, and then the node. Else nodes may have
        ``states`` (2), ``field`` (h, adding h·s for a spin s = ±1) or ``log_values``; edges ``coupling``
        (J, adding J·s·s′), ``log_values`` or ``table``, with an axis for either end (u, v) as
        ``drawn.edges`` names them.
    sequence : str, optional
        The nodes become rows of one sequence of this name, in the order of ``drawn.nodes``, and all edges one
        factor: quick with 10⁶ edges. All nodes then have the same number of states.

    Returns
    -------
    FactorGraph

    Examples
    --------
    >>> import networkx as nx
    >>> from msgpass import Flooding, JunctionTree, run
    >>> ring = nx.cycle_graph(10)
    >>> nx.set_edge_attributes(ring, 0.5, "coupling")
    >>> round(float(run(pairwise_graph(ring), schedule=JunctionTree()).total), 6)
    8.133061
    """
    check_graph(drawn)
    if drawn.is_directed() and len(drawn) and all("table" in data for _, data in drawn.nodes(data=True)):
        return _bayes(drawn)
    states = {n: data.get("state_names") or data.get("states", 2) for n, data in drawn.nodes(data=True)}
    sizes = {n: int(s) if np.ndim(s) == 0 else len(s) for n, s in states.items()}
    unary = {n: _unary(n, data, sizes[n]) for n, data in drawn.nodes(data=True)}
    binary = {(u, v): _binary(u, v, data, sizes[u], sizes[v]) for u, v, data in drawn.edges(data=True)}
    if sequence is not None:
        return _rows(drawn, sequence, states, sizes, unary, binary)
    from msgpass.graph import FactorGraph
    from msgpass.potentials import Table

    graph = FactorGraph()
    x = {n: graph.variable(str(n), states[n]) for n in drawn}
    for n, table in unary.items():
        if table is not None or drawn.degree(n) == 0:
            graph.factor(Table(np.zeros(sizes[n]) if table is None else table), x[n], name=f"field {n}")
    for (u, v), table in binary.items():
        graph.factor(Table(table), x[u], x[v], name=f"{u} – {v}")
    return graph


def _unary(n, data, size: int):
    if "field" in data:
        return float(data["field"]) * _spins(f"node {n!r}", size)
    return _table(f"node {n!r}", data, (size,))


def _binary(u, v, data, rows: int, columns: int):
    if "coupling" in data:
        what = f"edge {u!r} – {v!r}"
        return float(data["coupling"]) * np.outer(_spins(what, rows), _spins(what, columns))
    found = _table(f"edge {u!r} – {v!r}", data, (rows, columns))
    if found is None:
        raise GraphError(
            f"edge {u!r} – {v!r} needs coupling, log_values or table; it has {', '.join(data) or 'nothing'}"
        )
    return found


def _spins(what: str, size: int) -> np.ndarray:
    if size != 2:
        raise GraphError(
            f"{what}: a field or coupling is of spins, with 2 states, got {size}; give log_values"
        )
    return SPINS


def _table(what: str, data, shape):
    found = np.asarray(data["log_values"], float) if "log_values" in data else None
    if found is None and "table" in data:
        found = log(data["table"])
    if found is not None and found.shape != shape:
        raise ShapeError(f"{what}: its table has shape {found.shape}, wanted {shape}")
    return found


def _rows(drawn, name: str, states, sizes, unary, binary):
    from msgpass.graph import FactorGraph
    from msgpass.potentials import Table

    if len(set(sizes.values())) != 1:
        raise GraphError(f"one sequence has one number of states, got {sorted(set(sizes.values()))}")
    place = {n: k for k, n in enumerate(drawn)}
    graph = FactorGraph()
    x = graph.sequence(name, len(place), next(iter(states.values())))
    size = next(iter(sizes.values()))
    if any(t is not None for t in unary.values()) or len(binary) == 0:
        fields = np.stack([np.zeros(size) if t is None else t for t in unary.values()])
        graph.factor(Table(fields), x[:], name="fields")
    if binary:
        ends = np.array([(place[u], place[v]) for u, v in binary])
        tables = np.stack(list(binary.values()))
        table = tables[0] if (tables == tables[0]).all() else tables
        graph.factor(Table(table), x[ends[:, 0]], x[ends[:, 1]], name="edges")
    return graph


def _bayes(drawn):
    states, conditionals = {}, []
    for n, data in drawn.nodes(data=True):
        table = np.asarray(data["table"], float)
        parents = tuple(data.get("parents", drawn.predecessors(n)))
        if set(parents) != set(drawn.predecessors(n)) or table.ndim != len(parents) + 1:
            raise GraphError(
                f"node {n!r}: its table of {table.ndim} axes has one for each of its parents "
                f"{', '.join(map(str, drawn.predecessors(n)))} and one for itself"
            )
        states[str(n)] = data.get("state_names") or table.shape[-1]
        conditionals.append(Conditional(str(n), tuple(map(str, parents)), table))
    return network_graph(states, conditionals)
