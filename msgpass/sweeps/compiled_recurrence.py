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
    if spent <= PATIENCE and plan.cache.get("start compiled"):
        spent = plan.cache[key, "spent"] = np.inf
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
    """Forward and backward over all steps in compiled code; sequences of one length go as one batch."""

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

    @property
    def resumes(self) -> bool:
        """The backward sweep needs values alone."""
        return self.formula.resumes

    def batches(self) -> list[tuple[slice, np.ndarray]]:
        """(rows, sequences) of what goes through time together."""
        lengths = self.clock.lengths
        if len(lengths) > 1 and len(set(lengths)) == 1:
            return [(slice(0, self.clock.total), np.arange(len(lengths)))]
        return [(rows, np.array([n])) for rows, n in self.pieces()]

    def block_of(self, array: np.ndarray, rows: slice, n: int, dtype) -> np.ndarray:
        """Rows of n sequences as (T, n B, features)."""
        part = array[rows]
        batch, steps = self.shape[0] if self.roles.batch else 1, len(part) // n
        if n > 1:
            part = part.reshape(n, steps, -1).swapaxes(0, 1)
        return np.ascontiguousarray(part, dtype).reshape(steps, n * batch, -1)

    def rows_of(self, block: np.ndarray, n: int, shape: tuple[int, ...]) -> np.ndarray:
        """And back: (T, n B, features) as rows of n sequences end to end."""
        if n > 1:
            block = block.reshape(len(block), n, -1).swapaxes(0, 1)
        return block.reshape(-1, *shape)

    def mask(self, rows: slice, n: int, dtype) -> np.ndarray | None:
        """Mask of n sequences, (T, n B)."""
        if self.roles.mask is None:
            return None
        return self.block_of(self.values[self.roles.mask.name], rows, n, dtype)[:, :, 0]

    def starts(self, sequences: np.ndarray, dtype) -> Arrays:
        """Edge states of sequences, (n B, H) each."""
        edges = [edge_value(self.family, a, self.values) for a in self.roles.states]
        own = [e[sequences if len(e) > 1 else np.zeros_like(sequences)] for e in edges]
        return tuple(np.ascontiguousarray(e.reshape(-1, self.shape[-1]), dtype) for e in own)

    # -- forward -----------------------------------------------------------------------------------------

    def forward(self) -> None:
        """All states."""
        weights, x = self.weights(), self.values[self.roles.x.name]
        dtype, parts = weights[0].dtype, []
        for rows, sequences in self.batches():
            states, kept = self.formula.forward(
                self.block_of(x, rows, len(sequences), dtype),
                weights,
                self.starts(sequences, dtype),
                self.mask(rows, len(sequences), dtype),
                reverse=self.reverse,
                keep=self.keep,
            )
            parts.append((states, len(sequences)))
            self.kept.append(kept)
        for k, out in enumerate(self.roles.outs):
            rowed = [self.rows_of(states[k], n, self.shape) for states, n in parts]
            self.values[out.name] = rowed[0] if len(rowed) == 1 else np.concatenate(rowed)
        # A NaN stays in its row of the batch, so the last step shows whether there was one.
        last = 0 if self.reverse else -1
        if not all(np.isfinite(state[last]).all() for states, _ in parts for state in states):
            check_states(self.block, self.values)

    def tangent(self, tangents) -> None:
        """Tangents of the states, by the formula's own way or the reference's."""
        if self.formula.tangent is not None:
            self.formula.tangent(self, tangents)
        else:
            Sweep(self.block, self.values).tangent(tangents)

    # -- backward ----------------------------------------------------------------------------------------

    def adjoint(self, store: Store | Local, inputs: bool = False, carried: bool = False) -> list[Found]:
        """Kernel gradients of every sequence from the local cotangents in ``store``."""
        weights, x = self.weights(), self.values[self.roles.x.name]
        dtype = weights[0].dtype
        cotangents = [store.peek(o.name) if store.has(o.name) else None for o in self.roles.outs]
        found = []
        for k, (rows, sequences) in enumerate(self.batches()):
            n = len(sequences)
            part = self.formula.backward(
                tuple(None if c is None else self.block_of(c, rows, n, dtype) for c in cotangents),
                self.block_of(x, rows, n, dtype),
                tuple(self.block_of(self.values[o.name], rows, n, dtype) for o in self.roles.outs),
                weights,
                self.starts(sequences, dtype),
                self.mask(rows, n, dtype),
                self.kept[k] if self.kept else None,
                reverse=self.reverse,
                inputs=inputs,
                carried=carried,
            )
            shape = self.roles.x.slice.shape
            found.append(
                part._replace(
                    inputs=None if part.inputs is None else self.rows_of(part.inputs, n, shape),
                    carried=None
                    if part.carried is None
                    else tuple(self.rows_of(c, n, self.shape) for c in part.carried),
                )
            )
        return found

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Gradients at the parameters and edges now; adjoints now only if a step below needs them."""
        x = self.roles.x
        below = x.name in self.family.factor.graph.plan().owner
        found = self.adjoint(store, inputs=below)
        for (_, sequences), part in zip(self.batches(), found, strict=True):
            self.add_weights(store, part.weights)
            for arg, start in zip(self.roles.states, part.starts, strict=True):
                for target in (store, later):
                    if arg.edge.name in target:
                        message = start.reshape(-1, *self.shape)
                        add_edge(arg, target[arg.edge.name], message, sequences)
        if below:
            self.add_inputs(store, found)
        Lazy(self, store).leave(store, later, below)

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
        store[x.name][x.rows] += np.concatenate([f.inputs for f in found])


class Local:
    """Cotangents at a sweep's outputs as they are now. What waits in a store must not hold the store: a run
    would live until the collector comes.
    """

    def __init__(self, store: Store, names: list[str]):
        self.arrays = {n: store.peek(n) for n in names if store.has(n)}

    def has(self, name: str) -> bool:
        """Something has arrived."""
        return name in self.arrays

    def peek(self, name: str) -> np.ndarray:
        """What has."""
        return self.arrays[name]


class Lazy:
    """Adjoints and input gradients of one backward pass, made when they are first read."""

    def __init__(self, sweep: CompiledSweep, store: Store):
        self.sweep, self.local = sweep, Local(store, [o.name for o in sweep.roles.outs])
        self._found: Any = None

    def leave(self, store: Store, later: Store, below: bool) -> None:
        """Leave word with both stores; ``below`` says that inputs have been told already."""
        roles, pending, waiting = self.sweep.roles, store.pending, later.pending
        add, add_later = self.add, self.add_later
        for out in roles.outs:
            pending.setdefault(out.name, []).append(add)
            waiting.setdefault(out.name, []).append(add_later)
        if not below and roles.x.name in store:
            pending.setdefault(roles.x.name, []).append(add)
        if roles.mask is not None and roles.mask.name in store:
            pending.setdefault(roles.mask.name, []).append(add)

    def found(self) -> list[Found]:
        """The backward pass again, with what each step hears from later ones and what inputs hear."""
        if self._found is None:
            self._found = self.sweep.adjoint(self.local, inputs=True, carried=True)
        return self._found

    def carried(self, k: int) -> np.ndarray:
        """What state k of each step hears from the steps after it."""
        parts = [f.carried[k] for f in self.found() if f.carried is not None]
        return np.concatenate(parts)

    def add(self, store: Store, name: str) -> None:
        """What a state hears from later steps, or what the inputs or the mask hear."""
        roles = self.sweep.roles
        found = self.found()  # before any state's local cotangent is added to
        if name == roles.x.name:
            self.sweep.add_inputs(store, found)
        elif roles.mask is not None and name == roles.mask.name:
            self.mask(store)
        else:
            store[name] = store[name] + self.carried(self.place(name))

    def add_later(self, later: Store, name: str) -> None:
        """What later steps say alone."""
        later[name] = later[name] + self.carried(self.place(name))

    def place(self, name: str) -> int:
        """Which of the states it is."""
        return [out.name for out in self.sweep.roles.outs].index(name)

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
