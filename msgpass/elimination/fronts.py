"""From an order of elimination to maximal cliques and their forest, in time linear in what comes out.

The *front* of v is what v is joined to among later variables when it is eliminated. It goes on to the first
of them alone (symbolic factorisation; George & Liu 1981). v's clique {v} ∪ front(v) is not maximal where it
lies in the clique of a child u, that is where |front(u)| = |front(v)| + 1. Linking each maximal clique to
that of its front's first variable gives a tree of cliques with the running intersection property, which for a
chordal graph is the same as maximum-weight separators (Blair & Peyton 1993).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgpass.elimination.clique_tree import CliqueTree
from msgpass.errors import GraphError


def fronts(neighbours: Sequence[set[int]], order: Sequence[int]) -> list[set[int]]:
    """Later neighbours of each variable once those before it are eliminated.

    Examples
    --------
    >>> from msgpass.elimination import fronts, interaction
    >>> fronts(interaction([[0, 1], [1, 2], [2, 3], [3, 0]], 4), [0, 1, 2, 3])
    [{1, 3}, {2, 3}, {3}, set()]
    """
    n = len(neighbours)
    if sorted(order) != list(range(n)):
        raise GraphError(f"an order of elimination names each of the {n} variables once")
    place = [0] * n
    for k, v in enumerate(order):
        place[v] = k
    found: list[set[int]] = [set() for _ in range(n)]
    for v in order:
        front = found[v]
        front.update(u for u in neighbours[v] if place[u] > place[v])
        front.discard(v)
        if front:
            first = min(front, key=place.__getitem__)
            found[first] |= front
    return found


def tree_of_fronts(found: Sequence[set[int]], order: Sequence[int], sizes) -> CliqueTree:
    """Maximal cliques and their forest.

    Examples
    --------
    >>> from msgpass.elimination import fronts, interaction, tree_of_fronts
    >>> order = [0, 1, 2, 3]
    >>> found = fronts(interaction([[0, 1], [1, 2], [2, 3], [3, 0]], 4), order)
    >>> tree_of_fronts(found, order, [2] * 4)
    CliqueTree(2 cliques over 4 variables, width 2, largest table 8, in all 16)
    """
    n = len(order)
    place = [0] * n
    for k, v in enumerate(order):
        place[v] = k
    clique = [-1] * n  # of each variable: the clique that its own lies in
    cliques: list[list[int]] = []
    last: list[int] = []  # of each clique: its last variable whose own clique lies in it
    inside = [-1] * n  # of each variable: a child's clique that holds its own
    for v in order:
        if inside[v] < 0:
            inside[v] = len(cliques)
            cliques.append([v, *found[v]])
            last.append(v)
        c = clique[v] = inside[v]
        last[c] = v
        front = found[v]
        if front:
            first = min(front, key=place.__getitem__)
            if inside[first] < 0 and len(front) == len(found[first]) + 1:
                inside[first] = c
    parent = [-1] * len(cliques)
    for c, v in enumerate(last):
        if found[v]:
            parent[c] = clique[min(found[v], key=place.__getitem__)]
    return CliqueTree.of(cliques, parent, sizes)
