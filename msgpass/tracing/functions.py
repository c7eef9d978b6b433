"""NumPy's functions on traced arrays."""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from msgpass.errors import TracingError
from msgpass.tracing.arrays import COMPOSED, UFUNCS, Number, Traced, ids_of, numbers
from msgpass.tracing.tape import Tape

MOVING = {
    "reshape", "transpose", "swapaxes", "moveaxis", "rollaxis", "expand_dims", "squeeze", "ravel",
    "broadcast_to", "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "row_stack", "tile",
    "repeat", "roll", "flip", "fliplr", "flipud", "rot90", "take", "take_along_axis", "split", "array_split",
    "hsplit", "vsplit", "diag", "diagflat", "diagonal", "tril", "triu", "atleast_1d", "atleast_2d",
    "atleast_3d", "append", "insert", "delete", "broadcast_arrays", "meshgrid", "copy", "block", "resize",
    "matrix_transpose", "permute_dims", "concat", "unstack", "zeros_like", "empty_like",
}  # fmt: skip
"""Done by NumPy on the node numbers; node 0 is zero."""

JOINING = {
    "concatenate", "stack", "hstack", "vstack", "dstack", "column_stack", "row_stack", "atleast_1d",
    "atleast_2d", "atleast_3d", "append", "insert", "broadcast_arrays", "meshgrid", "block", "concat",
}  # fmt: skip
"""Of these, those that take several arrays; of the others the first argument is the array."""

ADDING = {
    "sum", "mean", "prod", "cumsum", "cumprod", "dot", "vdot", "inner", "outer", "tensordot", "einsum",
    "kron", "cross", "trace", "diff", "average", "var", "convolve", "correlate", "vecdot", "matvec", "vecmat",
}  # fmt: skip
"""Done by NumPy's own code for objects."""


def apply_ufunc(tape: Tape, ufunc, inputs, kwargs):
    """An elementwise function, or ``matmul``."""
    out = kwargs.pop("out", None)
    kwargs.pop("dtype", None)
    kwargs.pop("casting", None)
    if kwargs:
        raise TracingError(f"np.{ufunc.__name__} with {', '.join(kwargs)} in a traced step; leave it out")
    name = ufunc.__name__
    if name in ("matmul", "vecdot", "matvec", "vecmat"):
        made = over_numbers(tape, ufunc, inputs, {})
    elif name in COMPOSED:
        made = COMPOSED[name](*[_traced(tape, v) for v in inputs])
    elif name in UFUNCS:
        added = name == "add" and all(getattr(v, "dtype", None) == np.dtype(bool) for v in inputs)
        op = "or" if added else UFUNCS[name]  # as NumPy adds truth values
        made = Traced(tape, elementwise(tape, op, *[ids_of(tape, v) for v in inputs]))
    else:
        raise _unknown(f"np.{name}")
    if out is None:
        return made
    (target,) = out
    if not isinstance(target, Traced):
        raise TracingError(
            f"np.{name} writes into an ordinary array (out=, or an operator such as x += h); build a new "
            "array instead: x = x + h"
        )
    target.ids[...] = made.ids
    return target


def elementwise(tape: Tape, name: str, *ids: np.ndarray) -> np.ndarray:
    """One node an element."""
    spread = np.broadcast_arrays(*ids)
    made = [tape.op(name, *args) for args in zip(*[s.ravel().tolist() for s in spread], strict=True)]
    return np.array(made, np.int64).reshape(spread[0].shape)


def apply_reduction(tape: Tape, ufunc, method: str, inputs, kwargs):
    """``np.add.reduce`` and what comes as such."""
    (x, *_), name = inputs, ufunc.__name__
    axis, keep = kwargs.get("axis", 0), kwargs.get("keepdims", False)
    if method == "reduce" and name in ("maximum", "minimum"):
        return extreme(tape, name, x, axis, keep)
    if method == "reduce" and name in ("logical_and", "logical_or"):
        return folded(tape, UFUNCS[name], x, axis, keep)
    if name in ("add", "multiply") and method in ("reduce", "accumulate"):
        names = {"axis": axis} | ({"keepdims": keep} if method == "reduce" else {})
        return over_numbers(tape, getattr(ufunc, method), (x,), names)
    if method == "outer":
        first, second = (_traced(tape, v) for v in inputs)
        return ufunc(first.reshape(first.shape + (1,) * second.ndim), second)
    raise _unknown(f"np.{name}.{method}")


def apply_function(tape: Tape, function, args, kwargs):
    """Any other function of NumPy."""
    name = function.__name__
    kwargs = {k: v for k, v in kwargs.items() if v is not np._NoValue}
    if name in OWN:
        return OWN[name](tape, *args, **kwargs)
    if name in ("zeros_like", "empty_like"):
        shape = kwargs.get("shape", np.shape(args[0]))
        return Traced(tape, np.zeros(np.shape(args[0]) if shape is None else shape, np.int64))
    if name in MOVING - JOINING and args:
        if _holds(args[1:]) or any(map(_holds, kwargs.values())):
            raise TracingError(
                f"np.{name}: places depend on the step's inputs; "
                "select with np.where or a product with a one-hot vector, or leave kernel= out"
            )
        return _wrapped(tape, function(_ids(tape, args[0]), *args[1:], **kwargs))
    if name in MOVING:
        return _wrapped(tape, function(*_ids(tape, args), **_ids(tape, kwargs)))
    if name in ADDING:
        if any(kwargs.pop(k, None) is not None for k in ("out",)):
            raise TracingError(f"np.{name} with out= in a traced step; assign its result")
        kwargs.pop("dtype", None)
        if name == "einsum":
            kwargs["optimize"] = False
        return over_numbers(tape, function, args, kwargs)
    raise _unknown(f"np.{name}")


def _unknown(name: str) -> TracingError:
    return TracingError(
        f"{name} cannot be traced; write it with elementary functions (msgpass.tracing lists them), or leave "
        "kernel= out to run the step as it is"
    )


def _traced(tape: Tape, value) -> Traced:
    return value if isinstance(value, Traced) else Traced(tape, ids_of(tape, value))


def _ids(tape: Tape, value):
    """Node numbers for traced arrays and what is stacked beside them; what only directs stays."""
    if isinstance(value, Traced):
        return value.ids
    if isinstance(value, dict):
        return {k: _ids(tape, v) for k, v in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return ids_of(tape, value)
    if isinstance(value, tuple | list):
        if any(_holds(v) for v in value):
            beside = isinstance(value, list) or not _holds_directions(value)
            return type(value)(_ids(tape, v) if _holds(v) or not beside else _beside(tape, v) for v in value)
        return value
    return value


def _holds(value) -> bool:
    if isinstance(value, tuple | list):
        return any(_holds(v) for v in value)
    return isinstance(value, Traced)


def _holds_directions(value: tuple) -> bool:
    """Arguments of a function, of which the first is the array: the others direct."""
    return isinstance(value[0], Traced | tuple | list) and not all(
        isinstance(v, Traced | np.ndarray | tuple | list) for v in value
    )


def _beside(tape: Tape, value):
    if isinstance(value, list | tuple):
        return type(value)(_beside(tape, v) for v in value)
    return ids_of(tape, value)


def _wrapped(tape: Tape, made):
    if isinstance(made, tuple | list):
        return type(made)(_wrapped(tape, m) for m in made)
    return Traced(tape, made)


def over_numbers(tape: Tape, function, args, kwargs):
    """NumPy's code for objects, over nodes."""

    def objects(value):
        if isinstance(value, Traced) or (isinstance(value, np.ndarray) and value.dtype.kind in "biufO"):
            return numbers(tape, ids_of(tape, value))
        if isinstance(value, tuple | list) and _holds(value):
            return objects(Traced(tape, ids_of(tape, value)))
        return value

    made = function(*[objects(a) for a in args], **{k: objects(v) for k, v in kwargs.items()})
    array = np.asarray(made, object)
    flat = [n.node if isinstance(n, Number) else tape.constant(n) for n in array.ravel().tolist()]
    return Traced(tape, np.array(flat, np.int64).reshape(array.shape))


def _lines(ids: np.ndarray, axis: Any, keep: bool) -> tuple[np.ndarray, tuple[int, ...]]:
    """(rows that are reduced, shape of the result)."""
    given = range(ids.ndim) if axis is None else np.atleast_1d(axis).tolist()
    axes = sorted({int(a) % max(ids.ndim, 1) for a in given})
    rest = [a for a in range(ids.ndim) if a not in axes]
    shape = [ids.shape[a] for a in rest]
    rows = ids.transpose(*rest, *axes).reshape(int(np.prod(shape)), -1)
    return rows, tuple(1 if a in axes else n for a, n in enumerate(ids.shape)) if keep else tuple(shape)


def extreme(tape: Tape, name: str, x, axis, keep=False) -> Traced:
    """Largest or smallest; ties share the slope evenly, however many they are."""
    rows, shape = _lines(ids_of(tape, x), axis, keep)
    one, made = tape.constant(1.0), []
    for row in rows.tolist():
        if not row:
            raise ValueError(f"zero-size array to reduction operation {name} which has no identity")
        value = reduce(lambda a, b: tape.op(name, a, b), row)
        if len(row) > 2:
            hits = [tape.op("where", tape.op("eq", k, value), one, 0) for k in row]
            total = reduce(
                lambda a, b: tape.op("add", a, b),
                [tape.op("mul", h, k) for h, k in zip(hits, row, strict=True)],
            )
            # The hits have no slope, so the quotient's is hit/number of hits.
            formula = tape.op("div", total, reduce(lambda a, b: tape.op("add", a, b), hits))
            value = tape.op("as_if", value, formula)
        made.append(value)
    return Traced(tape, np.array(made, np.int64).reshape(shape))


def folded(tape: Tape, name: str, x, axis, keep=False) -> Traced:
    """All or any."""
    rows, shape = _lines(ids_of(tape, x), axis, keep)
    start = tape.constant(name == "and")
    made = [reduce(lambda a, b: tape.op(name, a, b), row, start) for row in rows.tolist()]
    return Traced(tape, np.array(made, np.int64).reshape(shape))


def _where(tape: Tape, condition, *choices):
    if len(choices) != 2:
        raise TracingError("np.where(condition) gives places that depend on values; use np.where(c, a, b)")
    return Traced(tape, elementwise(tape, "where", *[ids_of(tape, v) for v in (condition, *choices)]))


def _clip(tape: Tape, x, a_min=None, a_max=None, out=None, *, min=None, max=None, **_options):
    low, high = (min if a_min is None else a_min), (max if a_max is None else a_max)
    x = clipped = _traced(tape, x)
    inside: Any = None
    for bound, better in ((low, np.maximum), (high, np.minimum)):
        if bound is not None:
            clipped = better(clipped, bound)
    for bound in (low, high):
        if bound is not None:
            off = clipped != bound
            inside = off if inside is None else np.logical_and(inside, off)
    if inside is None:
        return x
    return Traced(tape, elementwise(tape, "as_if", clipped.ids, _where(tape, inside, x, 0.0).ids))


def _like(value):
    def made(tape: Tape, x, *args, shape=None, **_options):
        fill = args[0] if value is None else value
        return Traced(tape, np.broadcast_to(ids_of(tape, fill), x.shape if shape is None else shape).copy())

    return made


def _select(tape: Tape, conditions, choices, default=0):
    made = default
    for c, v in zip(conditions[::-1], choices[::-1], strict=True):
        made = np.where(_traced(tape, c), v, made)
    return made


def _norm(tape: Tape, x, ord=None, axis=None, keepdims=False):
    if ord not in (None, 2, "fro"):
        raise TracingError(f"np.linalg.norm with ord={ord!r} in a traced step; write the sum")
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


OWN = {
    "where": _where,
    "clip": _clip,
    "full_like": _like(None),
    "ones_like": _like(1.0),
    "max": lambda t, x, axis=None, out=None, keepdims=False: extreme(t, "maximum", x, axis, keepdims),
    "min": lambda t, x, axis=None, out=None, keepdims=False: extreme(t, "minimum", x, axis, keepdims),
    "any": lambda t, x, axis=None, out=None, keepdims=False: folded(t, "or", x, axis, keepdims),
    "all": lambda t, x, axis=None, out=None, keepdims=False: folded(t, "and", x, axis, keepdims),
    "std": lambda t, x, axis=None, **options: np.sqrt(np.var(x, axis=axis, **options)),
    "round": lambda t, x, decimals=0, out=None: np.rint(x * 10.0**decimals) / 10.0**decimals,
    "select": _select,
    "norm": _norm,
    "shape": lambda t, x: x.shape,
    "ndim": lambda t, x: x.ndim,
    "size": lambda t, x, axis=None: x.size if axis is None else x.shape[axis],
    "real": lambda t, x: x,
    "trapezoid": lambda t, y, x=None, dx=1.0, axis=-1: _trapezoid(t, y, x, dx, axis),
}
OWN |= {"amax": OWN["max"], "amin": OWN["min"], "around": OWN["round"]}


def _trapezoid(tape: Tape, y, x, dx, axis):
    y = np.moveaxis(y, axis, -1)
    width = dx if x is None else np.diff(_traced(tape, x))
    return np.sum(width * (y[..., 1:] + y[..., :-1]), axis=-1) / 2.0
