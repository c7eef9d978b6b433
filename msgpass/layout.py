"""Where the parts of a drawn graph stand: in layers along arrows, or by springs.

Layers are Sugiyama, Tagawa & Toda's (1981): longest paths give the layer, barycentres the order within it.
Abscissae bring neighbours over each other: least squares with gaps in every layer, one layer after another by
pooling adjacent violators.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import numpy as np

SWEEPS, RELAXATIONS = 24, 400
LONG = 0.4
"""What an edge that passes through a layer needs of it, a node being 1 wide."""

LATTICE = 0.6
"""Share of edges in two directions at right angles (|mean of exp 4iθ|) from which a graph is a lattice."""

Places = dict[Hashable, tuple[float, float]]


def layered(
    nodes: Sequence, arrows: Sequence[tuple], width: dict | None = None
) -> tuple[Places, dict[tuple, list]]:
    """Places of nodes, parents above children, and the points that each arrow goes through.

    ``width`` says how wide nodes are, 1 by default.

    Examples
    --------
    >>> place, _ = layered("abc", [("a", "b"), ("a", "c")])
    >>> [place[n] for n in "abc"]
    [(0.5, 0.0), (0.0, -1.0), (1.0, -1.0)]
    """
    layer = _layers(nodes, arrows)
    rows: list[list] = [[] for _ in range(1 + max(layer.values(), default=0))]
    for n in nodes:
        rows[layer[n]].append(n)
    routes, links = {}, []
    for a, b in arrows:
        inner = [("along", a, b, k) for k in range(layer[a] + 1, layer[b])]
        for point in inner:
            rows[point[3]].append(point)
        routes[a, b] = [a, *inner, b]
        links += list(pairwise(routes[a, b]))
    above: dict = {}
    below: dict = {}
    for a, b in links:
        above.setdefault(b, []).append(a)
        below.setdefault(a, []).append(b)
    rows = _ordered(rows, above, below)
    x = _abscissae(rows, above, below, dict.fromkeys(nodes, 1.0) | (width or {}))
    place = {n: (x[n], 0.0 - k) for k, row in enumerate(rows) for n in row}
    return {n: place[n] for n in nodes}, {edge: [place[p] for p in points] for edge, points in routes.items()}


def _layers(nodes, arrows) -> dict:
    import networkx as nx

    graph = nx.DiGraph(arrows)
    graph.add_nodes_from(nodes)
    order: list = list(nx.topological_sort(graph))
    layer: dict = {}
    for n in order:
        layer[n] = 1 + max((layer[p] for p in graph.predecessors(n)), default=-1)
    for n in reversed(order):  # what has no parents stands right above its first child
        if not graph.in_degree(n) and graph.out_degree(n):
            layer[n] = min(layer[c] for c in graph.successors(n)) - 1
    return layer


def _ordered(rows, above, below):
    best, fewest = rows, _crossings(rows, below)
    for k in range(SWEEPS):
        rows = [list(row) for row in rows]
        place = {n: i for row in rows for i, n in enumerate(row)}
        near, order = (above, range(len(rows))) if k % 2 == 0 else (below, reversed(range(len(rows))))
        for r in order:
            mean = {n: np.mean([place[p] for p in near.get(n, [])] or [place[n]]) for n in rows[r]}
            rows[r].sort(key=mean.__getitem__)
            place |= {n: i for i, n in enumerate(rows[r])}
        found = _crossings(rows, below)
        if found < fewest:
            best, fewest = rows, found
    return best


def _crossings(rows, below) -> int:
    total = 0
    for upper, lower in pairwise(rows):
        place = {n: i for i, n in enumerate(lower)}
        ends = np.array([place[b] for n in upper for b in sorted(below.get(n, []), key=place.__getitem__)])
        total += int(np.triu(ends[:, None] > ends[None, :], 1).sum()) if len(ends) else 0
    return total


def _abscissae(rows, above, below, width) -> dict:
    x: dict = {}
    gaps, weights = [], []
    near = {n: (*above.get(n, []), *below.get(n, [])) for row in rows for n in row}
    for row in rows:
        between = [(width.get(a, LONG) + width.get(b, LONG)) / 2 for a, b in pairwise(row)]
        gaps.append(np.concatenate([[0.0], np.cumsum(between)]))
        weights.append(np.array([max(len(near[n]), 0.1) for n in row]))
        x |= dict(zip(row, (gaps[-1] - gaps[-1][-1] / 2).tolist(), strict=True))
    order = list(range(len(rows)))
    for k in range(RELAXATIONS):
        for r in order if k % 2 == 0 else order[::-1]:
            wanted = np.array([np.mean([x[p] for p in near[n]] or [x[n]]) for n in rows[r]])
            x |= dict(zip(rows[r], (_rising(wanted - gaps[r], weights[r]) + gaps[r]).tolist(), strict=True))
    low = min(x.values(), default=0.0)
    return {n: v - low for n, v in x.items()}


def _rising(wanted: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The nearest sequence that does not fall (pooling adjacent violators)."""
    pools: list[tuple[float, float, int]] = []
    for value, w in zip(wanted.tolist(), weight.tolist(), strict=True):
        n = 1
        while pools and pools[-1][0] > value:
            other, v, m = pools.pop()
            value, w, n = (value * w + other * v) / (w + v), w + v, n + m
        pools.append((value, w, n))
    return np.concatenate([np.full(n, value) for value, _, n in pools]) if pools else wanted


def springs(nodes: Sequence, edges: Sequence[tuple]) -> Places:
    """Distances on paper like those in the graph (Kamada & Kawai 1989), a component beside another.

    Nodes that are joined are about 1 apart.
    """
    import networkx as nx

    graph = nx.Graph(edges)
    graph.add_nodes_from(nodes)
    place: Places = {}
    right = 0.0
    for part in sorted(nx.connected_components(graph), key=len, reverse=True):
        own = graph.subgraph([n for n in nodes if n in part])
        if len(own) > 400:
            found = nx.spring_layout(own, seed=0)
        else:
            found = nx.kamada_kawai_layout(own) if len(own) > 1 else {next(iter(own)): np.zeros(2)}
        xy = np.array([found[n] for n in own])
        lengths = [np.linalg.norm(found[a] - found[b]) for a, b in own.edges if a != b]
        xy = (xy - xy.mean(0)) / (np.median(lengths) if lengths else 1.0)
        xy = _turned(xy, np.array([found[b] - found[a] for a, b in own.edges if a != b]))
        xy *= np.where(xy[0] * (1, -1) > 0.0, -1.0, 1.0)  # the first node stands left and high
        xy -= xy.min(0)
        xy[:, 0] += right
        place |= dict(zip(own, map(tuple, xy.tolist()), strict=True))
        right = float(xy[:, 0].max()) + 1.0
    return place


def _turned(xy: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """A lattice upright: edges along the axes; anything else wider than high."""
    if len(xy) < 3:
        return xy
    z = edges[:, 0] + 1j * edges[:, 1]
    mean = np.mean((z / np.abs(z)) ** 4)
    if abs(mean) > LATTICE:
        return xy @ _rotation(np.angle(mean) / 4)
    _, axes = np.linalg.eigh(np.cov(xy.T))
    return xy @ axes[:, ::-1]


def _rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
