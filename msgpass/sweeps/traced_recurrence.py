"""The sweep of a recurrence whose step is traced: its own function, compiled as a loop over all steps.

What cannot be traced, or would take long to compile, runs as it is under ``kernel="auto"`` and is an error
under ``kernel="traced"``; the plan's text says which it is. Small work runs the reference until enough of it
has come by on the same graph.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np

from msgpass.errors import TracingError, UnsupportedError
from msgpass.kernels.finite import all_finite
from msgpass.plan import Recurrence
from msgpass.sweeps.local import check_states, differentiable
from msgpass.sweeps.real import Store, deliver
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.rows import add_edge, edge_value, per_instance, read
from msgpass.sweeps.traced_step import TracedStep, first_instance, trace_step
from msgpass.tracing import flat

logger = logging.getLogger("msgpass")

PATIENCE = 0.5
"""Seconds of reference work (estimated from sizes) that a graph runs before its sweep is compiled, which
takes about one."""

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
    if found.captured.changed():
        plan.cache[key] = _anew(found, block, values)
        if plan.cache[key] is not found:
            plan.cache.pop((key, "spent"), None)
            plan.cache["how", k] = str(plan.cache[key])
        return make(plan, k, block, values, keep)
    spent = plan.cache.get((key, "spent"), 0.0)
    if spent <= PATIENCE and plan.cache.get("start compiled"):
        spent = plan.cache[key, "spent"] = np.inf
    if spent <= PATIENCE and not reference_differentiates(found, family, values):
        spent = plan.cache[key, "spent"] = np.inf
    if spent <= PATIENCE:
        counts = family.counts
        steps = int(counts.max(initial=0)) if family.potential.vectorized else int(counts.sum())
        spent += steps * (1 + found.calls) * CALL
        plan.cache[key, "spent"] = spent
        if spent <= PATIENCE:
            return None
    return TracedSweep(found, block, values)


def reference_differentiates(found: TracedStep, family, values) -> bool:
    """autograd gets through the function too, so that the reference may run; tried once a step."""
    step = family.potential
    if step.vjp is not None or not family.factor.n:
        return True
    if step.differentiable is None:
        from msgpass.interop.differentiators import autograd_vjp

        given = first_instance(family, list(found.layout.inputs), values)
        step.differentiable = True
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                output, pull = autograd_vjp(step.f, given, differentiable(given))
                several = isinstance(output, tuple | list)
                pull(tuple(map(np.zeros_like, output)) if several else np.zeros_like(output))
        except UnsupportedError:
            step.differentiable = False
        except Exception:  # of a kind that the reference will show as the user knows it
            pass
    return step.differentiable


def _traced(block: Recurrence, values) -> TracedStep | TracingError:
    try:
        return trace_step(block, values)
    except TracingError as problem:
        logger.debug("step %r runs as it is: %s", block.families[0].name, problem)
        return problem


def _anew(found: TracedStep, block: Recurrence, values) -> TracedStep | TracingError:
    """Traced again, for something that the step reads has changed; ``found`` itself where that is the same
    program."""
    made = _traced(block, values)
    if isinstance(made, TracedStep) and made.same_program(found):
        found.captured.forgive()
        return found
    return made


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
        sequences = step.sequences if window is None else step.windowed(window, family.first)
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
        for k, (arg, message) in enumerate(zip(family.args, own, strict=True)):
            self.tell(arg, k, message, store, later, chosen)

    def tell(self, arg, k: int, message, store: Store, later: Store, chosen) -> None:
        """Add what an input hears."""
        step, family = self.step, self.family
        given = step.layout.inputs[k]
        if message is None or k not in step.wanted:
            return
        if given.kind == "state":
            message = message.reshape(len(step.sequences), *arg.slice.shape)
            for target in (store, later):
                if arg.edge.name in target:
                    add_edge(arg, target[arg.edge.name], message, np.arange(len(step.sequences)))
            return
        dtype = self.values[arg.name].dtype
        if per_instance(family, arg):
            message = message.reshape(family.factor.n, *arg.slice.shape).astype(dtype, copy=False)
            deliver(family, arg, message if chosen is None else message[chosen], store, later, chosen)
        else:
            whole = arg.slice.kind != "index"
            message = message.reshape(self.values[arg.name].shape if whole else arg.slice.shape)
            deliver(family, arg, message.astype(dtype, copy=False), store, later, chosen)
