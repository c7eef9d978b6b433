"""Counting numbers of factors, an array a family.

Where a factor's number is the share of spanning trees that its edge belongs to, the approximation of log Z is
an upper bound (Wainwright, Jaakkola and Willsky 2005). In the uniform distribution over spanning trees that
share is the edge's effective resistance, read from the pseudo-inverse of the graph's Laplacian.
"""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, UnsupportedError
from msgpass.sweeps.flooding.layout import FloodingLayout

LARGEST = 2000
"""Variables up to which the pseudo-inverse is computed, in some seconds; beyond, trees are averaged."""


def counting_of(block, layout: FloodingLayout, given) -> list[np.ndarray]:
    """c_a of each family's factors, (n,); ones where nothing else is said."""
    ones = [np.ones(len(s)) for s in layout.scopes]
    if given is None:
        return ones
    if given == "tree":
        return spanning(block, layout)
    if isinstance(given, float):
        return [given * c for c in ones]
    families = {f.name: k for k, f in enumerate(block.families)}
    for name, numbers in given:
        if name not in block.families[0].factor.graph.factors:
            raise DataError(f"Flooding: counting names {name!r}, which is no factor of the graph")
        if name in families:
            k = families[name]
            wanted = block.families[k].factor.n
            if isinstance(numbers, tuple) and len(numbers) != wanted:
                raise DataError(
                    f"Flooding: counting has {len(numbers)} numbers for factor {name!r}, which has {wanted} "
                    "instances"
                )
            ones[k] = np.repeat(np.broadcast_to(numbers, (wanted,)), layout.batch).astype(np.float64)
    return ones


def spanning(block, layout: FloodingLayout) -> list[np.ndarray]:
    """Edge appearance probabilities of spanning trees."""
    wide = next((k for k, s in enumerate(layout.scopes) if s.shape[1] > 2), None)
    if wide is not None:
        raise UnsupportedError(
            f'Flooding(counting="tree") is for factors over two variables, and {block.families[wide].name!r} '
            f"relates {layout.scopes[wide].shape[1]}; give a number, or a dict from factors to numbers"
        )
    pairs = [
        s[slice(None) if kept is None else kept] if s.shape[1] == 2 else np.empty((0, 2), np.int64)
        for s, kept in zip(layout.scopes, layout.kept, strict=True)
    ]
    edges = np.concatenate(pairs)
    n = len(layout.where) - 1
    shares = resistances(edges, n) if n <= LARGEST else averaged(edges, n)
    found, start = [], 0
    for s, kept, own in zip(layout.scopes, layout.kept, pairs, strict=True):
        numbers = np.ones(len(s))
        if len(own):
            numbers[slice(None) if kept is None else kept] = shares[start : start + len(own)]
        start += len(own)
        found.append(numbers)
    return found


def resistances(edges: np.ndarray, n: int) -> np.ndarray:
    """Share of all spanning trees (forests, of a graph in parts) that has each edge; edges are distinct.

    Examples
    --------
    A triangle has three spanning trees, and each edge is in two of them:

    >>> resistances(np.array([[0, 1], [1, 2], [2, 0]]), 3).round(6).tolist()
    [0.666667, 0.666667, 0.666667]
    """
    laplacian = np.zeros((n, n))
    i, j = edges.T
    np.add.at(laplacian, (i, i), 1)
    np.add.at(laplacian, (j, j), 1)
    np.add.at(laplacian, (i, j), -1)
    np.add.at(laplacian, (j, i), -1)
    inverse = np.linalg.pinv(laplacian, hermitian=True)
    return np.clip(inverse[i, i] + inverse[j, j] - 2 * inverse[i, j], 1e-12, 1.0)


def averaged(edges: np.ndarray, n: int, trees: int = 32) -> np.ndarray:
    """Share of some spanning trees that has each edge: minimum spanning trees that take the edges least used
    so far, ties in an order drawn from a fixed seed; more than ``trees`` until every edge is in one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    rng = np.random.default_rng(0)
    used, count = np.zeros(len(edges), np.int64), 0
    while count < trees or (used == 0).any():
        weights = used + 1 + 0.9 * rng.random(len(edges))
        numbered = coo_array((np.arange(len(edges)) + 1, edges.T), shape=(n, n)).tocsr()
        weighted = numbered.astype(np.float64)
        weighted.data = weights[numbered.data - 1]
        tree = minimum_spanning_tree(weighted).tocoo()
        places = numbered.tocsr()[tree.row, tree.col]
        used[np.asarray(places).ravel() - 1] += 1
        count += 1
    return used / count
