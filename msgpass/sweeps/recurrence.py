"""Recurrences: f in the order of time, then the affine sweep of cotangents against it.

    forward    h_t = f(h_{t−1}, x_t, θ)
    backward   λ_t = local_t + J_{t+1}ᵀ λ_{t+1},   J_t = ∂h_t/∂h_{t−1};      ∂total/∂θ = Σ_t (∂f_t/∂θ)ᵀ λ_t

A vectorised step with a small state is linearised at all times at once after the forward pass, so that the
sweep is a chain of matrix-vector products and the parameters take one stacked VJP. Any other takes a local
VJP at each time; of a split VJP the early part, and the late part once for all times.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import GraphError
from msgpass.plan import Family, Recurrence
from msgpass.sweeps.local import (
    as_tuple,
    call_many,
    call_one,
    check_states,
    jacobians,
    jvp_one,
    vjp_part,
)
from msgpass.sweeps.one_sequence import OneSequence
from msgpass.sweeps.one_sequence import fits as fits_one
from msgpass.sweeps.real import Store, deliver, lagged
from msgpass.sweeps.recurrence_scan import fits, scan_cotangents
from msgpass.sweeps.rows import add_edge, add_rows, edge_value, edges_of, per_instance, read, rows_of

LINEARISED_STATE = (
    64  # above this many numbers a step, one VJP a time step is cheaper than that many VJPs of all steps
)
LINEARISED_BYTES = 1 << 28
COLUMNS_ROW = 1024
"""Numbers a step up to which several cotangents share the VJPs of a state that is not linearised: eight of
them take 0.5 of eight sweeps' time at 256 numbers, and 1.8 of it at 4096."""


def time_range(block: Recurrence) -> range:
    """Step numbers in the order of the sweep (a step's number counts from the family's first instance)."""
    last = max((f.first + int(f.counts.max(initial=0)) for f in block.families), default=0)
    first = min(f.first for f in block.families)
    return range(first, last) if block.direction > 0 else range(last - 1, first - 1, -1)


class Sweep:
    """One recurrence in one run."""

    resumes = True
    """The backward sweep needs values alone."""

    def __init__(self, block: Recurrence, values, scans: bool = False):
        self.block, self.values, self.scans = block, values, scans
        self.edges: dict[tuple[str, int], np.ndarray] = {}
        self.linear: Any = None
        self.single: OneSequence | None = None
        self.read_once: dict[str, list] = {}  # inputs of all instances of a family whose VJP is split

    # -- forward -----------------------------------------------------------------------------------------

    def forward(self) -> None:
        """Run every step in order."""
        for family in self.block.families:
            for out in family.outs:
                node = out.slice.node
                if out.name not in self.values:
                    self.values[out.name] = np.empty((node.clock.total, *node.shape), self.dtype)
        if fits_one(self.block):
            self.single = OneSequence(self.block, self.values, waits)
            self.single.forward(time_range(self.block))
        else:
            for t in time_range(self.block):
                for family in self.block.families:
                    self.step(family, t)
        check_states(self.block, self.values)

    @property
    def dtype(self):
        """Single precision only where every real input is."""
        inputs = [
            self.values[a.name]
            for f in self.block.families
            for a in (*f.args, *(b.edge for b in f.args if b.edge))
            if a.name not in self.block.nodes
        ]
        kinds = [np.asarray(v).dtype for v in inputs if np.asarray(v).dtype.kind == "f"]
        return np.result_type(*kinds) if kinds else np.float64

    def step(self, family: Family, t: int) -> None:
        """All sequences' instances at local time t."""
        sequences = self.active(family, t)
        if family.potential.vectorized and len(sequences):
            inputs = [self.group(family, a, sequences, t) for a in family.args]
            outputs = call_many(
                family, inputs, [per_instance(family, a) for a in family.args], len(sequences)
            )
            for out, value in zip(family.outs, outputs, strict=True):
                self.values[out.name][self.rows(out, family, sequences, t)] = value
            return
        for n in sequences:
            outputs = call_one(family, [self.one(family, a, n, t) for a in family.args])
            for out, value in zip(family.outs, outputs, strict=True):
                self.values[out.name][self.row(out, family, n, t)] = value

    def active(self, family: Family, t: int, window=None) -> np.ndarray:
        """Sequences that have an instance at local time t (inside the window)."""
        if family.factor.stepped:
            i = t - family.first
            has = (family.counts > i) & (i >= 0)
        else:
            has = family.times == t
        if window is not None:
            low, high = window
            has = has & (low <= t) & (t < high)
        return np.flatnonzero(has)

    def row(self, arg, family: Family, n: int, t: int) -> int:
        """Row of an argument (may lie one outside the sequence: its edge)."""
        length = arg.clock.lengths[n]
        base = int(arg.clock.offsets[n])
        if arg.slice.kind == "index":
            return base + arg.slice.index_row(length)
        return base + arg.first + t - family.first

    def rows(self, arg, family: Family, sequences, t: int) -> np.ndarray:
        """Rows of several sequences."""
        clock = arg.clock
        own = sequences if len(clock.lengths) > 1 else np.zeros_like(sequences)
        if arg.slice.kind == "index":
            start = arg.slice.start
            return clock.offsets[own] + (start if start >= 0 else clock.sizes[own] + start)
        return clock.offsets[own] + (arg.first + t - family.first)

    def outside(self, arg, family: Family, sequences, t: int) -> np.ndarray | bool:
        """For several sequences: the argument's row lies outside, where the edge stands in (False: in
        none).
        """
        if arg.edge is None:
            return False
        i = arg.first + t - family.first
        return np.ones(len(sequences), bool) if i < 0 else i >= arg.clock.sizes[sequences]

    def at_edge(self, arg, family: Family, n: int, t: int) -> bool:
        """The argument's row lies outside its sequence."""
        if arg.edge is None:
            return False
        i = arg.first + t - family.first
        return i < 0 or i >= arg.clock.lengths[n]

    def edge(self, family: Family, arg) -> np.ndarray:
        """Edge values with a leading axis of sequences."""
        key = (family.name, family.args.index(arg))
        if key not in self.edges:
            self.edges[key] = edge_value(family, arg, self.values)
        return self.edges[key]

    def one(self, family: Family, arg, n: int, t: int):
        """Input of one instance."""
        if arg.rows is None:
            return self.values[arg.name]
        if self.at_edge(arg, family, n, t):
            edge = self.edge(family, arg)
            return edge[n if len(edge) > 1 else 0]
        clock_n = n if len(arg.clock.lengths) > 1 else 0
        return self.values[arg.name][self.row(arg, family, clock_n, t)]

    def group(self, family: Family, arg, sequences, t: int):
        """Input of several instances, stacked if they have rows of their own."""
        if arg.rows is None or not per_instance(family, arg):
            return self.one(family, arg, int(sequences[0]), t)
        if len(sequences) == 1:
            return self.one(family, arg, int(sequences[0]), t)[None]
        rows, outside = self.rows(arg, family, sequences, t), self.outside(arg, family, sequences, t)
        if not np.any(outside):
            return self.values[arg.name][rows]
        edge = self.edge(family, arg)
        told = edge[sequences if len(edge) > 1 else np.zeros_like(sequences)]
        if np.all(outside):
            return told
        told = np.array(told, np.result_type(told, self.values[arg.name]))
        told[~outside] = self.values[arg.name][rows[~outside]]
        return told

    # -- backward ----------------------------------------------------------------------------------------

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Cotangents from the local ones already in ``store``; ``window`` bounds the local times, ``chosen``
        its instances.
        """
        if self.can_linearise() or (store.columns > 1 and self.alike()):
            self.affine(store, later, window, chosen)
            return
        times = reversed(self.times(window))
        if self.single is not None and self.in_parts(store):
            self.single.backward(times, store, later)
        else:
            for t in times:
                for family in reversed(self.block.families):
                    self.back_step(family, t, store, later, window)
        for family in self.block.families:
            if waits(family) and self.in_parts(store):
                self.late(family, store, later, chosen)

    def in_parts(self, store) -> bool:
        """Split VJPs are taken in their two parts: one cotangent, and no rule on what a single step says."""
        return store.columns == 1

    def late(self, family: Family, store, later, chosen) -> None:
        """What a step says to the inputs that the recurrence does not need, of all (chosen) instances."""
        inputs = self.read_once.get(family.name)
        if inputs is None:
            inputs = self.read_once[family.name] = [read(family, a, self.values) for a in family.args]
        if chosen is not None:
            inputs = [
                v[chosen] if per_instance(family, a) else v for a, v in zip(family.args, inputs, strict=True)
            ]
        cotangents = [store[o.name][rows_of(family, o, chosen)] for o in family.outs]
        if not len(cotangents[0]):
            return
        for arg, message in zip(family.args, vjp_part(family, 1, inputs, cotangents), strict=True):
            if message is not None and arg.name in self.block.nodes:
                raise GraphError(
                    f"step {family.name!r}: the late part of its split VJP has a cotangent for "
                    f"{arg.slice.name}, which the recurrence needs at once; give it in the early part"
                )
            deliver(family, arg, message, store, later, chosen)

    def times(self, window) -> range:
        """Step numbers of the sweep that lie in any sequence's window (windows run with the clock only)."""
        every = time_range(self.block)
        if window is None:
            return every
        low, high = window
        return range(max(every.start, int(low.min())), min(every.stop, int(high.max())))

    def alike(self) -> bool:
        """One vectorised family, which computes every step."""
        families = self.block.families
        return len(families) == 1 and families[0].potential.vectorized and families[0].factor.stepped

    def takes_columns(self) -> bool:
        """Several cotangents are carried faster side by side than one after another."""
        row = sum(int(np.prod(o.slice.shape)) for f in self.block.families for o in f.outs)
        return self.can_linearise() or (self.alike() and row <= COLUMNS_ROW)

    def can_linearise(self) -> bool:
        """One vectorised family, small state."""
        family = self.block.families[0]
        size = sum(int(np.prod(o.slice.shape)) for o in family.outs)
        return (
            self.alike()
            and size <= LINEARISED_STATE
            and family.factor.n * size * size * 8 <= LINEARISED_BYTES
        )

    def linearised(self, family: Family) -> tuple:
        """Positions of the states before among the inputs, all inputs stacked, and the Jacobians of all
        steps."""
        inner = [k for k, a in enumerate(family.args) if a.name in self.block.nodes]
        if self.linear is None:
            inputs = [read(family, a, self.values) for a in family.args]
            self.linear = inputs, jacobians(family, inputs, inner, family.factor.n)
        return inner, *self.linear

    def affine(self, store, later, window, chosen) -> None:
        """λ by matrix-vector products with the Jacobians of all steps, by a scan, or (of several columns) by
        local VJPs of the states alone; then one stacked VJP."""
        family = self.block.families[0]
        if self.can_linearise():
            inner, inputs, J = self.linearised(family)
            flat = {name: store.flat(name) for name in self.block.nodes}
            scanned = self.scans and store.columns == 1 and window is None and fits(self.block, family)
            scanned = scanned and scan_cotangents(self.block, family, J, flat)
            if not scanned:
                self.pull(family, inner, J, flat, window)
        else:
            inner = [k for k, a in enumerate(family.args) if a.name in self.block.nodes]
            inputs = [read(family, a, self.values) for a in family.args]
            self.pull_states(family, inner, store, window)
        stacked = [per_instance(family, a) for a in family.args]
        cotangents = [store[o.name][rows_of(family, o, chosen)] for o in family.outs]
        part = (
            inputs
            if chosen is None
            else [v[chosen] if s else v for v, s in zip(inputs, stacked, strict=True)]
        )
        found = store.vjp(family, part, stacked, cotangents, len(cotangents[0]))
        if store.rules is not None:
            found = store.rules.shared(family, found, part, stacked, cotangents)
        for k, (arg, message) in enumerate(zip(family.args, found, strict=True)):
            if k not in inner:
                deliver(family, arg, message, store, later, chosen)
            elif message is not None:
                self.deliver_inner(family, arg, np.asarray(message), store, later, chosen)

    def pull(self, family, inner, J, flat, window) -> None:
        """λ against the order of time, in place."""
        for t in reversed(self.times(window)):
            sequences = self.active(family, t, window)
            if len(sequences) > 1:
                self.pull_many(family, t, sequences, inner, J, flat)
                continue
            for n in sequences:
                j = family.starts[n] + t - family.first
                for k, out in enumerate(family.outs):
                    cotangent = flat[out.name][self.row(out, family, n, t)]
                    for jac, a in zip(J[k], inner, strict=True):
                        arg = family.args[a]
                        if not self.at_edge(arg, family, n, t):
                            flat[arg.name][self.row(arg, family, n, t)] += jac[j].T @ cotangent

    def pull_states(self, family, inner, store, window) -> None:
        """λ of several columns against the order of time, in place: one VJP a time step for all of them."""
        stacked = [per_instance(family, a) for a in family.args]
        for t in reversed(self.times(window)):
            sequences = self.active(family, t, window)
            if not len(sequences):
                continue
            inputs = [self.group(family, a, sequences, t) for a in family.args]
            cotangents = [store[o.name][self.rows(o, family, sequences, t)] for o in family.outs]
            found = store.vjp_of_rows(family, inputs, stacked, cotangents, len(sequences))
            for k in inner:
                arg = family.args[k]
                for j, n in enumerate(sequences if found[k] is not None else ()):
                    if not self.at_edge(arg, family, n, t):
                        store[arg.name][self.row(arg, family, n, t)] += found[k][j]

    def pull_many(self, family, t, sequences, inner, J, flat) -> None:
        """λ_{t−1} += J_tᵀ λ_t of several sequences at once."""
        instances = family.starts[sequences] + (t - family.first)
        for k, out in enumerate(family.outs):
            cotangents = flat[out.name][self.rows(out, family, sequences, t)]
            for jac, a in zip(J[k], inner, strict=True):
                arg = family.args[a]
                inside = ~np.broadcast_to(self.outside(arg, family, sequences, t), len(sequences))
                if inside.any():
                    rows = self.rows(arg, family, sequences, t)[inside]
                    own = cotangents[inside]
                    columns = own.reshape(*own.shape[:2], -1)
                    said = jac[instances[inside]].swapaxes(1, 2) @ columns
                    flat[arg.name][rows] += said.reshape(len(said), said.shape[1], *own.shape[2:])

    def deliver_inner(self, family, arg, message, store, later, chosen) -> None:
        """The sweep has added the inner rows to ``store`` already: only edges, and what later slices say,
        remain.
        """
        if store.rules is not None:
            message = store.rules.stacked(family, family.args.index(arg), message, self.values, chosen)
        if lagged(family, arg):
            add_rows(family, _without_edge(arg), later, *_inner_rows(family, arg, message, chosen))
        if arg.edge is not None and arg.edge.name in store:
            which = np.arange(family.factor.n) if chosen is None else np.arange(family.factor.n)[chosen]
            instances, sequences = edges_of(family, arg)
            on_edge = np.isin(which, instances)
            if on_edge.any():
                ends = sequences[np.searchsorted(instances, which[on_edge])]
                for target in (store, later):
                    add_edge(arg, target[arg.edge.name], message[on_edge], ends)

    def back_step(self, family, t, store, later, window) -> None:
        """Local VJPs at time t."""
        self.back_instances(family, t, self.active(family, t, window), store, later)

    def back_instances(self, family, t, sequences, store, later) -> None:
        """Local VJPs of several sequences' instances at time t."""
        if family.potential.vectorized and len(sequences):
            inputs = [self.group(family, a, sequences, t) for a in family.args]
            cotangents = [store[o.name][self.rows(o, family, sequences, t)] for o in family.outs]
            stacked = [per_instance(family, a) for a in family.args]
            if waits(family) and self.in_parts(store):
                found = vjp_part(family, 0, inputs, cotangents)
            else:
                found = store.vjp(family, inputs, stacked, cotangents, len(sequences))
            for arg, message in zip(family.args, found, strict=True):
                if message is None:
                    continue
                if per_instance(family, arg) and len(sequences) > 1:
                    self.add_many(family, arg, sequences, t, np.asarray(message), store, later)
                else:
                    own = message[0] if per_instance(family, arg) else message
                    self.add_one(family, arg, sequences[0], t, own, store, later)
            return
        for n in sequences:
            inputs = [self.one(family, a, n, t) for a in family.args]
            cotangents = [store[o.name][self.row(o, family, n, t)] for o in family.outs]
            found = store.vjp(family, inputs, [False] * len(inputs), cotangents, None)
            for arg, message in zip(family.args, found, strict=True):
                if message is not None:
                    self.add_one(family, arg, n, t, message, store, later)

    def add_many(self, family, arg, sequences, t, messages, store, later) -> None:
        """Add the messages of several sequences' instances, a row each."""
        outside = np.broadcast_to(self.outside(arg, family, sequences, t), len(sequences))
        if outside.any():
            for target in (store, later):
                if arg.edge.name in target:
                    add_edge(arg, target[arg.edge.name], messages[outside], sequences[outside])
        inside = ~outside
        if arg.name in store and inside.any():
            rows = self.rows(arg, family, sequences, t)[inside]
            np.add.at(store[arg.name], rows, messages[inside])
            if lagged(family, arg):
                np.add.at(later[arg.name], rows, messages[inside])

    def add_one(self, family, arg, n, t, message, store, later) -> None:
        """Add one instance's message."""
        if arg.rows is None:
            if arg.name in store:
                store[arg.name] += message
        elif self.at_edge(arg, family, n, t):
            for target in (store, later):
                if arg.edge.name in target:
                    add_edge(arg, target[arg.edge.name], np.asarray(message)[None], np.array([n]))
        elif arg.name in store:
            clock_n = n if len(arg.clock.lengths) > 1 else 0
            row = self.row(arg, family, clock_n, t)
            store[arg.name][row] += message
            if lagged(family, arg):
                later[arg.name][row] += message

    # -- tangents ----------------------------------------------------------------------------------------

    def tangent(self, tangents) -> None:
        """Push tangents forward in the order of time (the values are there already)."""
        zero_tangents(self.block, tangents)
        if self.can_linearise():
            self.affine_tangent(tangents)
            return
        moved = Sweep(self.block, tangents)
        for t in time_range(self.block):
            for family in self.block.families:
                for n in self.active(family, t):
                    inputs = [self.one(family, a, n, t) for a in family.args]
                    moves = [moved.one(family, a, n, t) if a.name in tangents else None for a in family.args]
                    if family.potential.vectorized:
                        own = [per_instance(family, a) for a in family.args]
                        inputs = [v[None] if s else v for v, s in zip(inputs, own, strict=True)]
                        moves = [
                            v[None] if s and v is not None else v for v, s in zip(moves, own, strict=True)
                        ]
                    found = as_tuple(jvp_one(family, inputs, moves), family)
                    for out, value in zip(family.outs, found, strict=True):
                        tangents[out.name][self.row(out, family, n, t)] = (
                            value[0] if family.potential.vectorized else value
                        )

    def affine_tangent(self, tangents) -> None:
        """ḣ_t = J_t ḣ_{t−1} + u_t with one stacked JVP for what comes from outside, u."""
        family = self.block.families[0]
        inner, inputs, J = self.linearised(family)
        outside = outside_tangents(family, inputs, tangents)
        flat = {name: tangents[name].reshape(len(tangents[name]), -1) for name in self.block.nodes}
        for t in time_range(self.block):
            i = t - family.first
            for n in self.active(family, t):
                j = family.starts[n] + i
                for k, out in enumerate(family.outs):
                    moved = outside[k][j].reshape(-1)
                    for jac, a in zip(J[k], inner, strict=True):
                        arg = family.args[a]
                        if not self.at_edge(arg, family, n, t):
                            moved = moved + jac[j] @ flat[arg.name][self.row(arg, family, n, t)]
                    flat[out.name][self.row(out, family, n, t)] = moved


def waits(family: Family) -> bool:
    """Part of the family's VJP is taken once for all steps."""
    return family.potential.split is not None and family.potential.vectorized and family.factor.stepped


def zero_tangents(block: Recurrence, tangents) -> None:
    """The block's states and edges start with tangents of zero."""
    for name in block.nodes:
        tangents.zero(name, None)
    for family in block.families:
        for arg in family.args:
            if arg.edge is not None and arg.edge.name not in tangents:
                tangents.zero(arg.edge.name, None)


def outside_tangents(family: Family, inputs, tangents) -> tuple[np.ndarray, ...]:
    """Tangents of all outputs from all but the states before, whose tangents are still zero but at edges."""
    moves = [
        read(family, a, tangents) if a.name in tangents and np.asarray(v).dtype.kind == "f" else None
        for a, v in zip(family.args, inputs, strict=True)
    ]
    found = jvp_one(family, inputs, moves)
    return tuple(
        np.broadcast_to(f, (family.factor.n, *o.slice.shape)) for f, o in zip(found, family.outs, strict=True)
    )


def _without_edge(arg):
    from dataclasses import replace

    return replace(arg, edge=None)


def _inner_rows(family, arg, message, chosen):
    """Messages and instances whose row lies inside the sequence."""
    which = np.arange(family.factor.n) if chosen is None else np.arange(family.factor.n)[chosen]
    if arg.edge is None:
        return message, which
    inside = ~np.isin(which, edges_of(family, arg)[0])
    return message[inside], which[inside]
