"""A factor with its slices resolved: which rows of which arrays its instances touch, and at which times."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.nodes import Clock, Parameter, Sequence, Slice, Variable
from msgpass.potentials import Step


@dataclass(frozen=True, eq=False)
class Arg:
    """One slice of a family, resolved: which rows of which stacked array its instances touch."""

    slice: Slice
    clock: Any  # Clock, or None for what has no steps
    rows: Any  # a slice or an index array; None: one value shared by all instances (single or all)
    first: int  # row of the first instance within each sequence
    edge: Any = None  # Arg of an after or before

    @property
    def name(self) -> str:
        """Name of the node."""
        return self.slice.node.name


@dataclass(frozen=True, eq=False)
class Family:
    """A factor with its slices resolved; instance j is (sequence n, step i) in that order."""

    factor: Any
    args: tuple[Arg, ...]
    outs: tuple[Arg, ...]
    clock: Any  # Clock, or None for a single instance
    counts: Any  # instances of each sequence, or None
    first: int  # local time of the first instance

    @property
    def name(self) -> str:
        """Name of the factor."""
        return self.factor.name

    @property
    def potential(self):
        """Potential of the factor."""
        return self.factor.potential

    @property
    def parameter_names(self) -> dict[str, str]:
        """Role → name of the parameters behind the potential."""
        return {role: p.name for role, p in self.potential.parts.items() if isinstance(p, Parameter)}

    @cached_property
    def table_layout(self) -> tuple[tuple[int, ...], tuple[int, ...], list[int], bool]:
        """Of a table: states of its variables, aligned batch, positions of the observed ones, whether its
        first axis is the step.
        """
        states = tuple(a.slice.node.states for a in self.args)
        batch = next((a.slice.shape for a in self.args if a.slice.shape), ())
        return (
            states,
            batch,
            [k for k, a in enumerate(self.args) if not latent(a)],
            self.potential.stepped(self.factor),
        )

    @cached_property
    def starts(self) -> np.ndarray:
        """First instance of each sequence."""
        return (
            np.concatenate([[0], np.cumsum(self.counts)[:-1]])
            if self.counts is not None
            else np.zeros(1, np.int64)
        )

    @cached_property
    def times(self) -> np.ndarray:
        """Local time of every instance."""
        if self.counts is None:
            return np.array([self.first])
        if not self.factor.stepped:
            arg = next(a for a in (*self.outs, *self.args) if a.slice.kind == "index")
            return np.array([arg.slice.index_row(n) for n in arg.clock.lengths])
        return (
            np.concatenate([self.first + np.arange(c) for c in self.counts])
            if len(self.counts)
            else np.zeros(0, np.int64)
        )


def resolve(factor) -> Family:
    """Rows and local times of a factor's slices."""
    clock, counts = factor.clock, factor.counts
    picked = any(s.kind == "pick" for s in factor.slices)

    def arg(s: Slice) -> Arg:
        if s.kind in ("single", "all"):
            return Arg(s, None, None, 0)
        own = (
            s.node.clock
            if isinstance(s.node, Sequence)
            else Clock((s.node.shape[0],))
            if clock is None or picked
            else clock
        )
        edge = arg(s.edge) if s.edge is not None else None
        first = s.span(own.lengths)[0] if s.stepped else 0
        return Arg(s, own, s.rows(own, counts), first, edge)

    args, outs = tuple(map(arg, factor.args)), tuple(map(arg, factor.out))
    stepped = [a for a in outs if a.slice.stepped] or [
        a for a in args if a.slice.stepped and a.slice.kind == "range"
    ]
    if stepped:
        first = max(a.first for a in stepped)
    else:
        first = max(
            (a.slice.index_row(a.clock.lengths[0]) for a in (*outs, *args) if a.slice.kind == "index"),
            default=0,
        )
    return Family(factor, args, outs, clock, counts, first)


def row_times(a: Arg, f: Family) -> np.ndarray:
    if a.slice.kind == "index":
        rows = np.array([a.slice.index_row(n) for n in a.clock.lengths])
        return np.repeat(rows, f.counts) if f.factor.stepped else rows
    return np.concatenate([a.first + np.arange(c) for c in f.counts])


def latent(a: Arg) -> bool:
    """Still free: a variable or sequence."""
    return isinstance(a.slice.node, Variable | Sequence)


def picks(f: Family) -> bool:
    """Instances touch rows that an index array names."""
    return any(a.slice.kind == "pick" for a in f.args)


def noisy(f: Family) -> bool:
    """A step with Gaussian noise: it relates Gaussian variables as a quadratic does."""
    return isinstance(f.potential, Step) and f.potential.noisy
