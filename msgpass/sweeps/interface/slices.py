"""Whether a component is sliced, and what happens at each slice.

A *slice* is a row number. It owns that row of every sequence, and the factor instances whose latest row it
is. A variable is *done* at the last slice that has a factor of it, and is eliminated there: what is left over
is the interface to the next slice (Murphy 2002, §3.2). Ragged sequences lie end to end, so that the interface
at their border is empty, and a single variable belongs to no slice and is done at the last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.nodes import Sequence
from msgpass.plan import latent
from msgpass.plan.families import picks
from msgpass.sweeps.rows import instance_numbers

Key = tuple[int, int]
"""(node, how many slices back its row lies); −1 slices back stands for a variable without rows."""

SINGLE = -1
LONGEST = 16
"""Slices that one factor may reach back."""


@dataclass(frozen=True, eq=False)
class Sliced:
    """A component slice by slice.

    Attributes
    ----------
    nodes : tuple of str
    sizes : tuple of int
        States of each node.
    rows : int
        Slices.
    scopes : tuple of tuples of Key
        Of each family: its latent arguments at the slice that owns an instance.
    owner : tuple of int arrays (instances,)
        Of each family: that slice.
    done : int array (nodes, rows)
        The slice at which each row is eliminated.
    singles : frozenset of int
        Nodes without rows.
    """

    nodes: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: int
    scopes: tuple[tuple[Key, ...], ...]
    owner: tuple[np.ndarray, ...]
    done: np.ndarray
    singles: frozenset[int]


def sliced(block) -> Sliced | None:
    """The slices of a discrete component; None where it has none."""
    if block.gaussian or any(map(picks, block.families)):
        return None
    nodes = [block.families[0].factor.graph.nodes[n] for n in block.nodes]
    clocks = [n.clock for n in nodes if isinstance(n, Sequence)]
    if not clocks or any(c.lengths != clocks[0].lengths for c in clocks[1:]):
        return None
    rows, number = clocks[0].total, {n: k for k, n in enumerate(block.nodes)}
    singles = frozenset(k for k, n in enumerate(nodes) if not isinstance(n, Sequence))
    done = np.tile(np.arange(rows), (len(nodes), 1))
    done[sorted(singles)] = rows - 1
    scopes, owners = [], []
    for family in block.families:
        free = [a for a in family.args if latent(a)]
        at = {k: instance_numbers(family, a) for k, a in enumerate(free) if a.rows is not None}
        n = family.factor.n
        owner = np.max(list(at.values()), axis=0) if at else np.full(n, rows - 1)
        if len(np.unique(owner)) != n:
            return None
        scope = []
        for k, a in enumerate(free):
            lags = owner - at[k] if k in at else np.full(1, SINGLE)
            if (n and (lags[0] != lags).any()) or (lags > LONGEST).any():
                return None
            scope.append((number[a.name], int(lags[0]) if n else SINGLE))
            if k in at:
                row = done[number[a.name]]
                row[at[k]] = np.maximum(row[at[k]], owner)  # no row twice, for all lags are one
        scopes.append(tuple(scope))
        owners.append(owner)
    sizes = tuple(n.states for n in nodes)
    return Sliced(block.nodes, sizes, rows, tuple(scopes), tuple(owners), done, singles)


def with_labels(found: Sliced, names) -> Sliced:
    """The same with a table of its own on every row of some nodes, after all families."""
    added = [found.nodes.index(name) for name in names]
    scopes = tuple(((k, SINGLE if k in found.singles else 0),) for k in added)
    every, last = np.arange(found.rows), np.array([found.rows - 1])
    owner = tuple(last if k in found.singles else every for k in added)
    return Sliced(
        found.nodes,
        found.sizes,
        found.rows,
        found.scopes + scopes,
        found.owner + owner,
        found.done,
        found.singles,
    )


def signatures(found: Sliced) -> tuple[np.ndarray, list[tuple[tuple[int, ...], frozenset[Key]]]]:
    """(kind of each slice, of each kind: the families that it owns an instance of, and what is done
    there).
    """
    rows = np.arange(found.rows)
    columns: list[np.ndarray] = []
    owned: list[tuple[int, int]] = []
    ended: list[tuple[int, Key]] = []
    for f, owner in enumerate(found.owner):
        owned.append((len(columns), f))
        columns.append(np.isin(rows, owner))
    for k in range(len(found.nodes)):
        lags = found.done[k] - rows
        for d in [] if k in found.singles else np.unique(lags).tolist():
            here = np.zeros(found.rows, bool)
            here[d:] = lags[: found.rows - d] == d
            ended.append((len(columns), (k, int(d))))
            columns.append(here)
    columns.append(rows == found.rows - 1)
    table = np.packbits(np.array(columns), axis=0).T
    _, first, of = np.unique(table, axis=0, return_index=True, return_inverse=True)
    described = []
    for at in first:
        done = {key for c, key in ended if columns[c][at]}
        if columns[-1][at]:
            done |= {(k, SINGLE) for k in found.singles}
        described.append((tuple(f for c, f in owned if columns[c][at]), frozenset(done)))
    return of.ravel(), described
