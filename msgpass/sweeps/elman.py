"""The compiled sweep behind ``Step(kernel="tanh" | "relu")``: h_t = act(W_ih x_t + b + W_hh h_{t−1}).

Which parameter is which, and whether it is transposed, is found by evaluating the step's own function on one
random input: a step that computes something else is an error. Small work runs the reference until enough of
it has come by
on the same
graph, so that nobody waits for a compiler; the choice depends on sizes and on the number of runs alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, permutations, product
from typing import Any

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.kernels.elman_reference import ACTIVATIONS
from msgpass.plan import Recurrence
from msgpass.sweeps.local import check_finite
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import outside_tangents, zero_tangents
from msgpass.sweeps.rows import add_edge, edge_value, read

PATIENCE = 10e-3
"""Seconds of reference work (estimated from sizes) that a graph runs before its sweep is compiled or
loaded.
"""


@dataclass(frozen=True)
class Roles:
    """Names of the step's inputs in the Elman formula; weights as (name, transposed)."""

    state: Any  # Arg of the previous state
    x: Any  # Arg of the input
    w_hh: tuple[str, bool]
    w_ih: tuple[str, bool]
    biases: tuple[str, ...]
    batch: bool


def make(plan, k: int, block: Recurrence, values):
    """The compiled sweep, or None while the reference is quicker than a compiler."""
    key = ("elman", k)
    if key not in plan.cache:
        plan.cache[key] = find_roles(block, values)
    roles = plan.cache[key]
    if plan.cache.get("start compiled"):
        return ElmanSweep(block, roles, values)
    rows, width = block.families[0].factor.n, roles.state.slice.node.size
    spent = plan.cache.get((key, "spent"), 0.0) + rows * (15e-6 + 1e-9 * width * width)
    plan.cache[key, "spent"] = spent
    return ElmanSweep(block, roles, values) if spent > PATIENCE else None


def find_roles(block: Recurrence, values) -> Roles:
    """Match the family's inputs with the formula by shapes, then by value."""
    family = block.families[0]
    kernel = family.potential.kernel
    out = family.outs[0]
    states = [a for a in family.args if a.name in block.nodes]
    inputs = [a for a in family.args if a.name not in block.nodes and a.rows is not None]
    shared = [a.name for a in family.args if a.rows is None]
    shape = out.slice.shape
    structure = (
        len(family.outs) == 1
        and len(states) == 1
        and len(inputs) == 1
        and states[0].edge is not None
        and inputs[0].slice.kind == "range"
        and out.slice.kind == "range"
        and block.order == 1
        and family.factor.n == out.slice.node.clock.total
        and 1 <= len(shape) <= 2
    )
    if structure:
        found = _match(family, states[0], inputs[0], shared, values, kernel)
        if found is not None:
            return found
    raise UnsupportedError(
        f"step {family.name!r} asks for the compiled sweep {kernel!r}, which runs h ← {kernel}(W h + U x + "
        "b) with inputs h.after(start) or h.before(end), x[:], W, U and up to two biases and out=h[:]; its "
        "function does not compute that. Leave kernel= out to run it as it is"
    )


def _match(family, state, x, shared: list[str], values, kernel: str) -> Roles | None:
    batch = len(state.slice.shape) == 2
    hidden = state.slice.shape[-1]
    rows = state.slice.shape[0] if batch else 1
    x_shape = x.slice.shape
    width = int(np.prod(x_shape)) // rows if x_shape else 1
    generator = np.random.default_rng(0)
    dtype = np.asarray(values[shared[0]]).dtype if shared else np.float64
    # Positive weights and several inputs of either sign: no relu is dead in all of them, and none hides a
    # weight's place.
    trial = {n: generator.uniform(0.1, 0.5, np.shape(values[n])).astype(dtype) for n in shared}
    trials = [
        tuple(generator.uniform(-1, 1, s).astype(dtype) for s in (state.slice.shape, x_shape))
        for _ in range(8)
    ]
    wanted = []
    for h, u in trials:
        given = {state.name: h, x.name: u, **trial}
        own = [given[a.name] for a in family.args]
        if family.potential.vectorized:
            own = [v[None] if a.rows is not None else v for v, a in zip(own, family.args, strict=True)]
        try:
            wanted.append(np.asarray(family.potential.f(*own)).reshape(rows, hidden))
        except (ValueError, TypeError, IndexError):
            return None
    h2 = np.concatenate([h.reshape(rows, hidden) for h, _ in trials])
    u2 = np.concatenate([u.reshape(rows, width) for _, u in trials])
    expected = np.concatenate(wanted)
    activation: Any = ACTIVATIONS[kernel][0]
    for w_hh, w_ih in permutations(shared, 2):
        rest = tuple(n for n in shared if n not in (w_hh, w_ih))
        if (
            trial[w_hh].shape != (hidden, hidden)
            or trial[w_ih].size != hidden * width
            or any(trial[b].shape != (hidden,) for b in rest)
        ):
            continue
        for flip_hh, flip_ih in product((False, True), repeat=2):
            recurrent = trial[w_hh].T if flip_hh else trial[w_hh]
            inward = _oriented(trial[w_ih], flip_ih, hidden, width)
            if inward is None:
                continue
            z = h2 @ recurrent.T + u2 @ inward.T + sum(trial[b] for b in rest)
            if np.allclose(activation(z), expected, rtol=1e-4, atol=1e-5):
                return Roles(state, x, (w_hh, flip_hh), (w_ih, flip_ih), rest, batch)
    return None


def _oriented(weight: np.ndarray, flip: bool, hidden: int, width: int) -> np.ndarray | None:
    if weight.ndim == 1:
        return None if flip else weight.reshape(hidden, width)
    weight = weight.T if flip else weight
    return weight if weight.shape == (hidden, width) else None


class ElmanSweep:
    """Forward and backward over all steps in compiled code; adjoints and input gradients are made when asked
    for.
    """

    def __init__(self, block: Recurrence, roles: Roles, values):
        self.block, self.roles, self.values = block, roles, values
        self.family = block.families[0]
        self.kernel = self.family.potential.kernel
        self.reverse = block.direction < 0
        self.out = self.family.outs[0]

    def arrays(self):
        """Weights as (H, H), (H, I), (H,), in the run's precision."""
        (hh, flip_hh), (ih, flip_ih) = self.roles.w_hh, self.roles.w_ih
        w_hh = self.values[hh].T if flip_hh else self.values[hh]
        hidden = w_hh.shape[0]
        w_ih = self.values[ih]
        w_ih = w_ih.reshape(hidden, -1) if w_ih.ndim == 1 else w_ih.T if flip_ih else w_ih
        dtype = np.result_type(w_hh, w_ih, self.values[self.roles.x.name])
        biases = [self.values[b] for b in self.roles.biases]
        bias = sum(biases[1:], biases[0]) if biases else np.zeros(hidden, dtype)
        return (
            np.ascontiguousarray(w_hh, dtype),
            np.ascontiguousarray(w_ih, dtype),
            np.asarray(bias, dtype),
            dtype,
        )

    def pieces(self):
        """(rows, sequence) of every sequence on the clock."""
        offsets = self.out.clock.offsets
        return [(slice(int(a), int(b)), n) for n, (a, b) in enumerate(pairwise(offsets))]

    def block_of(self, array: np.ndarray, rows: slice, dtype) -> np.ndarray:
        """Rows as (T, B, features)."""
        part = array[rows]
        batch = self.out.slice.shape[0] if self.roles.batch else 1
        return np.ascontiguousarray(part.reshape(len(part), batch, -1), dtype)

    def start(self, n: int, dtype) -> np.ndarray:
        """Edge state of a sequence, (B, H)."""
        edge = edge_value(self.family, self.roles.state, self.values)
        one = edge[n if len(edge) > 1 else 0]
        return np.ascontiguousarray(one.reshape(-1, self.out.slice.shape[-1]), dtype)

    def forward(self) -> None:
        """All states."""
        from msgpass.kernels import elman

        w_hh, w_ih, bias, dtype = self.arrays()
        x = self.values[self.roles.x.name]
        parts = [
            elman.forward(
                self.block_of(x, rows, dtype),
                w_ih,
                w_hh,
                bias,
                self.start(n, dtype),
                self.kernel,
                reverse=self.reverse,
            )
            for rows, n in self.pieces()
        ]
        h = parts[0] if len(parts) == 1 else np.concatenate(parts)
        self.values[self.out.name] = h.reshape(len(h), *self.out.slice.shape)
        # A NaN stays in its row of the batch, so the last step shows whether there was one.
        if not all(np.isfinite(p[0 if self.reverse else -1]).all() for p in parts):
            check_finite(self.out.name, self.values[self.out.name], self.family, self.out.clock)

    def tangent(self, tangents) -> None:
        """ḣ_t = u_t + act'(h_t) W_hh ḣ_{t−1}, with one stacked JVP for what comes from outside, u."""
        zero_tangents(self.block, tangents)
        inputs = [read(self.family, a, self.values) for a in self.family.args]
        (outside,) = outside_tangents(self.family, inputs, tangents)
        w_hh = self.arrays()[0]
        slope: Any = ACTIVATIONS[self.kernel][1]
        moved = np.array(outside)
        for rows, _ in self.pieces():
            h, part = self.values[self.out.name][rows], moved[rows]
            carry = slope(h)
            order = range(len(part) - 2, -1, -1) if self.reverse else range(1, len(part))
            for t in order:
                part[t] += carry[t] * (part[t + 1 if self.reverse else t - 1] @ w_hh.T)
        tangents[self.out.name] = moved

    def adjoint(self, store: Store, want_dz: bool):
        """Kernel gradients of every sequence from the local cotangents in ``store``."""
        from msgpass.kernels import elman

        w_hh, w_ih, _, dtype = self.arrays()
        x, h, cotangent = (
            self.values[self.roles.x.name],
            self.values[self.out.name],
            store.peek(self.out.name),
        )
        return [
            elman.backward(
                self.block_of(cotangent, rows, dtype),
                self.block_of(x, rows, dtype),
                self.block_of(h, rows, dtype),
                self.start(n, dtype),
                w_ih,
                w_hh,
                self.kernel,
                want_dz,
                reverse=self.reverse,
            )
            for rows, n in self.pieces()
        ]

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Gradients at the parameters and edges now; adjoints now only if a step below needs them."""
        x = self.roles.x
        below = x.name in self.block.families[0].factor.graph.plan().owner
        found = self.adjoint(store, want_dz=below)
        for n, grads in enumerate(found):
            self.add_weights(store, grads)
            edge, message = self.roles.state.edge, grads.h0.reshape(1, *self.out.slice.shape)
            for target in (store, later):
                if edge.name in target:
                    add_edge(self.roles.state, target[edge.name], message, np.array([n]))
        if below:
            store[x.name][x.rows] += self.at_inputs(found).reshape(-1, *x.slice.shape)
        lazy = _Lazy(self, store, [g.dz for g in found] if below else None)
        store.pending.setdefault(self.out.name, []).append(lazy.states)
        later.pending.setdefault(self.out.name, []).append(lazy.later)
        if not below and x.name in store:
            store.pending.setdefault(x.name, []).append(lazy.inputs)

    def add_weights(self, store: Store, grads) -> None:
        """dW and db, in the parameters' own orientation."""
        (hh, flip_hh), (ih, flip_ih) = self.roles.w_hh, self.roles.w_ih
        store[hh] += grads.w_hh.T if flip_hh else grads.w_hh
        store[ih] += (
            grads.w_ih.reshape(store[ih].shape)
            if store[ih].ndim == 1
            else grads.w_ih.T
            if flip_ih
            else grads.w_ih
        )
        for b in self.roles.biases:
            store[b] += grads.bias

    def at_inputs(self, found) -> np.ndarray:
        """dz W_ih of all steps."""
        w_ih = self.arrays()[1]
        return np.concatenate([g.dz @ w_ih for g in found])


class _Lazy:
    """Adjoints and input gradients of one backward pass, made when they are first read."""

    def __init__(self, sweep: ElmanSweep, store: Store, dz):
        self.sweep, self.store, self._dz = sweep, store, dz
        self._carried: Any = None

    def carried(self) -> np.ndarray:
        """What each step gets from the next one, dz_{t+1} W_hh."""
        if self._carried is None:
            if self._dz is None:
                self._dz = [g.dz for g in self.sweep.adjoint(self.store, want_dz=True)]
            w_hh = self.sweep.arrays()[0]
            parts = []
            for dz in self._dz:
                part = np.zeros_like(dz)
                if self.sweep.reverse:
                    part[1:] = dz[:-1] @ w_hh
                else:
                    part[:-1] = dz[1:] @ w_hh
                parts.append(part)
            self._carried = np.concatenate(parts).reshape(-1, *self.sweep.out.slice.shape)
        return self._carried

    def states(self, store: Store) -> None:
        """λ of the states: add what later steps say to the local cotangents."""
        carried = self.carried()
        store[self.sweep.out.name] = store[self.sweep.out.name] + carried

    def later(self, later: Store) -> None:
        """What later steps say alone."""
        later[self.sweep.out.name] = later[self.sweep.out.name] + self.carried()

    def inputs(self, store: Store) -> None:
        """Gradient of the observed inputs."""
        self.carried()
        x = self.sweep.roles.x
        w_ih = self.sweep.arrays()[1]
        store[x.name][x.rows] += np.concatenate([dz @ w_ih for dz in self._dz]).reshape(-1, *x.slice.shape)
