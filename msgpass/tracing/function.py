"""One traced function compiled by itself, to be called from Python or from other compiled code."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import ShapeError
from msgpass.tracing.derivatives import ancestors
from msgpass.tracing.program import Program, trace
from msgpass.tracing.scalar import EXPRESSIONS


class CompiledFunction:
    """A traced function and its VJP, compiled for arrays of fixed shapes.

    Attributes
    ----------
    program : Program
        What was traced.
    write_value : Numba function
        ``write_value(x_0, …, out_0, …)``: flat float64 arrays, C-contiguous; outputs are overwritten.
    add_vjp : Numba function
        ``add_vjp(x_0, …, c_0, …, g_0, …)``: with a cotangent an output; what arrives at input k is added to
        ``g_k``. Both allocate nothing and release the GIL, and other compiled code may call them.
    """

    def __init__(self, program: Program):
        self.program = program

    @cached_property
    def write_value(self) -> Any:
        """See the class."""
        names = [f"x{k}" for k in range(len(self.program.inputs))]
        return _compiled("value", names, "out", self.program, "=")

    @cached_property
    def add_vjp(self) -> Any:
        """See the class."""
        n = len(self.program.inputs)
        names = [f"x{k}" for k in range(n)] + [f"c{k}" for k in range(len(self.program.outputs))]
        return _compiled("vjp", names, "g", self.program.vjp(), "+=")

    def value(self, *inputs):
        """As the function."""
        made = [np.empty(o.size) for o in self.program.outputs]
        self.write_value(*self._flat(inputs), *made)
        shaped = tuple(m.reshape(o.shape) for m, o in zip(made, self.program.outputs, strict=True))
        return shaped if self.program.several else shaped[0]

    def vjp(self, inputs, cotangent) -> tuple[np.ndarray, ...]:
        """One cotangent an input, as `Step`'s ``vjp``."""
        given = cotangent if self.program.several else (cotangent,)
        made = [np.zeros(i.size) for i in self.program.inputs]
        self.add_vjp(*self._flat(inputs), *map(flat, given), *made)
        return tuple(m.reshape(i.shape) for m, i in zip(made, self.program.inputs, strict=True))

    def _flat(self, inputs) -> list[np.ndarray]:
        shapes = [i.shape for i in self.program.inputs]
        if [np.shape(v) for v in inputs] != shapes:
            raise ShapeError(f"compiled for inputs of shapes {shapes}, got {[np.shape(v) for v in inputs]}")
        return [flat(v) for v in inputs]


def flat(array) -> np.ndarray:
    """As compiled code takes it: in double precision, one axis, contiguous; a read-only one is copied."""
    made = np.asarray(array, float, order="C").reshape(-1)
    return made if made.flags.writeable else made.copy()


def compile_function(f: Callable, *examples) -> CompiledFunction:
    """Trace and compile ``f`` and its VJP for inputs of the examples' shapes.

    Examples
    --------
    >>> field = compile_function(lambda y, p: np.stack([y[1], -p * y[0]]), np.zeros(2), 1.0)
    >>> field.value(np.array([1.0, 2.0]), 3.0)
    array([ 2., -3.])
    >>> field.vjp((np.array([1.0, 2.0]), 3.0), np.array([0.0, 1.0]))
    (array([-3.,  0.]), array(-1.))
    """
    return CompiledFunction(trace(f, *[np.shape(e) for e in examples]))


def _compiled(name: str, names: list[str], target: str, program: Program, sign: str):
    from numba import types

    from msgpass.tracing.compiler import FLAT, compiled

    tape, lines = program.tape, []
    targets = [f"{target}{k}" for k in range(len(program.outputs))]

    def term(k: int) -> str:
        value = tape.values.get(k)
        if value is None:
            return f"v{k}"
        if isinstance(value, bool):
            return str(value)
        if np.isfinite(value):
            return f"({value!r})"
        return "np.nan" if value != value else "(np.inf)" if value > 0 else "(-np.inf)"

    tops = [int(k) for o in program.outputs for k in o.flat]
    for k in sorted(ancestors(tape, tops)):
        operation, *args = tape.nodes[k]
        if operation == "in":
            lines.append(f"v{k} = {names[args[0]]}[{args[1]}]")
        elif k not in tape.values:
            lines.append(f"v{k} = {EXPRESSIONS[operation](*map(term, args))}")
    for out, where in zip(program.outputs, targets, strict=True):
        lines += [
            f"{where}[{i}] {sign} {term(k)}" for i, k in enumerate(out.ravel().tolist()) if k or sign == "="
        ]
    head = f"def {name}({', '.join([*names, *targets])}):"
    source = "\n".join([head, *["    " + line for line in [*lines, "return None"]]]) + "\n"
    return compiled(source, name, types.void(*[FLAT] * (len(names) + len(targets))))
