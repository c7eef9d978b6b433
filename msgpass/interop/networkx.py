"""A graph as a bipartite ``networkx.Graph``: one node a variable, parameter or observation, one a factor
(over slices).
"""

from __future__ import annotations


def to_networkx(graph):
    """Bipartite graph of names.

    Parameters
    ----------
    graph : FactorGraph

    Returns
    -------
    networkx.DiGraph
        Node attributes ``kind`` ("variable", "sequence", "parameter", "observation" or "factor"),
        ``bipartite`` (0 for what has a value, 1 for factors) and ``item`` (the object). An edge runs from a
        factor's inputs to the factor
        and from the factor
        to what it computes; its attribute ``slices`` names the rows.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=3, states=2)
    >>> _ = g.factor(Table([[0.0, -1.0], [-1.0, 0.0]]), z[:-1], z[1:], name="link")
    >>> drawn = to_networkx(g)
    >>> sorted(drawn.nodes), drawn.edges["z", "link"]["slices"]
    (['link', 'z'], ['z[:-1]', 'z[1:]'])
    """
    import networkx as nx

    drawn = nx.DiGraph()
    for node in graph.nodes.values():
        drawn.add_node(node.name, kind=type(node).__name__.lower(), bipartite=0, item=node)
    for factor in graph.factors.values():
        drawn.add_node(factor.name, kind="factor", bipartite=1, item=factor)
        edges = [s.edge for s in factor.args if s.edge is not None]
        for s in (*factor.args, *edges, *factor.potential.reads):
            _link(drawn, s.node.name, factor.name, s.name)
        for p in factor.potential.parameters.values():
            _link(drawn, p.name, factor.name, p.name)
        for s in factor.out:
            _link(drawn, factor.name, s.node.name, s.name)
    return drawn


def _link(drawn, source: str, target: str, text: str) -> None:
    if drawn.has_edge(source, target):
        drawn.edges[source, target]["slices"].append(text)
    else:
        drawn.add_edge(source, target, slices=[text])
