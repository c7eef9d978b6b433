"""Greedy orders of elimination: at each step the variable that costs least, with costs kept up to date.

Eliminating v joins its neighbours into a clique. The costs are

    min-degree          the number of neighbours
    min-weight          the entries of the table over v and its neighbours
    min-fill            the edges that have to be added
    weighted-min-fill   these edges, each weighing the product of its two variables' states

(Kjærulff 1990; Koller & Friedman 2009, §9.4.3.2). An added edge (a, b) changes the fill of a, of b and of
their common neighbours, and of nobody else.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from msgpass.errors import TreewidthError

RULES = ("min-fill", "weighted-min-fill", "min-weight", "min-degree")


def greedy_order(
    neighbours: Sequence[set[int]],
    sizes: Sequence[int],
    rule: str = "min-fill",
    rng: np.random.Generator | None = None,
    max_size: float = math.inf,
    last: Collection[int] = (),
) -> list[int]:
    """Variables in the order in which a rule eliminates them.

    Parameters
    ----------
    neighbours : one set a variable; not changed
    sizes : states of each variable
    rule : one of ``RULES``
    rng : Generator, optional
        Breaks ties; without one the lowest variable goes first.
    max_size : float
        A table with more entries stops the elimination.
    last : collection of int
        Variables that go after all others.

    Raises
    ------
    TreewidthError
        At the first table beyond ``max_size``.

    Examples
    --------
    >>> from msgpass.elimination import greedy_order, interaction
    >>> greedy_order(interaction([[0, 1], [1, 2], [2, 3], [3, 0]], 4), [2] * 4)
    [0, 1, 2, 3]
    """
    graph = [set(s) for s in neighbours]
    n = len(graph)
    ties = list(range(n)) if rng is None else rng.permutation(n).tolist()
    logs = [math.log2(s) for s in sizes]
    limit = math.log2(max_size) if max_size < math.inf else math.inf
    costs = _COSTS[rule](graph, list(sizes), logs)
    late = [False] * n
    for v in last:
        late[v] = True
    heap = [(late[v], costs.of[v], ties[v], v) for v in range(n)]
    heapq.heapify(heap)
    gone = [False] * n
    order = []
    while heap:
        _, cost, _, v = heapq.heappop(heap)
        if gone[v] or cost != costs.of[v]:
            continue
        gone[v] = True
        order.append(v)
        if logs[v] + sum(logs[u] for u in graph[v]) > limit + 1e-9:
            raise too_large(sorted((v, *graph[v])), sizes)
        for u in costs.eliminate(v):
            heapq.heappush(heap, (late[u], costs.of[u], ties[u], u))
    return order


def too_large(clique: list[int], sizes) -> TreewidthError:
    """The error of one clique, without names."""
    size = math.prod(int(sizes[v]) for v in clique)
    return TreewidthError(
        f"a clique of {len(clique)} variables has a table of {size} entries", len(clique) - 1, size, clique
    )


class _Local:
    """Costs that depend on a variable's neighbours alone."""

    of: list

    def __init__(self, graph, sizes, logs):
        self.graph, self.logs = graph, logs
        self.of = [self.cost(v) for v in range(len(graph))]

    def cost(self, v: int) -> float:
        """Of eliminating v now."""
        return len(self.graph[v])

    def eliminate(self, v: int) -> set[int]:
        """Join v's neighbours and take v out; whose cost has changed."""
        graph, around = self.graph, self.graph[v]
        for a in around:
            graph[a] |= around
            graph[a] -= {a, v}
        for a in around:
            self.of[a] = self.cost(a)
        return around


class _Weight(_Local):
    def cost(self, v: int) -> float:
        # Rounded, so that tables of one size tie whatever the order of their variables.
        return round(self.logs[v] + sum(self.logs[u] for u in self.graph[v]), 9)


class _Fill:
    """Number of edges that are missing among a variable's neighbours."""

    def __init__(self, graph, sizes, logs):
        self.graph, self.sizes = graph, sizes
        self.of = [0] * len(graph)
        for v, around in enumerate(graph):
            self.of[v] = sum(self.weight(u, around - graph[u]) - self.weight(u, {u}) for u in around) // 2

    def weight(self, u: int, others: set[int]) -> int:
        """Of the edges between u and others."""
        return len(others)

    def eliminate(self, v: int) -> set[int]:
        """Join v's neighbours and take v out; whose cost has changed."""
        graph, fill = self.graph, self.of
        around = graph[v]
        changed = set(around)
        if fill[v]:
            for a in around:
                for b in around - graph[a]:
                    if b <= a:
                        continue
                    one = self.weight(a, {b})
                    for w in graph[a] & graph[b]:
                        fill[w] -= one
                        changed.add(w)
                    fill[a] += self.weight(b, graph[a] - graph[b])
                    fill[b] += self.weight(a, graph[b] - graph[a])
                    graph[a].add(b)
                    graph[b].add(a)
        for a in around:
            fill[a] -= self.weight(v, graph[a] - around) - self.weight(v, {v})
            graph[a].discard(v)
        changed.discard(v)
        return changed


class _WeightedFill(_Fill):
    def weight(self, u: int, others: set[int]) -> int:
        sizes = self.sizes
        return sizes[u] * sum(sizes[w] for w in others)


_COSTS: dict[str, Any] = {
    "min-fill": _Fill,
    "weighted-min-fill": _WeightedFill,
    "min-weight": _Weight,
    "min-degree": _Local,
}
