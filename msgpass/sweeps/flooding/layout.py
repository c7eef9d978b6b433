"""What a component looks like to loopy belief propagation, made once a plan: it depends on scopes alone.

Members of an aligned batch are variables of their own: member b of variable v is v·B + b. Tables over one
variable are local evidence. Tables over the same variables are taken together, so that they are no loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.potentials import Structured
from msgpass.sweeps.flattened import Flat, flat_of


@dataclass(frozen=True, eq=False)
class Guests:
    """Factors of one family whose variables are those of another's, and which axis is which there.

    ``axes[a]`` is the guest's axis of the host's variable a.
    """

    family: int
    rows: np.ndarray
    host: int
    host_rows: np.ndarray
    axes: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class FloodingLayout:
    """A component in numbers.

    Attributes
    ----------
    flat : Flat
    shape : batch of an aligned component
    where : int array (variables + 1,)
        Where each variable's states start, all laid end to end.
    scopes : of each family, int array (instances · batch, arity)
    kept : of each family, the rows that have messages of their own; None where all have
    guests : factors that sit in another's table
    """

    flat: Flat
    shape: tuple[int, ...]
    where: np.ndarray
    scopes: tuple[np.ndarray, ...]
    kept: tuple[Any, ...]
    guests: tuple[Guests, ...]

    @cached_property
    def batch(self) -> int:
        """Members of an aligned batch, 1 without."""
        return int(np.prod(self.shape, dtype=np.int64))

    @cached_property
    def parts(self) -> np.ndarray:
        """Number of the part that each variable belongs to, by their first variables."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        n = len(self.where) - 1
        pairs = [s[:, [0, a]] for s in self.scopes for a in range(1, s.shape[1])]
        ends = np.concatenate([np.zeros((0, 2), np.int64), *pairs])
        links = coo_array((np.ones(len(ends), bool), (ends[:, 0], ends[:, 1])), shape=(n, n))
        found = connected_components(links, directed=False)[1]
        first = np.unique(found, return_index=True)[1]
        return np.argsort(np.argsort(first))[found]

    def label(self, v: int) -> str:
        """How a variable is called."""
        name = self.flat.label(int(v) // self.batch)
        return f"{name} of member {int(v) % self.batch}" if self.shape else name

    def of(self, name: str) -> slice:
        """Variables of a node, members of a row next to each other."""
        rows = self.flat.of(name)
        return slice(rows.start * self.batch, rows.stop * self.batch)


def layout_of(plan, k: int, block) -> FloodingLayout:
    """Made once a plan."""
    made = plan.cache.get(("flooding", k))
    if made is None:
        alone = {j for j, f in enumerate(block.families) if isinstance(f.potential, Structured)}
        shape = plan.graph.nodes[block.nodes[0]].shape
        made = plan.cache["flooding", k] = _layout(flat_of(plan, k, block), shape, alone)
    return made


def _layout(flat: Flat, shape: tuple[int, ...], alone: set[int]) -> FloodingLayout:
    batch = int(np.prod(shape, dtype=np.int64))
    states = np.repeat(flat.states, batch)
    where = np.concatenate([[0], np.cumsum(states)])
    scopes = tuple(
        s if batch == 1 else (s[:, None] * batch + np.arange(batch)[:, None]).reshape(-1, s.shape[1])
        for s in flat.scopes
    )
    return FloodingLayout(flat, shape, where, scopes, *_together(scopes, len(states), alone))


def _together(scopes, n: int, alone: set[int]):
    """(rows of each family that stay, guests) of factors over the same variables."""
    kept: list[Any] = [None] * len(scopes)
    guests: list[Guests] = []
    for arity in sorted({s.shape[1] for s in scopes} - {0, 1}):
        members = [k for k, s in enumerate(scopes) if s.shape[1] == arity and len(s) and k not in alone]
        if not members:
            continue
        every = np.concatenate([scopes[k] for k in members])
        first = _first_alike(np.sort(every, axis=1), n)
        places = np.arange(len(every))
        if (first == places).all():
            continue
        ends = np.cumsum([len(scopes[k]) for k in members])
        for place, k in enumerate(members):
            start = int(ends[place]) - len(scopes[k])
            own = first[start : ends[place]]
            rows = np.flatnonzero(own != places[start : ends[place]])
            if len(rows):
                kept[k] = np.setdiff1d(np.arange(len(own)), rows)
                guests += _guests(k, rows, own[rows], members, ends, scopes, every)
    return tuple(kept), tuple(guests)


def _first_alike(ordered: np.ndarray, n: int) -> np.ndarray:
    """For each row, the first row that is equal to it."""
    keys = ordered[:, 0].astype(np.int64)
    for column in ordered.T[1:]:
        pairs = keys * n + column
        keys = pairs if ordered.shape[1] == 2 else np.unique(pairs, return_inverse=True)[1].ravel()
    _, firsts, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return firsts[inverse.ravel()]


def _guests(k: int, rows, hosts, members, ends, scopes, every) -> list[Guests]:
    """Guests of a family by their host's family and the order of their variables."""
    family = np.searchsorted(ends, hosts, side="right")
    rank = np.argsort(np.argsort(every[hosts], axis=1), axis=1)
    axes = np.take_along_axis(np.argsort(scopes[k][rows], axis=1), rank, axis=1)
    found = []
    for kind in np.unique(np.column_stack([family, axes]), axis=0):
        own = (family == kind[0]) & (axes == kind[1:]).all(axis=1)
        host = int(kind[0])
        start = int(ends[host]) - len(scopes[members[host]])
        found.append(Guests(k, rows[own], members[host], hosts[own] - start, tuple(int(a) for a in kind[1:])))
    return found
