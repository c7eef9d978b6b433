"""The sweep of a recurrence whose step is traced: its own function, compiled as a loop over all steps.

What cannot be traced, or would take long to compile, runs as it is under ``kernel="auto"`` and is an error
under ``kernel="traced"``; the plan's text says which it is. Small work runs the reference until enough of it
has come by on the same graph.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from msgpass.errors import TracingError
from msgpass.kernels.finite import all_finite
from msgpass.plan import Recurrence
from msgpass.sweeps.array_recurrence import ArraySweep
from msgpass.sweeps.array_step import ArrayStep, array_step
from msgpass.sweeps.local import check_states
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.rows import edge_value, read
from msgpass.sweeps.traced_messages import tell
from msgpass.sweeps.traced_step import MOST_OPERATIONS, TracedStep, trace_step, windowed
from msgpass.tracing import flat

logger = logging.getLogger("msgpass")

PATIENCE = 0.5
"""Seconds of reference work (estimated from sizes) that a graph runs before its sweep is compiled, which
takes about one."""

MANY = 32
"""Numbers of a state from which on programs of arrays are tried."""

CALL = 20e-6
"""Seconds that the reference takes a step for each call of NumPy in it, forward and backward."""


def make(plan, k: int, block: Recurrence, values, keep: bool = True):
    """The compiled sweep, or None for the reference."""
    key = ("traced recurrence", k)
    if key not in plan.cache:
        plan.cache[key] = _traced(block, values)
        plan.cache["how", k] = str(plan.cache[key])
    found = plan.cache[key]
    family = block.families[0]
    if isinstance(found, TracingError):
        if any(f.potential.kernel == "traced" for f in block.families):
            raise found
        return None
    shapes = found.shapes_of(values)
    if shapes != found.shapes:
        del plan.cache[key]
        return make(plan, k, block, values, keep)
    spent = plan.cache.get((key, "spent"), 0.0)
    if spent <= PATIENCE and plan.cache.get("start compiled"):
        spent = plan.cache[key, "spent"] = np.inf
    if spent <= PATIENCE:
        counts = family.counts
        steps = int(counts.max(initial=0)) if family.potential.vectorized else int(counts.sum())
        spent += steps * (1 + found.calls) * CALL
        plan.cache[key, "spent"] = spent
        if spent <= PATIENCE:
            return None
    if isinstance(found, ArrayStep):
        return ArraySweep(found, block, values)
    return TracedSweep(found, block, values)


def _traced(block: Recurrence, values) -> TracedStep | ArrayStep | TracingError:
    """By numbers, or by arrays where there are many of them."""
    by_arrays = None
    if sum(np.prod(o.slice.shape) for o in block.families[0].outs) >= MANY:
        try:
            by_arrays = array_step(block, values)
        except TracingError as problem:
            logger.debug("step %r does not run by arrays: %s", block.families[0].name, problem)
    if by_arrays is not None and by_arrays.operations > MOST_OPERATIONS:
        return by_arrays
    try:
        return trace_step(block, values)
    except TracingError as problem:
        if by_arrays is not None:
            return by_arrays
        logger.debug("step %r runs as it is: %s", block.families[0].name, problem)
        return problem


class TracedSweep:
    """Forward and backward over all steps in compiled code."""

    resumes = True
    """The backward sweep needs values alone."""

    def __init__(self, step: TracedStep, block: Recurrence, values):
        self.step, self.block, self.values = step, block, values
        self.family = block.families[0]

    # -- arrays ------------------------------------------------------------------------------------------

    def inputs(self) -> list[np.ndarray]:
        """Arrays as `sweep_source.arguments` lists them, up to the outputs."""
        arrays = []
        for arg, given in zip(self.family.args, self.step.layout.inputs, strict=True):
            if given.kind != "state":
                arrays.append(flat(read(self.family, arg, self.values)))
                continue
            arrays.append(flat(self.values[arg.name]))
            if given.edge:
                edge = edge_value(self.family, arg, self.values)
                n = len(self.step.sequences)
                arrays.append(flat(np.broadcast_to(edge, (n, *edge.shape[1:])) if len(edge) != n else edge))
        return arrays

    # -- forward -----------------------------------------------------------------------------------------

    def forward(self) -> None:
        """All states."""
        values, family = self.values, self.family
        dtype = None
        for out in family.outs:
            if out.name not in values:
                dtype = Sweep(self.block, values).dtype if dtype is None else dtype
                values[out.name] = np.empty((out.slice.node.clock.total, *out.slice.node.shape), dtype)
        single = [out.name for out in family.outs if values[out.name].dtype != np.float64]
        for name in single:
            values[name] = values[name].astype(np.float64)
        outs = [values[out.name].reshape(-1) for out in family.outs]
        self.step.forward(self.step.sequences, *self.inputs(), *outs)
        for name in single:
            values[name] = values[name].astype(np.float32)
        if not all(all_finite(values[out.name]) for out in family.outs):
            check_states(self.block, values)

    def tangent(self, tangents) -> None:
        """Tangents of the states, step by step."""
        Sweep(self.block, self.values).tangent(tangents)

    # -- backward ----------------------------------------------------------------------------------------

    def backward(self, store: Store, later: Store, window=None, chosen=None) -> None:
        """Cotangents from the local ones already in ``store``, of a window of steps or of all."""
        family, step, values = self.family, self.step, self.values
        sequences = step.sequences if window is None else windowed(step.sequences, window, family.first)
        found, arrays = {}, self.inputs()
        for out in family.outs:
            arrays.append(flat(values[out.name]))
        for out in family.outs:
            found[out.name] = np.zeros(values[out.name].size)
            local = flat(store.peek(out.name)) if store.has(out.name) else np.zeros(values[out.name].size)
            arrays += [local, found[out.name]]
        own: list[Any] = []
        for arg, given in zip(family.args, step.layout.inputs, strict=True):
            if given.kind == "state":
                message = np.zeros(len(step.sequences) * given.size) if given.edge else None
                arrays += [found[arg.name]] if message is None else [found[arg.name], message]
            else:
                rows = family.factor.n if given.kind == "rows" else 1
                message = np.zeros(rows * given.size)
                arrays.append(message)
            own.append(message)
        step.backward(sequences, *arrays)
        for name, carried in found.items():
            for target in (store, later):
                shaped = carried.reshape(values[name].shape).astype(values[name].dtype)
                target.add(name, shaped)
        for k, message in enumerate(own):
            tell(step, self.block, values, k, message, store, later, chosen)
