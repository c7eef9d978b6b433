"""``Tangent`` along several directions at once: a tangent's last axis has a column a direction.

    ẋ_out = Σ_inputs J_input ẋ_input        J by a VJP a number of the output, or a JVP a column, what is less

Carried along a recurrence, with a column a weight, ẋ is the influence matrix ∂h_t/∂θ of real-time recurrent
learning (Williams & Zipser 1989). A direction may be a slice of columns: one unit direction a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import DataError, UnsupportedError
from msgpass.plan import Losses, Map, Recurrence
from msgpass.sweeps.local import differentiable, jvp_one, vjp_one
from msgpass.sweeps.recurrence import Sweep, time_range
from msgpass.sweeps.rows import per_instance, rows_of
from msgpass.values import all_finite


class Columns(dict):
    """Tangents by node name, (*shape, P); a slice stands for unit directions, an absent name is still."""

    def __init__(self, graph, values, directions, count: int):
        super().__init__(directions)
        self.graph, self.values_of, self.count = graph, values, count
        self.total = np.zeros(count)


def check_columns(graph, values, directions, count: int) -> None:
    """Directions name real values and have as many columns as there are."""
    for name, direction in directions.items():
        value = values.get(name)
        if value is None or value.dtype.kind != "f" or name not in graph.nodes:
            raise DataError(f"Tangent has directions for {name!r}, which is no parameter or real observation")
        if isinstance(direction, slice):
            if direction.indices(count)[1] - direction.indices(count)[0] != value.size:
                raise DataError(
                    f"Tangent: {direction} of {count} columns for {name!r}, which has {value.size} numbers; "
                    "unit directions take a column a number"
                )
        elif direction.shape != (*value.shape, count):
            raise DataError(
                f"Tangent: the directions of {name!r} have shape {direction.shape}, wanted "
                f"{(*value.shape, count)}: a column a direction"
            )
        elif not all_finite(direction):
            raise DataError(f"Tangent: the directions of {name!r} hold NaN or an infinite value")


def push_columns(x) -> Columns:
    """Columns forward over the plan of a run ``x``, whose values are there."""
    algebra = x.tangent_algebra
    moved = Columns(x.plan.graph, x.values, algebra.directions, algebra.columns)
    for k, block in enumerate(x.plan.blocks):
        if isinstance(block, Map | Recurrence):
            _Pushed(block, x.values, moved).run()
        elif isinstance(block, Losses):
            _push_loss(block, moved, x.losses[k][1])
        else:
            raise UnsupportedError(
                f"Tangent along several directions crosses steps and losses; {', '.join(block.nodes)} is a "
                "component of tables or quadratics: take one direction a run"
            )
    return moved


class _Pushed:
    """One block's columns, instance by instance."""

    def __init__(self, block, values, moved: Columns):
        self.block, self.values, self.moved = block, values, moved
        self.sweep = Sweep(block, values)

    def run(self) -> None:
        """In the order of time."""
        block, P = self.block, self.moved.count
        for name in block.nodes:
            # Several blocks may compute rows of one sequence.
            if name not in self.moved:
                self.moved[name] = np.zeros((*self.values[name].shape, P), self.values[name].dtype)
        if isinstance(block, Recurrence):
            for t in time_range(block):
                for family in block.families:
                    self.at(family, t)
            return
        (family,) = block.families
        if family.counts is None:
            self.instance(family, None, 0)
            return
        for t in sorted(set(family.times.tolist())):
            self.at(family, t)

    def at(self, family, t: int) -> None:
        """All sequences' instances at local time t."""
        for n in self.sweep.active(family, t):
            self.instance(family, int(n), t)

    def instance(self, family, n: int | None, t: int) -> None:
        """One instance: values in, columns out."""
        leading = family.potential.vectorized and any(
            a.rows is not None for a in (*family.args, *family.outs)
        )
        own = [leading and per_instance(family, a) for a in family.args]
        inputs = [self._value(family, a, n, t) for a in family.args]
        moves = [self._columns(family, a, n, t) for a in family.args]
        if all(m is None for m in moves):
            return
        inputs = [np.asarray(v)[None] if o else v for v, o in zip(inputs, own, strict=True)]
        for out, columns in zip(family.outs, self.cross(family, inputs, moves, own, leading), strict=True):
            if out.rows is None:
                self.moved[out.name][...] = columns
            else:
                self.moved[out.name][self.sweep.row(out, family, n if n is not None else 0, t)] = columns

    def _value(self, family, arg, n, t):
        return (
            self.values[arg.name]
            if n is None and arg.rows is None
            else self.sweep.one(family, arg, n or 0, t)
        )

    def _columns(self, family, arg, n, t):
        """(*shape, P), a slice, or None where the input does not move."""
        if arg.rows is None:
            return self.moved.get(arg.name)
        if arg.edge is not None and self.sweep.at_edge(arg, family, n, t):
            found = self.moved.get(arg.edge.name)
            if found is None:
                return None
            if isinstance(found, slice):
                found = units(found, self.values[arg.edge.name].shape, self.moved.count)
            if arg.edge.rows is not None:
                found = found[arg.edge.rows]
            many = found.ndim == len(arg.slice.shape) + 2
            return found[n if len(found) > 1 else 0] if many else found
        found = self.moved.get(arg.name)
        if isinstance(found, slice):
            found = units(found, self.values[arg.name].shape, self.moved.count)
        clock_n = n if len(arg.clock.lengths) > 1 else 0
        return None if found is None else found[self.sweep.row(arg, family, clock_n, t)]

    def cross(self, family, inputs, moves, own, leading: bool) -> list[np.ndarray]:
        """Columns of every output, (*shape of the row, P)."""
        P = self.moved.count
        shapes = [o.slice.shape for o in family.outs]
        sizes = [int(np.prod(s)) for s in shapes]
        real = differentiable(inputs)
        moving = [k for k in real if moves[k] is not None]
        columns = [
            np.zeros((*s, P), self.moved[o.name].dtype) for s, o in zip(shapes, family.outs, strict=True)
        ]
        step = family.potential
        if sum(sizes) > P or (step.vjp is None and step.jvp is not None):
            return self._by_jvps(family, inputs, moves, moving, own, leading, columns)
        pull = self._puller(family, inputs, real)
        for k, size in enumerate(sizes):
            for j in range(size):
                cotangents = [np.zeros(s, c.dtype) for s, c in zip(shapes, columns, strict=True)]
                cotangents[k].reshape(-1)[j] = 1
                found = pull([c[None] for c in cotangents] if leading else cotangents)
                row = columns[k].reshape(size, P)[j]
                for a in moving:
                    if found[a] is None:
                        continue
                    slope = np.asarray(found[a]).reshape(-1)
                    if isinstance(moves[a], slice):
                        row[moves[a]] += slope
                    else:
                        row += slope @ moves[a].reshape(len(slope), P)
        return columns

    @staticmethod
    def _puller(family, inputs, real):
        """The VJP of one instance, for many cotangents."""
        step = family.potential
        if step.vjp is not None:
            return lambda cotangents: vjp_one(family, inputs, cotangents)
        from msgpass.interop.differentiators import autograd_vjp

        _, pulled = autograd_vjp(step.f, inputs, real)

        def pull(cotangents):
            found: list[Any] = [None] * len(inputs)
            told = pulled(tuple(cotangents) if len(cotangents) > 1 else cotangents[0])
            for a, g in zip(real, told, strict=True):
                found[a] = g
            return found

        return pull

    def _by_jvps(self, family, inputs, moves, moving, own, leading, columns):
        P = self.moved.count
        full = [
            units(m, np.shape(v)[1:] if o else np.shape(v), P) if isinstance(m, slice) else m
            for m, v, o in zip(moves, inputs, own, strict=True)
        ]
        for p in range(P):
            one = [
                None if k not in moving else full[k][..., p][None] if own[k] else full[k][..., p]
                for k in range(len(inputs))
            ]
            for out, value in zip(columns, jvp_one(family, inputs, one), strict=True):
                out[..., p] = np.asarray(value)[0] if leading else value
        return columns


def units(columns: slice, shape: tuple[int, ...], count: int) -> np.ndarray:
    """Unit directions written out, (*shape, P)."""
    size = int(np.prod(shape))
    full = np.zeros((size, count))
    full[np.arange(size), np.arange(*columns.indices(count))] = 1
    return full.reshape(*shape, count)


def _push_loss(block, moved: Columns, grads) -> None:
    """Directional derivatives of a loss: its gradients times the columns."""
    family = block.families[0]
    for arg, gradient in zip(family.args, grads, strict=True):
        columns = moved.get(arg.name)
        if gradient is None or columns is None:
            continue
        flat = np.asarray(gradient).reshape(-1)
        if isinstance(columns, slice):
            columns = units(columns, np.shape(moved.values_of[arg.name]), moved.count)
        if arg.rows is not None:
            rows = rows_of(family, arg) if per_instance(family, arg) else arg.rows
            columns = columns[rows]
        moved.total += flat @ columns.reshape(len(flat), moved.count)
