"""Views of a two-slice network as networkx graphs."""

from __future__ import annotations

from msgpass.errors import DataError
from rnn.dbn.template import Place, Template

VIEWS = ("slices", "unrolled", "moral")


def unrolled(template: Template, length: int | None, shared: bool):
    """Slices 0 … length − 1 as a directed graph; what only the last slice has stays at the last."""
    import networkx as nx

    length = template.length if length is None else length
    if not isinstance(length, int) or isinstance(length, bool) or length < 1:
        raise DataError(f"length must be a whole number ≥ 1, got {length!r}")
    graph = nx.DiGraph()
    for place in template.places:
        times = placed(place, template.length, length) if place.times else [None] if shared else []
        for t in times:
            graph.add_node((place.name, t), kind=place.kind, factor=place.factor, slice=t)
    for t in range(length):
        for arrow in template.prior if t == 0 else template.transition:
            parent = (arrow.parent, None if arrow.lag is None else t - arrow.lag)
            if parent in graph and (arrow.child, t) in graph:
                graph.add_edge(parent, (arrow.child, t), factor=arrow.factor)
    if shared:  # what is computed once, such as a learned start
        for arrow in (*template.prior, *template.transition):
            if (arrow.child, None) in graph and (arrow.parent, None) in graph:
                graph.add_edge((arrow.parent, None), (arrow.child, None), factor=arrow.factor)
    return graph


def view_of(template: Template, view: str, length: int | None, shared: bool):
    """(graph, whether its lines have heads) of "slices", "unrolled" or "moral"."""
    if view not in VIEWS:
        raise DataError(f"view is one of {', '.join(VIEWS)}, got {view!r}")
    graph = unrolled(template, 2 if length is None and view != "unrolled" else length, shared)
    return (moral(graph), False) if view == "moral" else (graph, True)


def placed(place: Place, of: int, length: int) -> range:
    """Slices out of ``length`` that have a variable which has ``place.times`` out of ``of``."""
    start, stop = place.times.start, place.times.stop
    if stop == of:
        return range(length - len(place.times) if len(place.times) == 1 < of else start, length)
    return range(start, min(stop, length))


def moral(directed):
    """Parents married, arrows without heads; nodes keep what they carry."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(directed.nodes(data=True))
    graph.add_edges_from(directed.edges)
    for child in directed:
        parents = list(directed.predecessors(child))
        graph.add_edges_from((a, b) for k, a in enumerate(parents) for b in parents[k + 1 :])
    return graph
