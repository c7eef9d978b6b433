"""The interaction graph of scopes: two variables are neighbours where one scope holds both."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def interaction(scopes: Iterable, n: int) -> list[set[int]]:
    """Neighbours of each of n variables.

    Parameters
    ----------
    scopes : iterable of int arrays
        (arity,) one scope, or (instances, arity) one scope a row.

    Examples
    --------
    >>> from msgpass.elimination import interaction
    >>> interaction([[0, 1], [[1, 2], [2, 3]]], 4)
    [{1}, {0, 2}, {1, 3}, {2}]
    """
    neighbours: list[set[int]] = [set() for _ in range(n)]
    for scope in scopes:
        rows = np.atleast_2d(np.asarray(scope, np.int64))
        for a in range(rows.shape[1]):
            for b in range(a + 1, rows.shape[1]):
                for u, v in zip(rows[:, a].tolist(), rows[:, b].tolist(), strict=True):
                    if u != v:
                        neighbours[u].add(v)
                        neighbours[v].add(u)
    return neighbours
