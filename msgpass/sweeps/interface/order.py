"""In which order a slice's variables are eliminated, so that its cliques are smallest in all.

What eliminating v costs depends on which variables are gone and not on their order: its clique is v and
whatever v reaches through them. The best order of n variables is therefore a shortest path through their 2ⁿ
subsets (Bodlaender et al. 2012). A slice has few variables, and its order is found once; beyond ``EXACT`` of
them each step takes the smallest clique.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping

EXACT = 9
"""Variables up to which all subsets are looked at."""


def elimination_order(scopes: Iterable[Iterable[Hashable]], gone, sizes: Mapping[Hashable, int]) -> list:
    """Order of the variables ``gone``; all others stay.

    Parameters
    ----------
    scopes : iterable of iterables of variables
        Of the slice's factors and of the message that comes in.
    gone : iterable of variables
    sizes : mapping
        States of each variable.

    Examples
    --------
    Two chains that one observation couples: earlier states go first, one after the other.

    >>> scopes = [("a", "b"), ("a", "a'"), ("b", "b'"), ("a'", "b'")]
    >>> elimination_order(scopes, ["b", "a"], dict.fromkeys(["a", "b", "a'", "b'"], 4))
    ['a', 'b']
    """
    gone = sorted(gone, key=repr)
    around: dict = {v: set() for v in sizes}
    for scope in map(set, scopes):
        for v in scope:
            around[v] |= scope - {v}
    graph = _Graph(around, gone, sizes)
    return _exact(graph) if len(gone) <= EXACT else _greedy(graph)


class _Graph:
    """What a variable reaches once others are gone."""

    def __init__(self, around, gone, sizes):
        self.around, self.gone, self.sizes = around, gone, sizes
        self.bit = {v: 1 << k for k, v in enumerate(gone)}

    def cost(self, v, taken: int) -> float:
        """Entries of the clique of v when ``taken`` are gone."""
        seen, waiting, size = {v}, [v], float(self.sizes[v])
        while waiting:
            for u in self.around[waiting.pop()]:
                if u not in seen:
                    seen.add(u)
                    if self.bit.get(u, 0) & taken:
                        waiting.append(u)
                    else:
                        size *= self.sizes[u]
        return size


def _exact(graph: _Graph) -> list:
    n = len(graph.gone)
    best: list[tuple[float, tuple]] = [(math.inf, ())] * (1 << n)
    best[0] = (0.0, ())
    for taken in range(1 << n):
        so_far, order = best[taken]
        for k, v in enumerate(graph.gone):
            if not taken >> k & 1:
                one = (so_far + graph.cost(v, taken), (*order, k))
                if one < best[taken | 1 << k]:
                    best[taken | 1 << k] = one
    return [graph.gone[k] for k in best[-1][1]]


def _greedy(graph: _Graph) -> list:
    order: list = []
    taken, left = 0, list(graph.gone)
    while left:
        v = min(left, key=lambda u: graph.cost(u, taken))
        left.remove(v)
        taken |= graph.bit[v]
        order.append(v)
    return order
