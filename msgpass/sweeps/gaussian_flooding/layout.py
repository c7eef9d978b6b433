"""Factors of a Gaussian component by shape, made once a plan: it depends on scopes alone.

The variables of a factor are put in ascending order, so that factors over the same variables can be added and
factors of one shape stacked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from msgpass.sweeps.flattened import Flat


@dataclass(frozen=True, eq=False)
class Chunk:
    """Instances of a family whose variables ascend in one order.

    Attributes
    ----------
    family : int
    rows : int array
        The instances.
    cells : int array
        Place in the factor's own latent variables end to end of each cell in ascending order.
    group : int
    at : int array
        Row in the group of each instance.
    """

    family: int
    rows: np.ndarray
    cells: np.ndarray
    group: int
    at: np.ndarray


@dataclass(frozen=True, eq=False)
class Group:
    """Scopes of one shape, each once; ``shared`` where some belong to several factors."""

    sizes: tuple[int, ...]
    scopes: np.ndarray
    shared: bool


class Layout:
    """A component in numbers.

    Attributes
    ----------
    flat : Flat
    sizes : int array, (variables,)
    unaries : list of int
        Families over one variable.
    chunks : tuple of Chunk
    groups : tuple of Group
    """

    def __init__(self, flat: Flat):
        self.flat, self.sizes = flat, flat.states
        self.unaries = [k for k, scope in enumerate(flat.scopes) if scope.shape[1] == 1]
        found: dict[tuple[int, ...], list] = {}
        for k, scope in enumerate(flat.scopes):
            if scope.shape[1] > 1 and len(scope):
                for rows, order in _orders(scope):
                    own = self.sizes[scope[rows[0]]]
                    places = np.split(np.arange(own.sum()), np.cumsum(own)[:-1])
                    cells = np.concatenate([places[p] for p in order])
                    shape = tuple(int(own[p]) for p in order)
                    found.setdefault(shape, []).append((k, rows, cells, scope[rows][:, list(order)]))
        groups: list[Group] = []
        chunks: list[Chunk] = []
        for shape, members in found.items():
            scopes = np.concatenate([m[3] for m in members])
            kept, place = _distinct(scopes, len(self.sizes))
            ends = np.cumsum([len(m[1]) for m in members])
            for (k, rows, cells, _), at in zip(members, np.split(place, ends[:-1]), strict=True):
                chunks.append(Chunk(k, rows, cells, len(groups), at))
            groups.append(Group(shape, scopes[kept], len(kept) < len(scopes)))
        self.chunks, self.groups = tuple(chunks), tuple(groups)

    @cached_property
    def starts(self) -> np.ndarray:
        """First cell of each variable, and the number of all."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    def cells(self, scope: np.ndarray) -> np.ndarray:
        """(instances, arity) variables → (instances, cells)."""
        sizes = self.sizes[scope[0]] if len(scope) else np.zeros(scope.shape[1], int)
        columns = [self.starts[v][:, None] + np.arange(s) for v, s in zip(scope.T, sizes, strict=True)]
        return np.concatenate([np.zeros((len(scope), 0), np.int64), *columns], axis=1)


def _orders(scope: np.ndarray):
    """(rows, order) of the instances whose variables ascend in each order."""
    order = np.argsort(scope, axis=1, kind="stable")
    if (order == order[0]).all():
        return [(np.arange(len(scope)), tuple(int(p) for p in order[0]))]
    kinds, member = np.unique(order, axis=0, return_inverse=True)
    return [
        (np.flatnonzero(member.ravel() == k), tuple(int(p) for p in kind)) for k, kind in enumerate(kinds)
    ]


def _distinct(scopes: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(first row of each distinct scope in the order in which they come, which of these each row has)."""
    keys = scopes[:, 0].astype(np.int64)
    for place, column in enumerate(scopes.T[1:]):
        if place:  # products of more than two numbers would overflow
            keys = np.unique(keys, return_inverse=True)[1].ravel()
        keys = keys * n + column
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order], rank[inverse.ravel()]


def layout_of(plan, k: int, block) -> Layout:
    """Made once a plan."""
    from msgpass.sweeps.flattened import flat_of

    made = plan.cache.get(("gaussian flooding", k))
    if made is None:
        made = plan.cache["gaussian flooding", k] = Layout(flat_of(plan, k, block))
    return made
