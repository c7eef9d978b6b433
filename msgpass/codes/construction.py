"""Low-density parity-check codes, drawn: Gallager's ensemble and progressive edge growth."""

from __future__ import annotations

import numpy as np

from msgpass.codes.linear_code import LinearCode
from msgpass.errors import DataError


def gallager(n: int, column_weight: int = 3, row_weight: int = 6, seed=None) -> LinearCode:
    """A regular code of Gallager's ensemble: ``column_weight`` bands, each a permutation of the first, in
    which every bit is in one check (Gallager 1963).

    Examples
    --------
    >>> code = gallager(96, seed=0)
    >>> code.m, code.edges
    (48, 288)
    """
    if row_weight < 2 or n < row_weight or n % row_weight or column_weight < 1:
        raise DataError(
            f"gallager: a regular code needs a length that is a multiple of its row weight, got n={n}, "
            f"column_weight={column_weight}, row_weight={row_weight}"
        )
    rng = np.random.default_rng(seed)
    bands = [np.arange(n), *(rng.permutation(n) for _ in range(column_weight - 1))]
    return LinearCode([row for band in bands for row in band.reshape(-1, row_weight)], n)


def progressive_edge_growth(n: int, checks: int, column_weight: int = 3, seed=None) -> LinearCode:
    """A code with few short cycles: each edge of a bit goes to a check that is as far away as possible, the
    least used one first, ties broken by chance (Hu, Eleftheriou and Arnold 2005).

    Examples
    --------
    >>> code = progressive_edge_growth(96, 48, seed=0)
    >>> code.edges, girth(code) >= 6
    (288, True)
    """
    if not 1 <= column_weight <= checks < n:
        raise DataError(
            f"progressive_edge_growth: needs column_weight ≤ checks < n, got column_weight={column_weight}, "
            f"checks={checks}, n={n}"
        )
    rng = np.random.default_rng(seed)
    members: list[list[int]] = [[] for _ in range(checks)]
    own: list[list[int]] = [[] for _ in range(n)]
    used = np.zeros(checks, np.int64)
    for bit in range(n):
        for _ in range(column_weight):
            away = _farthest(bit, own, members, checks)
            least = away[used[away] == used[away].min()]
            check = int(rng.choice(least))
            own[bit].append(check)
            members[check].append(bit)
            used[check] += 1
    return LinearCode([m for m in members if m], n)


def _farthest(bit: int, own, members, checks: int) -> np.ndarray:
    """Checks that the bit does not reach, or else those that it reaches last."""
    reached, seen = np.zeros(checks, bool), {bit}
    frontier = own[bit]
    reached[frontier] = True
    while True:
        bits = {b for c in frontier for b in members[c]} - seen
        seen |= bits
        fresh = [c for c in {c for b in bits for c in own[b]} if not reached[c]]
        if not fresh:
            return np.flatnonzero(~reached) if not reached.all() else np.array(sorted(frontier))
        if reached.sum() + len(fresh) == checks:
            return np.array(sorted(fresh))
        reached[fresh] = True
        frontier = fresh


def girth(code: LinearCode) -> float:
    """Length of the shortest cycle between bits and checks; infinite where there is none."""
    own: list[list[int]] = [[] for _ in range(code.n)]
    for k, check in enumerate(code.checks):
        for bit in check.tolist():
            own[bit].append(k)
    around = [[code.n + k for k in mine] for mine in own] + [check.tolist() for check in code.checks]
    shortest = np.inf
    for start in range(code.n):
        depth, parent, queue = {start: 0}, {start: -1}, [start]
        for v in queue:
            if 2 * depth[v] >= shortest:
                break
            for u in around[v]:
                if u not in depth:
                    depth[u], parent[u] = depth[v] + 1, v
                    queue.append(u)
                elif parent[v] != u:
                    shortest = min(shortest, depth[u] + depth[v] + 1)
    return shortest
