"""The sweep of a recurrence whose step is traced: its own function, compiled as a loop over all steps.

What cannot be traced, or would take long to compile, runs as it is under ``kernel="auto"`` and is an error
under ``kernel="traced"``; the plan's text says which it is. Small work runs the reference until enough of it
has come by on the same graph, unless autograd does not get through the function.
"""

from __future__ import annotations

import logging
import warnings
from math import prod
from typing import Any

import numpy as np

from msgpass.errors import TracingError, UnsupportedError
from msgpass.kernels.finite import all_finite
from msgpass.plan import Recurrence
from msgpass.sweeps.array_recurrence import ArraySweep
from msgpass.sweeps.array_step import ArrayStep, array_step
from msgpass.sweeps.local import check_states, differentiable
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.rows import edge_value, read
from msgpass.sweeps.traced_messages import tell
from msgpass.sweeps.traced_step import (
    MOST_OPERATIONS,
    TracedStep,
    described,
    first_instance,
    seconds_to_trace,
    trace_step,
    windowed,
)
from msgpass.tracing import flat

logger = logging.getLogger("msgpass")

PATIENCE = 1.0
"""Reference work on one graph, as a multiple of what tracing or compiling its sweep takes, before that is
done. Both are estimated from sizes."""

FORWARD, BACKWARD, AUTOGRAD = (5e-6, 0.7e-6), (10e-6, 1e-6), (60e-6, 10e-6)
"""Seconds that the reference takes a step, and what each call of NumPy in it adds: forward alone; backward,
too, with local derivatives of all steps at once; with a run of autograd at each step."""


A_NUMBER = 3e-9
"""What each number adds that the VJP of a step over a batch computes."""

MANY = 32
"""Numbers of a state from which on programs of arrays are tried."""


def make(plan, k: int, block: Recurrence, values, keep: bool = True):
    """The compiled sweep, or None for the reference."""
    key, family = ("traced recurrence", k), block.families[0]
    strict = any(f.potential.kernel == "traced" for f in block.families)
    if key not in plan.cache:
        if (
            not strict
            and _early(plan, (key, "spent to trace"), block, keep)
            and _runs_as_it_is(block, values)
        ):
            plan.cache["how", k] = "as it is, for little work"
            return None
        plan.cache[key] = _traced(block, values)
        plan.cache["how", k] = str(plan.cache[key])
    found = plan.cache[key]
    if isinstance(found, TracingError):
        if strict:
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
    if plan.cache.get("start compiled"):
        spent = np.inf
    if spent < np.inf:
        a_step, a_call = _seconds(family.potential, keep)
        numbers = found.operations * A_NUMBER if isinstance(found, ArrayStep) else 0.0
        spent += steps_of(family) * (a_step + found.calls * a_call + numbers)
        early = spent <= PATIENCE * found.seconds_to_compile(keep)
        if early and reference_differentiates(family, list(found.inputs), values):
            plan.cache[key, "spent"] = spent
            return None
        plan.cache[key, "spent"] = np.inf
    return (ArraySweep if isinstance(found, ArrayStep) else TracedSweep)(found, block, values)


def _runs_as_it_is(block: Recurrence, values) -> bool:
    """The reference can go forward and backward."""
    step = block.families[0].potential
    if len(block.families) > 1 or step.vjp is not None or step.differentiable:
        return True
    try:
        return reference_differentiates(block.families[0], described(block, values)[0], values)
    except TracingError:
        return True


def reference_differentiates(family, inputs, values) -> bool:
    """autograd gets through the function too, so that the reference may run; tried once a step."""
    step = family.potential
    if step.vjp is not None or not family.factor.n:
        return True
    if step.differentiable is None:
        from msgpass.interop.differentiators import autograd_vjp

        given = first_instance(family, inputs, values)
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


def _early(plan, key, block: Recurrence, backward: bool) -> bool:
    """Whether so little work has come by that even tracing would take longer."""
    if plan.cache.get("start compiled"):
        return False
    spent = sum(steps_of(f) * _seconds(f.potential, backward)[0] for f in block.families)
    plan.cache[key] = spent = plan.cache.get(key, 0.0) + spent
    numbers = sum(prod(a.slice.shape) for f in block.families for a in (*f.args, *f.outs))
    return spent <= PATIENCE * seconds_to_trace(numbers)


def _seconds(step, backward: bool) -> tuple[float, float]:
    if not backward:
        return FORWARD
    return BACKWARD if step.vectorized or step.vjp is not None else AUTOGRAD


def steps_of(family) -> int:
    """Calls of its function in one sweep."""
    counts = family.counts
    return (
        family.factor.n
        if counts is None
        else int(counts.max(initial=0) if family.potential.vectorized else counts.sum())
    )


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


def _anew(found, block: Recurrence, values) -> TracedStep | ArrayStep | TracingError:
    """Traced again, for something that the step reads has changed; ``found`` itself where that is the same
    program."""
    made = _traced(block, values)
    if isinstance(made, TracedStep | ArrayStep) and made.same_program(found):
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
