"""From a NumPy function to its program."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgpass.errors import MessagePassingError, TracingError
from msgpass.tracing.whole.program import Builder, Program
from msgpass.tracing.whole.traced_array import Traced, as_real, node_of


def trace(f: Callable, shapes: Sequence[tuple[int, ...]]) -> Program:
    """The program of a function of arrays of the given shapes.

    f is called once, with arrays that have no numbers in them. Whatever it reads besides its arguments is a
    constant of the program; functions compiled by Numba are read in Python.

    Parameters
    ----------
    f : callable
        Of one array a shape; returns an array or a tuple of them.
    shapes : sequence of tuples

    Returns
    -------
    Program

    Raises
    ------
    TracingError
        Where f branches on values, writes into arrays, or calls what has no rule.

    Examples
    --------
    >>> import numpy as np
    >>> from msgpass.tracing.whole import evaluate, trace
    >>> program = trace(lambda h, a: np.maximum(h + a, 0.0), [(2,), ()])
    >>> evaluate(program, np.array([-3.0, 1.0]), 1.0)[0]
    array([0., 2.])
    """
    builder = Builder()
    inputs = [builder.input(k, shape) for k, shape in enumerate(shapes)]
    function = getattr(f, "py_func", f)
    try:
        result = function(*(Traced(builder, i) for i in inputs))
        several = isinstance(result, tuple | list)
        outputs = [as_real(builder, node_of(builder, r)) for r in (result if several else (result,))]
    except MessagePassingError:
        raise
    except (TypeError, ValueError, AttributeError, IndexError, NotImplementedError) as problem:
        raise TracingError(f"{type(problem).__name__}: {problem}") from problem
    return Program(builder, inputs, outputs)
