"""Recurrences over one sequence: where each step reads and writes is worked out once, not at every step.

The numbers are those of the general sweep, to the bit. A vectorised step of one sequence has one instance at
a time, so that its rows are slices of length one and nothing is stacked.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.plan import Family
from msgpass.sweeps.local import as_tuple, called, check_many, vjp_many, vjp_part
from msgpass.sweeps.real import lagged
from msgpass.sweeps.rows import add_edge, edge_value, per_instance


class Place(NamedTuple):
    """Where an argument's rows are."""

    arg: Any
    array: np.ndarray
    shift: int | None  # row = instance + shift; None: one value for all instances
    edge: np.ndarray | None  # (1, …), what stands for a row that lies outside
    lagged: bool
    stacked: bool

    def row(self, i: int) -> int | None:
        """Row of instance i; None: its edge, or a shared value."""
        if self.shift is None:
            return None
        row = i + self.shift
        return row if self.edge is None or 0 <= row < len(self.array) else None

    def read(self, i: int) -> np.ndarray:
        """Value for instance i, with a leading axis where it has a row of its own."""
        if self.shift is None:
            return self.array
        row = i + self.shift
        if self.edge is not None and not 0 <= row < len(self.array):
            return self.edge
        return self.array[row : row + 1]


def fits(block) -> bool:
    """Vectorised families, one instance a step, on one sequence."""
    return all(
        f.potential.vectorized
        and f.factor.stepped
        and not any(a.clock is not None and a.clock.ragged for a in (*f.args, *f.outs))
        for f in block.families
    )


def _place(family: Family, arg, values) -> Place:
    array = values[arg.name]
    if arg.rows is None:
        return Place(arg, array, None, None, False, False)
    late = lagged(family, arg)
    if not per_instance(family, arg):
        return Place(arg, array[arg.slice.index_row(arg.clock.total)], None, None, late, False)
    edge = None if arg.edge is None else edge_value(family, arg, values)[:1]
    return Place(arg, array, arg.first, edge, late, True)


class Bound(NamedTuple):
    """A family with its places."""

    family: Family
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    stacked: list[bool]
    n: int
    waits: bool


class OneSequence:
    """The steps of a block of one sequence, bound to the arrays of a run."""

    def __init__(self, block, values, waits):
        self.bound = [
            Bound(
                f,
                tuple(_place(f, a, values) for a in f.args),
                tuple(_place(f, o, values) for o in f.outs),
                [per_instance(f, a) for a in f.args],
                f.factor.n,
                waits(f),
            )
            for f in block.families
        ]

    def forward(self, times) -> None:
        """Every step in order."""
        for t in times:
            for family, inputs, outputs, _, n, _ in self.bound:
                i = t - family.first
                if not 0 <= i < n:
                    continue
                found = as_tuple(called(family, [p.read(i) for p in inputs]), family)
                for place, value in zip(outputs, found, strict=True):
                    check_many(family, place.arg, value.shape, 1)
                    place.array[i + place.shift] = value[0]

    def backward(self, times, store, later) -> None:
        """Local VJPs against the order; of a split one the early part."""
        kept: dict[tuple[int, str], Any] = {}

        def target(which, name: str):
            key = id(which), name
            if key not in kept:
                real = name in which  # integers have no cotangents
                kept[key] = which[name] if real else None
            return kept[key]

        for t in times:
            for family, inputs, outputs, stacked, n, wait in reversed(self.bound):
                i = t - family.first
                if not 0 <= i < n:
                    continue
                given = [p.read(i) for p in inputs]
                cotangents = [target(store, p.arg.name)[i + p.shift : i + p.shift + 1] for p in outputs]
                if wait:
                    found = vjp_part(family, 0, given, cotangents)
                else:
                    found = vjp_many(family, given, stacked, cotangents, 1)
                for place, message in zip(inputs, found, strict=True):
                    if message is not None:
                        self.add(place, i, message, target, store, later)

    def add(self, place: Place, i: int, message, target, store, later) -> None:
        """Add one instance's message."""
        arg = place.arg
        if not place.stacked:
            whole = target(store, arg.name)
            if whole is None:
                return
            if arg.rows is None:
                whole += message
                return
            row = arg.slice.index_row(arg.clock.total)
            whole[row] += message
            if place.lagged:
                target(later, arg.name)[row] += message
            return
        row = place.row(i)
        if row is None:
            for which in (store, later):
                edge = target(which, arg.edge.name)
                if edge is not None:
                    add_edge(arg, edge, np.asarray(message), np.zeros(1, np.int64))
            return
        rows = target(store, arg.name)
        if rows is None:
            return
        rows[row] += message[0]
        if place.lagged:
            target(later, arg.name)[row] += message[0]
