"""A function traced: called once on arrays of nodes, it leaves a straight-line program."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from msgpass.errors import TracingError
from msgpass.tracing.arrays import Traced, ids_of
from msgpass.tracing.derivatives import ancestors, pull_back
from msgpass.tracing.scalar import FUNCTIONS
from msgpass.tracing.tape import Tape


@dataclass(frozen=True, eq=False)
class Program:
    """Inputs of fixed shapes → outputs, as nodes of a tape.

    Attributes
    ----------
    tape : Tape
    inputs, outputs : tuple of ndarray of int
        Nodes, in the shapes of the arrays.
    several : bool
        The function returns a tuple.
    """

    tape: Tape
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    several: bool

    @property
    def size(self) -> int:
        """Operations that the outputs need."""
        tops = [int(k) for o in self.outputs for k in o.flat]
        return sum(self.tape.nodes[k][0] not in ("in", "const", "bool") for k in ancestors(self.tape, tops))

    def same(self, other: Program) -> bool:
        """The same operations and constants."""
        return all(map(np.array_equal, self.outputs, other.outputs)) and all(
            self.tape.nodes[k] == other.tape.nodes[k]
            for k in ancestors(self.tape, [int(i) for o in self.outputs for i in o.flat])
            if k < len(other.tape.nodes)
        )

    def __call__(self, *values):
        """The outputs in plain NumPy, node by node."""
        made = evaluate(self.tape, values, self.outputs)
        return made if self.several else made[0]

    def vjp(self, wanted: Sequence[int] | None = None) -> Program:
        """``(inputs…, cotangents of the outputs…)`` → cotangents of the ``wanted`` inputs (all), a program.

        Nothing is kept from the value: what it needs of it is computed again.
        """
        tape, n = self.tape, len(self.inputs)
        wanted = range(n) if wanted is None else wanted
        given = tuple(inputs_of(tape, n + k, o.shape) for k, o in enumerate(self.outputs))
        found = pull_back(
            tape,
            self.seeds(given),
            [int(i) for k in wanted for i in self.inputs[k].flat],
        )
        outputs = tuple(
            np.array([found.get(int(i), 0) for i in self.inputs[k].flat], np.int64).reshape(
                self.inputs[k].shape
            )
            for k in wanted
        )
        return Program(tape, (*self.inputs, *given), outputs, True)

    def seeds(self, given: Sequence[np.ndarray]) -> dict[int, int]:
        """Node → node of its cotangent, where one node may be several outputs."""
        seeds: dict[int, int] = {}
        for out, cotangent in zip(self.outputs, given, strict=True):
            for k, g in zip(out.ravel().tolist(), cotangent.ravel().tolist(), strict=True):
                seeds[k] = g if k not in seeds else self.tape.op("add", seeds[k], g)
        return seeds


def inputs_of(tape: Tape, k: int, shape: tuple[int, ...]) -> np.ndarray:
    """Nodes of input k."""
    size = int(np.prod(shape))
    return np.array([tape.input(k, i) for i in range(size)], np.int64).reshape(shape)


def trace(f: Callable, *shapes: tuple[int, ...], tape: Tape | None = None) -> Program:
    """Call ``f`` once on traced arrays of these shapes.

    Parameters
    ----------
    f : callable
        Plain NumPy code without decisions that depend on values. Of a function that Numba compiles, the
        Python behind it is traced.
    *shapes : tuples of int
        Of its inputs.

    Raises
    ------
    TracingError
        With what it met and the way round it.

    Examples
    --------
    >>> program = trace(lambda h, a: np.maximum(h + a, 0.0), (2,), ())
    >>> program(np.array([1.0, -3.0]), 2.0)
    array([3., 0.])
    >>> program.vjp()(np.array([1.0, -3.0]), 2.0, np.ones(2))
    (array([1., 0.]), array(1.))
    """
    tape = Tape() if tape is None else tape
    inputs = tuple(inputs_of(tape, k, shape) for k, shape in enumerate(shapes))
    result = call_traced(tape, f, *[Traced(tape, ids.copy()) for ids in inputs])
    several = isinstance(result, tuple | list)
    outputs = tuple(outputs_of(tape, r) for r in (result if several else (result,)))
    return Program(tape, inputs, outputs, several)


def outputs_of(tape: Tape, result) -> np.ndarray:
    """Nodes of a result, which may be a constant."""
    ids = ids_of(tape, result)
    return np.array([tape.number(k) for k in ids.ravel().tolist()], np.int64).reshape(ids.shape)


def call_traced(tape: Tape, f: Callable, *args):
    """Call a function on traced arrays; whatever it does not get through is a `TracingError`."""
    f = getattr(f, "py_func", f)
    name = getattr(f, "__name__", type(f).__name__)
    try:
        result = f(*args)
    except TracingError as problem:
        raise TracingError(f"{name!r} cannot be traced: {problem}") from None
    except ValueError as problem:
        if "setting an array element" not in str(problem):
            raise _failed(name, problem) from problem
        raise TracingError(
            f"{name!r} cannot be traced: it assigns values that it computes into an ordinary array; begin "
            "with np.zeros_like(h), or build the result with np.stack([…])"
        ) from None
    except Exception as problem:  # whatever foreign code raises on symbols
        raise _failed(name, problem) from problem
    return result


def _failed(name: str, problem: Exception) -> TracingError:
    return TracingError(
        f"{name!r} cannot be traced: {type(problem).__name__}: {problem}. It has to be plain NumPy code on "
        "its arguments; leave kernel= out to run it as it is"
    )


def evaluate(tape: Tape, values, outputs: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Outputs in plain NumPy: the reference for compiled code."""
    flat = [np.ravel(np.asarray(v, float)) for v in values]
    known: dict[int, object] = {}
    with np.errstate(all="ignore"):
        for k in sorted(ancestors(tape, [int(i) for o in outputs for i in o.flat])):
            name, *args = tape.nodes[k]
            if k in tape.values:
                known[k] = tape.values[k]
            elif name == "in":
                known[k] = flat[args[0]][args[1]]
            else:
                known[k] = FUNCTIONS[name](*[known[a] for a in args])
    return tuple(np.array([known[int(i)] for i in o.flat], float).reshape(o.shape) for o in outputs)
