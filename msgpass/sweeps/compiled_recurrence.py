"""The compiled sweep of a recurrence behind ``Step(kernel=…)``: gathers arrays, runs a `Formula`'s kernels,
and brings its messages back.

Gradients of weights and starts come with the backward pass; the adjoints of states and what observed inputs
hear are made when somebody asks. Small work runs the reference until enough of it has come by on the same
graph, so that nobody waits for a compiler; the choice depends on sizes and on the number of runs alone.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from msgpass.nodes import Observation
from msgpass.plan import Recurrence
from msgpass.sweeps.local import check_states, vjp_many
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.recurrence_formula import Arrays, Formula, Found, Roles, find_roles
from msgpass.sweeps.rows import add_edge, edge_value, per_instance, read, rows_of

PATIENCE = 10e-3
"""Seconds of reference work (estimated from sizes) that a graph runs before its sweep is compiled or
loaded.
"""


def make(formula: Formula, plan, k: int, block: Recurrence, values, keep: bool = True):
    """The compiled sweep, or None while the reference is quicker than a compiler or has to be asked."""
    key = ("compiled recurrence", k)
    roles = plan.cache.get(key)
    if roles is None:
        roles = plan.cache[key] = find_roles(formula, block, values)
    spent = plan.cache.get((key, "spent"), 0.0)
    if spent <= PATIENCE:
        rows, width = block.families[0].factor.n, roles.outs[0].slice.node.size
        spent += rows * formula.gates * (15e-6 + 1e-9 * width * width)
        plan.cache[key, "spent"] = spent
    if spent <= PATIENCE or not (roles.mask is None or holds(roles.mask, values)):
        return None
    from msgpass.sweeps.straight_recurrence import StraightSweep, is_straight

    kind = StraightSweep if is_straight(roles, values) else CompiledSweep
    return kind(formula, block, roles, values, keep)


def holds(mask, values) -> bool:
    """The mask is data of zeros and ones, which say whether a step's states are new or held."""
    value = values[mask.name]
    return isinstance(mask.slice.node, Observation) and bool(((value == 0) | (value == 1)).all())


class CompiledSweep:
    """Forward and backward over all steps in compiled code."""

    def __init__(self, formula: Formula, block: Recurrence, roles: Roles, values, keep: bool):
        self.formula, self.block, self.roles, self.values, self.keep = formula, block, roles, values, keep
        self.family = block.families[0]
        self.reverse = block.direction < 0
        self.clock = roles.outs[0].clock
        self.shape = roles.outs[0].slice.shape
        self.kept: list[Any] = []

    # -- arrays ------------------------------------------------------------------------------------------

    def weights(self) -> Arrays:
        """Weights in the formula's order and orientation, in the run's precision."""
        found = [self.values[name].T if flip else self.values[name] for name, flip in self.roles.weights]
        dtype = np.result_type(self.values[self.roles.x.name], *found)
        if found[0].ndim == 1:
            found[0] = found[0].reshape(len(found[0]) // self.width, self.width)
        return tuple(np.ascontiguousarray(w, dtype) for w in found)

    @property
    def width(self) -> int:
        """Numbers in one row of x of one member of the batch."""
        size = int(np.prod(self.roles.x.slice.shape))
        return size // self.shape[0] if self.roles.batch else size

    def pieces(self) -> list[tuple[slice, int]]:
        """(rows, sequence) of every sequence on the clock."""
        return [(slice(int(a), int(b)), n) for n, (a, b) in enumerate(pairwise(self.clock.offsets))]

    def block_of(self, array: np.ndarray, rows: slice, dtype) -> np.ndarray:
        """Rows as (T, B, features)."""
        part = array[rows]
        batch = self.shape[0] if self.roles.batch else 1
        return np.ascontiguousarray(part.reshape(len(part), batch, -1), dtype)

    def mask(self, rows: slice, dtype) -> np.ndarray | None:
        """Mask of one sequence, (T, B)."""
        if self.roles.mask is None:
            return None
        return self.block_of(self.values[self.roles.mask.name], rows, dtype)[:, :, 0]

    def starts(self, n: int, dtype) -> Arrays:
        """Edge states of a sequence, (B, H) each."""
        edges = [edge_value(self.family, a, self.values) for a in self.roles.states]
        return tuple(
            np.ascontiguousarray(e[n if len(e) > 1 else 0].reshape(-1, self.shape[-1]), dtype) for e in edges
        )

    # -- forward -----------------------------------------------------------------------------------------

    def forward(self) -> None:
        """All states."""
        weights, x = self.weights(), self.values[self.roles.x.name]
        dtype, parts = weights[0].dtype, []
        for rows, n in self.pieces():
            states, kept = self.formula.forward(
                self.block_of(x, rows, dtype),
                weights,
                self.starts(n, dtype),
                self.mask(rows, dtype),
                reverse=self.reverse,
                keep=self.keep,
            )
            parts.append(states)
            self.kept.append(kept)
        for k, out in enumerate(self.roles.outs):
            own = [states[k] for states in parts]
            array = own[0] if len(own) == 1 else np.concatenate(own)
            self.values[out.name] = array.reshape(len(array), *self.shape)
        # A NaN stays in its row of the batch, so the last step shows whether there was one.
        last = 0 if self.reverse else -1
        if not all(np.isfinite(state[last]).all() for states in parts for state in states):
            check_states(self.block, self.values)

    def tangent(self, tangents) -> None:
        """Tangents of the states, by the formula's own way or the reference's."""
        if self.formula.tangent is not None:
            self.formula.tangent(self, tangents)
        else:
            Sweep(self.block, self.values).tangent(tangents)

    # -- backward ----------------------------------------------------------------------------------------

    def adjoint(self, store: Store, inputs: bool = False, carried: bool = False) -> list[Found]:
        """Kernel gradients of every sequence from the local cotangents in ``store``."""
        weights, x = self.weights(), self.values[self.roles.x.name]
        dtype = weights[0].dtype
        cotangents = [store.peek(o.name) if store.has(o.name) else None for o in self.roles.outs]
        return [
            self.formula.backward(
                tuple(None if c is None else self.block_of(c, rows, dtype) for c in cotangents),
                self.block_of(x, rows, dtype),
                tuple(self.block_of(self.values[o.name], rows, dtype) for o in self.roles.outs),
                weights,
                self.starts(n, dtype),
                self.mask(rows, dtype),
                self.kept[n],
                reverse=self.reverse,
                inputs=inputs,
                carried=carried,
            )
            for rows, n in self.pieces()
        ]

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Gradients at the parameters and edges now; adjoints now only if a step below needs them."""
        x = self.roles.x
        below = x.name in self.family.factor.graph.plan().owner
        found = self.adjoint(store, inputs=below)
        for n, part in enumerate(found):
            self.add_weights(store, part.weights)
            for arg, start in zip(self.roles.states, part.starts, strict=True):
                for target in (store, later):
                    if arg.edge.name in target:
                        message = start.reshape(1, *self.shape)
                        add_edge(arg, target[arg.edge.name], message, np.array([n]))
        if below:
            self.add_inputs(store, found)
        Lazy(self, store).leave(later, below)

    def add_weights(self, store: Store, gradients: Arrays) -> None:
        """Gradients of weights, in the parameters' own orientation."""
        last = None
        for (name, flip), gradient in zip(self.roles.weights, gradients, strict=True):
            own = gradient.copy() if gradient is last else gradient  # two biases share their gradient
            store.add(name, own.T if flip else own)
            last = gradient

    def add_inputs(self, store: Store, found: list[Found]) -> None:
        """Gradients of x."""
        x = self.roles.x
        store[x.name][x.rows] += np.concatenate([f.inputs for f in found]).reshape(-1, *x.slice.shape)


class Lazy:
    """Adjoints and input gradients of one backward pass, made when they are first read."""

    def __init__(self, sweep: CompiledSweep, store: Store):
        self.sweep, self.store = sweep, store
        self._found: Any = None

    def leave(self, later: Store, below: bool) -> None:
        """Leave word with both stores; ``below`` says that inputs have been told already."""
        roles, pending = self.sweep.roles, self.store.pending
        for k, out in enumerate(roles.outs):
            pending.setdefault(out.name, []).append(self.state(k))
            later.pending.setdefault(out.name, []).append(self.later(k))
        if not below and roles.x.name in self.store:
            pending.setdefault(roles.x.name, []).append(self.inputs)
        if roles.mask is not None and roles.mask.name in self.store:
            pending.setdefault(roles.mask.name, []).append(self.mask)

    def found(self) -> list[Found]:
        """The backward pass again, with what each step hears from later ones and what inputs hear."""
        if self._found is None:
            self._found = self.sweep.adjoint(self.store, inputs=True, carried=True)
        return self._found

    def carried(self, k: int) -> np.ndarray:
        """What state k of each step hears from the steps after it."""
        parts = [f.carried[k] for f in self.found() if f.carried is not None]
        return np.concatenate(parts).reshape(-1, *self.sweep.shape)

    def state(self, k: int):
        """λ of state k: the local cotangents and what later steps say."""
        name = self.sweep.roles.outs[k].name

        def add(store: Store) -> None:
            self.found()  # before any state's local cotangent is added to
            store[name] = store[name] + self.carried(k)

        return add

    def later(self, k: int):
        """What later steps say alone."""
        name = self.sweep.roles.outs[k].name

        def add(later: Store) -> None:
            later[name] = later[name] + self.carried(k)

        return add

    def inputs(self, store: Store) -> None:
        """Gradient of the observed inputs."""
        self.sweep.add_inputs(store, self.found())

    def mask(self, store: Store) -> None:
        """Gradient of the mask, by the step's own VJP."""
        sweep = self.sweep
        family, mask = sweep.family, sweep.roles.mask
        inputs = [read(family, a, sweep.values) for a in family.args]
        stacked = [per_instance(family, a) for a in family.args]
        cotangents = [store.complete(o.name)[rows_of(family, o)] for o in family.outs]
        message = vjp_many(family, inputs, stacked, cotangents, family.factor.n)[family.args.index(mask)]
        if message is not None:
            store[mask.name][mask.rows] += message
