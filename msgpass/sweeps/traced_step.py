"""A recurrence's step as a traced program with its two sweeps, made once a graph."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import TracingError
from msgpass.plan import Recurrence
from msgpass.sweeps.rows import edge_value, per_instance, read
from msgpass.tracing.arrays import Traced
from msgpass.tracing.captured import Captured
from msgpass.tracing.lanes import rows_alike
from msgpass.tracing.program import Program, call_traced, inputs_of, outputs_of, trace
from msgpass.tracing.scopes import backward_of
from msgpass.tracing.sweep_source import (
    Input,
    Layout,
    Output,
    arguments,
    backward_source,
    forward_source,
    needed_operations,
)

MOST_OPERATIONS = 6000
"""Operations of a step's VJP beyond which its code would take long to compile."""

FEWEST_ROWS = 4
"""Rows of a batch from which on they are a loop."""


class TracedStep:
    """A step's program, where its arrays are, and its compiled sweeps."""

    def __init__(self, family, layout: Layout, program: Program, vjp, wanted, shapes, sequences):
        self.layout, self.program, self.wanted, self.shapes = layout, program, frozenset(wanted), shapes
        self.sequences, self.calls = sequences, program.tape.calls
        self.shared = [a.name for a in family.args if not a.slice.stepped]
        self.captured = Captured(family.potential.f, family.potential.vjp)
        self.scopes = layout.scopes(program.tape)
        self.made = backward_of(program, self.scopes, sorted(self.wanted), vjp)
        operations = needed_operations(layout, self.made)
        if operations > MOST_OPERATIONS:
            raise TracingError(
                f"step {family.name!r} makes {operations} operations on single numbers, and more than "
                f"{MOST_OPERATIONS} take long to compile; leave kernel= out, and write it with matrix "
                "products and vectorized=True"
            )

    def __repr__(self) -> str:
        batch = f", {self.layout.rows} rows" if self.layout.rows > 1 else ""
        return f"traced: {self.program.size} operations{batch}"

    __str__ = __repr__

    def shapes_of(self, values) -> tuple:
        """Shapes of what is shared, which a run may change."""
        return tuple([np.shape(values[name]) for name in self.shared])

    def same_program(self, other: TracedStep) -> bool:
        """The same operations and constants."""
        mine, theirs = self.program, other.program
        return (
            self.layout == other.layout
            and mine.tape.nodes == theirs.tape.nodes
            and all(map(np.array_equal, mine.outputs, theirs.outputs))
        )

    @cached_property
    def forward(self) -> Any:
        """The compiled forward sweep."""
        from msgpass.tracing.compiler import compile_sweep

        source = forward_source(self.layout, self.program)
        return compile_sweep(source, "forward", len(arguments(self.layout, False)))

    @cached_property
    def backward(self) -> Any:
        """The compiled backward sweep."""
        from msgpass.tracing.compiler import compile_sweep

        source = backward_source(self.layout, self.made, self.scopes)
        return compile_sweep(source, "backward", len(arguments(self.layout, True)))

    def windowed(self, window, first: int) -> np.ndarray:
        """``sequences`` of the steps at local times low to high."""
        low, high = (np.broadcast_to(w, len(self.sequences)) - first for w in window)
        cut = self.sequences.copy()
        cut[:, 0] = np.clip(low, cut[:, 0], cut[:, 1])
        cut[:, 1] = np.clip(high, cut[:, 0], cut[:, 1])
        return cut


def first_instance(family, inputs: list[Input], values) -> list[np.ndarray]:
    """Inputs for one call."""
    given = []
    for arg, what in zip(family.args, inputs, strict=True):
        if what.kind == "state":
            like = np.ones((1, *arg.slice.shape))
            one = like if arg.edge is None else np.asarray(edge_value(family, arg, values)[:1], float)
        elif what.kind == "rows":
            one = read(family, arg, values, slice(0, 1))
        else:
            given.append(read(family, arg, values))
            continue
        given.append(one if family.potential.vectorized else one[0])
    return given


def check_repeats(family, program: Program, inputs: list[Input], values) -> None:
    """Raise where the function, called on numbers, gives something else than the program.

    It then has a state of its own, or changes what it closes over.
    """
    if not family.factor.n:
        return
    given = first_instance(family, inputs, values)
    copies = [np.array(v) for v in given]
    try:
        made = family.potential.f(*copies)
    except Exception as problem:  # the reference will say it as the user knows it
        raise TracingError(f"step {family.name!r} fails on numbers: {problem}") from problem
    if any(not np.array_equal(v, own, equal_nan=True) for v, own in zip(given, copies, strict=True)):
        raise TracingError(
            f"step {family.name!r} writes into its inputs (x += …, x[…] = …); begin with x = x.copy()"
        )
    made = made if isinstance(made, tuple | list) else (made,)
    gap = 1e-4 if any(np.asarray(v).dtype == np.float32 for v in given) else 1e-8
    traced = program(*given)
    for own, again in zip(made, traced if program.several else (traced,), strict=True):
        close = np.allclose(np.reshape(own, again.shape), again, gap, gap, equal_nan=True)
        if not close:
            raise TracingError(
                f"step {family.name!r} gives other values when it is called again: a traced function depends "
                "on its arguments alone, and what it closes over stays as it is; leave kernel= out"
            )


def trace_step(block: Recurrence, values) -> TracedStep:
    """Trace the step of a recurrence of one family; a `TracingError` says why that cannot be done."""
    if len(block.families) != 1:
        names = ", ".join(repr(f.name) for f in block.families)
        raise TracingError(
            f"the recurrence of {', '.join(map(repr, block.nodes))} has several steps a time ({names}), and "
            "one is traced; write them as one function with several outputs"
        )
    (family,) = block.families
    _check_slices(block, family)
    step = family.potential
    layout_inputs, shapes, wanted = [], [], []
    for k, arg in enumerate(family.args):
        if arg.name in block.nodes:
            shape, kind = arg.slice.shape, "state"
        else:
            stacked = per_instance(family, arg)
            value = np.shape(read(family, arg, values))
            shape, kind = (value[1:], "rows") if stacked else (value, "shared")
        leading = (1,) if step.vectorized and kind != "shared" else ()
        shapes.append((*leading, *shape))
        size = int(np.prod(shape))
        state = kind == "state"
        layout_inputs.append(Input(kind, size, arg.first if state else 0, state and arg.edge is not None))
        if state or np.asarray(values[arg.name]).dtype.kind == "f":
            wanted.append(k)
    program = trace(step.f, *shapes)
    if len(program.outputs) != len(family.outs) or any(
        o.size != int(np.prod(out.slice.shape)) for o, out in zip(program.outputs, family.outs, strict=False)
    ):
        raise TracingError(f"step {family.name!r} returns other shapes than its outputs have")
    check_repeats(family, program, layout_inputs, values)
    outputs = tuple(Output(int(np.prod(o.slice.shape)), o.first) for o in family.outs)
    vjp = None if step.vjp is None else _own_vjp(family, program, wanted)
    rows = 1 if vjp is not None else _rows(family, program, layout_inputs, shapes)
    if rows > 1:
        firsts = tuple(o.reshape(rows, -1)[0] for o in program.outputs)
        program = Program(program.tape, program.inputs, firsts, program.several)
    layout = Layout(tuple(layout_inputs), outputs, rows, block.direction < 0)
    shared = tuple(np.shape(values[a.name]) for a in family.args if not a.slice.stepped)
    return TracedStep(family, layout, program, vjp, wanted, shared, _sequences(family))


def _check_slices(block: Recurrence, family) -> None:
    if not family.factor.stepped or family.counts is None:
        raise TracingError(f"step {family.name!r} does not run at every step; only a whole sweep is traced")
    clock = family.outs[0].clock
    for arg in (*family.outs, *(a for a in family.args if a.name in block.nodes)):
        if not arg.slice.stepped or arg.clock.lengths != clock.lengths:
            raise TracingError(
                f"step {family.name!r} reads {arg.slice.name}; a traced sweep reads earlier steps of its own "
                "sequence"
            )
        if arg.edge is not None and arg.edge.name in block.nodes:
            raise TracingError(f"step {family.name!r}: the edge {arg.edge.slice.name} is in the recurrence")
    if len(family.counts) != len(clock.lengths):
        raise TracingError(f"step {family.name!r} runs on another clock than its outputs")


def _sequences(family) -> np.ndarray:
    """(first, last, instance of step 0, row of step 0, length) of each sequence."""
    clock = family.outs[0].clock
    counts = np.asarray(family.counts, np.int64)
    offsets, sizes = np.asarray(clock.offsets)[:-1], np.asarray(clock.sizes)
    return np.ascontiguousarray(
        np.stack([np.zeros_like(counts), counts, family.starts, offsets, sizes], axis=1), np.int64
    )


def _own_vjp(family, program: Program, wanted: list[int]) -> Program:
    """The user's own rule, traced."""
    tape, n = program.tape, len(program.inputs)
    given = [Traced(tape, inputs_of(tape, n + k, o.shape)) for k, o in enumerate(program.outputs)]
    inputs = tuple(Traced(tape, i.copy()) for i in program.inputs)
    found = call_traced(tape, family.potential.vjp, inputs, tuple(given) if len(given) > 1 else given[0])
    if not isinstance(found, tuple | list) or len(found) != n:
        raise TracingError(f"the vjp of step {family.name!r} does not return one cotangent an input")
    outputs = []
    for k in wanted:
        ids = np.zeros(program.inputs[k].shape, np.int64) if found[k] is None else outputs_of(tape, found[k])
        if ids.size != program.inputs[k].size:
            raise TracingError(f"the vjp of step {family.name!r} returns a cotangent of another shape")
        outputs.append(ids)
    return Program(tape, program.inputs, tuple(outputs), True)


def _rows(family, program: Program, inputs: list[Input], shapes) -> int:
    """Rows of the batch that the step treats alike, or 1; marks the inputs that are cut by rows."""
    shape = family.outs[0].slice.shape
    if not shape or shape[0] < FEWEST_ROWS or any(o.slice.shape[:1] != shape[:1] for o in family.outs):
        return 1
    rows = shape[0]
    outputs = tuple(o.reshape(out.slice.shape) for o, out in zip(program.outputs, family.outs, strict=True))
    shaped = Program(program.tape, program.inputs, outputs, program.several)
    lead = [
        k
        for k, (i, s) in enumerate(zip(inputs, shapes, strict=True))
        if (s[1:] if family.potential.vectorized and i.kind != "shared" else s)[:1] == (rows,)
    ]
    for laned in (lead, [k for k in lead if inputs[k].kind != "shared"]):
        if all(k in laned or i.kind != "state" for k, i in enumerate(inputs)) and rows_alike(
            shaped, rows, frozenset(laned)
        ):
            for k in laned:
                i = inputs[k]
                inputs[k] = Input(i.kind, i.size, i.shift, i.edge, True)
            return rows
    return 1
