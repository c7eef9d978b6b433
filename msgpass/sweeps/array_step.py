"""A recurrence's step as a program of arrays whose batch rows are independent, laid out by lanes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from msgpass.errors import TracingError
from msgpass.plan import Recurrence
from msgpass.sweeps.traced_step import check_outputs, check_repeats, described, sequences_of
from msgpass.tracing.captured import Captured
from msgpass.tracing.sweep_source import Input, Output
from msgpass.tracing.whole import Program, evaluate, trace, vjp
from msgpass.tracing.whole.program import Node

FEWEST_ROWS = 8
"""Rows of a batch below which lanes would stay empty."""

KIND = {"state": "laned", "rows": "uniform", "shared": "shared"}


class ArrayStep:
    """A step's programs, forward and backward, and their layouts."""

    def __init__(
        self, family, inputs: list[Input], program: Program, wanted, shapes, rows: int, reverse: bool
    ):
        self.inputs, self.program, self.wanted, self.rows = tuple(inputs), program, frozenset(wanted), rows
        self.shapes, self.reverse, self.sequences = shapes, reverse, sequences_of(family)
        self.outputs = tuple(Output(int(np.prod(o.slice.shape)), o.first) for o in family.outs)
        self.shared = [a.name for a in family.args if not a.slice.stepped]
        self.captured = Captured(family.potential.f)
        self.pulled = vjp(program, sorted(self.wanted))
        self.kinds = ["laned" if i.laned else KIND[i.kind] for i in inputs]
        self.layouts = lru_cache(self._layouts)

    @property
    def calls(self) -> int:
        """Calls of NumPy that running it as it is takes."""
        return len(self.program.nodes)

    @property
    def operations(self) -> int:
        """Numbers that its VJP computes."""
        return sum(int(np.prod(n.shape)) for n in self.pulled.nodes if n.args)

    def __repr__(self) -> str:
        return f"traced: {self.calls} operations on arrays, {self.rows} rows"

    __str__ = __repr__

    def shapes_of(self, values) -> tuple:
        """Shapes of what is shared, which a run may change."""
        return tuple([np.shape(values[name]) for name in self.shared])

    def same_program(self, other) -> bool:
        """The same operations and constants."""
        return (
            isinstance(other, ArrayStep)
            and self.inputs == other.inputs
            and len(self.program.nodes) == len(other.program.nodes)
            and all(map(_alike, self.program.nodes, other.program.nodes))
        )

    def seconds_to_compile(self, backward: bool) -> float:
        """There is nothing to compile; what runs it has to be loaded."""
        return 0.3

    def _layouts(self, dtype: np.dtype) -> tuple[Any, Any]:
        """Forward and backward, for one precision."""
        from msgpass.kernels.lane_machine import lanes_of
        from msgpass.kernels.lane_program import Lowering

        lanes = lanes_of(dtype)
        what = {"laned": "row", "uniform": "step", "shared": "total"}
        forward = Lowering(self.program, self.kinds, self.rows, lanes, ["row"] * len(self.outputs))
        kinds = [*self.kinds, *["laned"] * len(self.outputs)]
        wanted = [what[self.kinds[k]] for k in sorted(self.wanted)]
        return forward, Lowering(self.pulled, kinds, self.rows, lanes, wanted)


def _alike(a: Node, b: Node) -> bool:
    same = (a.op, a.shape) == (b.op, b.shape) and [x.number for x in a.args] == [x.number for x in b.args]
    return same and (np.array_equal(a.data, b.data) if isinstance(a.data, np.ndarray) else a.data == b.data)


class Stripped:
    """A program, called with the leading axis that a vectorised step has."""

    several = True

    def __init__(self, program: Program):
        self.program = program

    def __call__(self, *given):
        shaped = [np.reshape(v, i.shape) for v, i in zip(given, self.program.inputs, strict=True)]
        return evaluate(self.program, *shaped)


def array_step(block: Recurrence, values) -> ArrayStep:
    """Trace by arrays; a `TracingError` says why that cannot be done."""
    inputs, shapes, wanted = described(block, values)
    (family,) = block.families
    step = family.potential
    if step.vjp is not None:
        raise TracingError("a step with a vjp of its own is traced by numbers")
    shape = family.outs[0].slice.shape
    rows = shape[0] if shape else 0
    if rows < FEWEST_ROWS or any(o.slice.shape[:1] != (rows,) for o in family.outs):
        raise TracingError(f"a program of arrays wants a batch of at least {FEWEST_ROWS} rows")
    lead = [step.vectorized and i.kind != "shared" for i in inputs]

    def function(*given):
        found = step.f(*(x[None] if more else x for x, more in zip(given, lead, strict=True)))
        found = found if isinstance(found, tuple | list) else (found,)
        return tuple(o[0] if step.vectorized else o for o in found)

    function.__name__ = getattr(step.f, "__name__", "step")
    own = [s[1:] if more else s for s, more in zip(shapes, lead, strict=True)]
    program = trace(function, own)
    check_outputs(family, program.outputs)
    check_repeats(family, Stripped(program), inputs, values)
    named = tuple(np.shape(values[a.name]) for a in family.args if not a.slice.stepped)
    failed: TracingError | None = None
    leading = {k for k, s in enumerate(own) if s[:1] == (rows,)}
    for laned in (leading, {k for k in leading if inputs[k].kind != "shared"}):
        cut = [Input(i.kind, i.size, i.shift, i.edge, k in laned) for k, i in enumerate(inputs)]
        try:
            made = ArrayStep(family, cut, program, wanted, named, rows, block.direction < 0)
            made.layouts(np.dtype(float))
            return made
        except TracingError as problem:
            failed = problem
    raise failed if failed is not None else TracingError("no layout")
