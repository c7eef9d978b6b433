"""Arrays without numbers: NumPy's dispatch protocols write down what a function does with them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from msgpass.errors import TracingError
from msgpass.tracing.whole.program import ELEMENTWISE, Builder, Node


class Traced(NDArrayOperatorsMixin):
    """A value of a program under construction, with an array's manners."""

    def __init__(self, builder: Builder, node: Node):
        self.builder, self.node = builder, node

    # -- what NumPy asks ---------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method == "reduce" and ufunc in _REDUCTIONS:
            return _REDUCTIONS[ufunc](*inputs, **kwargs)
        extra = {k for k, v in kwargs.items() if v is not None} - {"dtype"}
        if method != "__call__" or extra:
            raise TracingError(
                f"numpy.{ufunc.__name__}{'' if method == '__call__' else '.' + method}"
                f"({', '.join(k + '=' for k in extra)}) writes into an array or is not elementwise; "
                "write the step without it"
            )
        rule = UFUNCS.get(ufunc.__name__)
        if rule is None:
            raise TracingError(f"numpy.{ufunc.__name__} is not among the functions that can be compiled")
        return rule(self.builder, *inputs)

    def __array_function__(self, func, types, args, kwargs):
        rule = FUNCTIONS.get(func)
        if rule is None:
            raise TracingError(f"numpy.{func.__name__} is not among the functions that can be compiled")
        try:
            return rule(*args, **kwargs)
        except TypeError as problem:
            raise TracingError(f"numpy.{func.__name__}: {problem}") from None

    def __array__(self, dtype=None, copy=None):
        raise TracingError(
            "np.array([…]) and np.asarray of the step's own values cannot be compiled; build vectors with "
            "np.stack([…])"
        )

    def _no_number(self, *_):
        raise TracingError(
            "the step asks for a number (if, while, float(), int(), range(), an index) that depends on its "
            "inputs; write np.where(condition, a, b), np.maximum or np.minimum"
        )

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _no_number

    def __setitem__(self, key, value):
        raise TracingError("the step assigns in place; build a new array with np.stack or np.where")

    # -- an array's manners ------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Static."""
        return self.node.shape

    @property
    def ndim(self) -> int:
        """Axes."""
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """Entries."""
        return prod(self.node.shape)

    @property
    def dtype(self):
        """float64, or bool."""
        return np.dtype(bool if self.node.logical else float)

    @property
    def T(self) -> Traced:
        """Axes reversed."""
        return transpose(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a number")
        return self.shape[0]

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __getitem__(self, key) -> Traced:
        parts = key if isinstance(key, tuple) else (key,)
        if any(isinstance(p, Traced) for p in parts):
            raise TracingError(
                "an index that depends on the step's inputs cannot be compiled; write np.where"
            )
        places = np.arange(self.size).reshape(self.shape)[key]
        return Traced(self.builder, self.builder.gather(self.node, np.asarray(places)))

    def reshape(self, *shape, order="C") -> Traced:
        """As NumPy's."""
        if order != "C":
            raise TracingError("reshape in C's order only")
        wanted = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple | list) else shape
        new = np.empty(self.shape, bool).reshape(wanted).shape
        return Traced(self.builder, self.builder.reshape(self.node, new))

    def transpose(self, *axes) -> Traced:
        """As NumPy's."""
        return transpose(self, axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None)

    def ravel(self, order="C") -> Traced:
        """Flat."""
        return self.reshape(-1, order=order)

    flatten = ravel

    def copy(self, order="C") -> Traced:
        """Itself: nothing is ever written to."""
        return self

    def astype(self, dtype, **kwargs) -> Traced:
        """Floats stay as they are; truth values become 0 and 1."""
        if np.dtype(dtype).kind != "f":
            raise TracingError(f"astype({np.dtype(dtype)}) cannot be compiled")
        return where(self, 1.0, 0.0) if self.node.logical else self

    def swapaxes(self, a, b) -> Traced:
        """As NumPy's."""
        return by_places(np.swapaxes)(self, a, b)

    def squeeze(self, axis=None) -> Traced:
        """As NumPy's."""
        return by_places(np.squeeze)(self, axis)

    def sum(self, axis=None, keepdims=False, **kwargs):
        """As NumPy's."""
        return reduction("sum")(self, axis=axis, keepdims=keepdims, **kwargs)

    def mean(self, axis=None, keepdims=False, **kwargs):
        """As NumPy's."""
        return mean(self, axis, keepdims=keepdims, **kwargs)

    def max(self, axis=None, keepdims=False, **kwargs):
        """As NumPy's."""
        return reduction("amax")(self, axis=axis, keepdims=keepdims, **kwargs)

    def min(self, axis=None, keepdims=False, **kwargs):
        """As NumPy's."""
        return smallest(self, axis=axis, keepdims=keepdims, **kwargs)

    def clip(self, a_min=None, a_max=None):
        """As NumPy's."""
        return clip(self, a_min, a_max)

    def cumsum(self, axis=None):
        """As NumPy's."""
        return cumsum(self, axis)

    def dot(self, other):
        """As NumPy's."""
        return dot(self, other)


# -- rules -----------------------------------------------------------------------------------------------

UFUNCS: dict[str, Callable[..., Any]] = {}
FUNCTIONS: dict[Callable, Callable[..., Any]] = {}


def builder_of(*values) -> Builder:
    """The builder behind the first traced value, which may lie in a list."""
    for v in values:
        if isinstance(v, Traced):
            return v.builder
        if isinstance(v, list | tuple):
            for inner in v:
                if isinstance(inner, Traced):
                    return inner.builder
    raise TracingError("no traced value")


def node_of(builder: Builder, value) -> Node:
    """A value as a node; numbers and arrays are constants."""
    if isinstance(value, Traced):
        return value.node
    if isinstance(value, list | tuple) and any(isinstance(v, Traced) for v in value):
        return stack(value).node
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TracingError(f"the step computes with {array.dtype} values, which cannot be compiled")
    return builder.constant(array)


def as_real(builder: Builder, node: Node) -> Node:
    """Truth values as 0 and 1."""
    if not node.logical:
        return node
    one, zero = (builder.broadcast(builder.constant(c), node.shape) for c in (1.0, 0.0))
    return builder.elementwise("where", node, one, zero)


def _plain(op: str):
    def rule(builder: Builder, *inputs):
        nodes = [node_of(builder, v) for v in inputs]
        if op == "add" and all(n.logical for n in nodes):
            return Traced(builder, builder.elementwise("logical_or", *nodes))  # as NumPy adds truth values
        if not op.startswith("logical"):
            nodes = [as_real(builder, n) for n in nodes]
        return Traced(builder, builder.elementwise(op, *nodes))

    return rule


UFUNCS.update({ufunc.__name__: _plain(name) for name, ufunc in ELEMENTWISE.items()})
UFUNCS["square"] = lambda b, x: x * x
UFUNCS["reciprocal"] = lambda b, x: 1.0 / x
UFUNCS["positive"] = lambda b, x: x
UFUNCS["fabs"] = UFUNCS["absolute"]
UFUNCS["log2"] = lambda b, x: np.log(x) * (1 / np.log(2.0))
UFUNCS["log10"] = lambda b, x: np.log(x) * (1 / np.log(10.0))
UFUNCS["exp2"] = lambda b, x: np.exp(x * np.log(2.0))
UFUNCS["float_power"] = UFUNCS["power"]
UFUNCS["hypot"] = lambda b, x, y: np.sqrt(x * x + y * y)
UFUNCS["logaddexp"] = lambda b, x, y: np.maximum(x, y) + np.log1p(np.exp(-np.abs(x - y)))
UFUNCS["fmax"], UFUNCS["fmin"] = UFUNCS["maximum"], UFUNCS["minimum"]
UFUNCS["invert"] = UFUNCS["logical_not"]
UFUNCS["bitwise_and"], UFUNCS["bitwise_or"] = UFUNCS["logical_and"], UFUNCS["logical_or"]


def _power(builder: Builder, x, y):
    if not isinstance(y, Traced) and np.ndim(y) == 0 and float(y) in (0.5, 1.0, 2.0, 3.0, -1.0, 4.0):
        y = float(y)
        if y == 0.5:
            return np.sqrt(x)
        if y == -1.0:
            return 1.0 / x
        squared = x * x
        return {1.0: x, 2.0: squared, 3.0: squared * x, 4.0: squared * squared}[y]
    return _plain("power")(builder, x, y)


UFUNCS["power"] = UFUNCS["float_power"] = _power


def _matmul(builder: Builder, a, b):
    left, right = node_of(builder, a), node_of(builder, b)
    if not left.shape or not right.shape:
        raise TracingError("matmul wants arrays, not numbers")
    if max(len(left.shape), len(right.shape)) > 8:
        raise TracingError("matmul of arrays with more than 8 axes cannot be compiled")
    vectors = len(left.shape) == 1, len(right.shape) == 1
    if vectors[0]:
        left = builder.reshape(left, (1, *left.shape))
    if vectors[1]:
        right = builder.reshape(right, (*right.shape, 1))
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"matmul: {left.shape} and {right.shape} do not fit")
    lead = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    letters = "abcdefgh"[: len(lead)]
    if lead and right.shape[:-2] == ():
        found = builder.einsum(f"{letters}ij,jk->{letters}ik", left, right)
    elif lead and left.shape[:-2] == ():
        found = builder.einsum(f"ij,{letters}jk->{letters}ik", left, right)
    else:
        left = builder.broadcast(left, (*lead, *left.shape[-2:]))
        right = builder.broadcast(right, (*lead, *right.shape[-2:]))
        found = builder.einsum(f"{letters}ij,{letters}jk->{letters}ik", left, right)
    rows = () if vectors[0] else (found.shape[-2],)
    columns = () if vectors[1] else (found.shape[-1],)
    return Traced(builder, builder.reshape(found, (*lead, *rows, *columns)))


UFUNCS["matmul"] = _matmul
UFUNCS["vecdot"] = lambda b, x, y: np.sum(x * y, axis=-1)


def rule_for(*functions: Callable) -> Callable:
    """Register the rule of NumPy functions."""

    def register(rule):
        for f in functions:
            FUNCTIONS[f] = rule
        return rule

    return register


def by_places(function: Callable) -> Callable:
    """The rule of a function that only moves entries: it is applied to their places."""

    def rule(x, *args, **kwargs):
        places = np.arange(x.size).reshape(x.shape)
        return Traced(x.builder, x.builder.gather(x.node, function(places, *args, **kwargs)))

    return rule


MOVING: tuple[Callable, ...] = (
    np.transpose, np.swapaxes, np.moveaxis, np.rollaxis, np.squeeze, np.expand_dims, np.flip, np.fliplr,
    np.flipud, np.roll, np.tile, np.repeat, np.diagonal, np.broadcast_to, np.take, np.rot90, np.ravel,
    np.atleast_1d, np.atleast_2d, np.atleast_3d, np.delete,
)  # fmt: skip
for _function in MOVING:
    FUNCTIONS[_function] = by_places(_function)
transpose = FUNCTIONS[np.transpose]


@rule_for(np.broadcast_to)
def _broadcast_to(x, shape, subok=False):
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return Traced(x.builder, x.builder.broadcast(x.node, shape))


@rule_for(np.reshape)
def _reshape(x, shape=None, order="C", **kwargs):
    return x.reshape(shape if shape is not None else kwargs["newshape"], order=order)


def _moved(function: Callable) -> Callable:
    """The rule of a function that places the entries of several arrays side by side."""

    def rule(arrays, *args, **kwargs):
        parts = list(arrays)
        builder = builder_of(parts)
        nodes = [as_real(builder, node_of(builder, p)) for p in parts]
        offsets = np.cumsum([0] + [prod(n.shape) for n in nodes])
        places = [np.arange(prod(n.shape)).reshape(n.shape) + o for n, o in zip(nodes, offsets, strict=False)]
        return Traced(builder, builder.gather(builder.join(nodes), function(places, *args, **kwargs)))

    return rule


JOINING: tuple[Callable, ...] = (
    np.stack, np.concatenate, np.hstack, np.vstack, np.column_stack, np.dstack, np.block,
)  # fmt: skip
for _function in JOINING:
    FUNCTIONS[_function] = _moved(_function)
stack = FUNCTIONS[np.stack]


@rule_for(np.append)
def _append(arr, values, axis=None):
    if axis is None:
        return np.concatenate([np.ravel(arr), np.ravel(values)])
    return np.concatenate([arr, values], axis=axis)


@rule_for(np.split, np.array_split)
def _split(x, sections, axis=0):
    places = np.array_split(np.arange(x.size).reshape(x.shape), sections, axis)
    return [Traced(x.builder, x.builder.gather(x.node, p)) for p in places]


def _axes(x, axis) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    axes = (axis,) if isinstance(axis, int | np.integer) else tuple(axis)
    return tuple(int(a) % x.ndim for a in axes)


def reduction(op: str) -> Callable:
    """The rule of a sum or a maximum."""

    def rule(x, axis=None, dtype=None, out=None, keepdims=False, initial=None, where=None, **kwargs):
        if out is not None or initial is not None or where is not None:
            raise TracingError("out=, initial= and where= of a reduction cannot be compiled")
        axes = _axes(x, axis)
        found = x.builder.reduce(op, as_real(x.builder, x.node), axes)
        if keepdims:
            found = x.builder.reshape(found, tuple(1 if k in axes else n for k, n in enumerate(x.shape)))
        return Traced(x.builder, found)

    return rule


FUNCTIONS[np.sum] = reduction("sum")
FUNCTIONS[np.max] = FUNCTIONS[np.amax] = reduction("amax")


@rule_for(np.min, np.amin)
def smallest(x, axis=None, keepdims=False, **kwargs):
    """The maximum's rule turned over."""
    return -reduction("amax")(-x, axis=axis, keepdims=keepdims, **kwargs)


_REDUCTIONS = {
    np.add: lambda x, axis=0, **kw: reduction("sum")(x, axis=axis, **kw),
    np.maximum: lambda x, axis=0, **kw: reduction("amax")(x, axis=axis, **kw),
    np.minimum: lambda x, axis=0, **kw: smallest(x, axis=axis, **kw),
}


def _no_more(function: str, options: dict) -> None:
    given = [name for name, value in options.items() if value is not None and name != "dtype"]
    if given:
        raise TracingError(f"np.{function} with {given[0]}= cannot be compiled")


@rule_for(np.average)
def _average(x, axis=None, weights=None, returned=False, *, keepdims=False):
    _no_more("average", {"weights": weights, "returned": returned or None})
    return mean(x, axis, keepdims=keepdims)


@rule_for(np.mean)
def mean(x, axis=None, dtype=None, out=None, keepdims=False, **kwargs):
    """A sum over a count."""
    _no_more("mean", {"out": out, **kwargs})
    count = prod(x.shape[k] for k in _axes(x, axis))
    return reduction("sum")(x, axis=axis, keepdims=keepdims) * (1.0 / count)


@rule_for(np.prod)
def _prod(x, axis=None, dtype=None, out=None, keepdims=False, **kwargs):
    _no_more("prod", {"out": out, **kwargs})
    moved = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
    found: Any = moved[0]
    for k in range(1, len(moved)):
        found = found * moved[k]
    return found if not keepdims else np.expand_dims(found, _axes(x, axis))


@rule_for(np.var)
def _var(x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **kwargs):
    _no_more("var", {"out": out, **kwargs})
    away = x - mean(x, axis, keepdims=True)
    count = prod(x.shape[k] for k in _axes(x, axis))
    return reduction("sum")(away * away, axis=axis, keepdims=keepdims) * (1.0 / (count - ddof))


@rule_for(np.std)
def _std(x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, **kwargs):
    return np.sqrt(_var(x, axis, out=out, ddof=ddof, keepdims=keepdims, **kwargs))


@rule_for(np.cumsum)
def cumsum(x, axis=None, dtype=None, out=None):
    """Running sums."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    return Traced(x.builder, x.builder.cumsum(x.node, axis % x.ndim))


@rule_for(np.diff)
def _diff(x, n=1, axis=-1, **kwargs):
    _no_more("diff", kwargs)
    for _ in range(n):
        x = np.moveaxis(x, axis, 0)
        x = np.moveaxis(x[1:] - x[:-1], 0, axis)
    return x


@rule_for(np.where)
def where(condition, a=None, b=None):
    """By truth values."""
    if a is None or b is None:
        raise TracingError("np.where(condition) alone depends on values; write np.where(condition, a, b)")
    builder = builder_of(condition, a, b)
    truth, *sides = (node_of(builder, v) for v in (condition, a, b))
    if not truth.logical:
        truth = builder.elementwise("not_equal", truth, builder.constant(0.0))
    return Traced(builder, builder.elementwise("where", truth, *(as_real(builder, s) for s in sides)))


@rule_for(np.clip)
def clip(x, a_min=None, a_max=None, **kwargs):
    """Inside limits; on a limit the slope is 0."""
    low, high = kwargs.pop("min", a_min), kwargs.pop("max", a_max)
    _no_more("clip", kwargs)
    if low is not None:
        x = where(x <= low, low, x)
    return x if high is None else where(x >= high, high, x)


@rule_for(np.dot)
def dot(a, b, out=None):
    """Products of numbers, else the last axis of a with the last but one of b."""
    if np.ndim(a) == 0 or np.ndim(b) == 0:
        return a * b
    if np.ndim(b) <= 2:
        return np.matmul(a, b)
    raise TracingError("np.dot with a second argument of more than two axes cannot be compiled")


@rule_for(np.inner)
def _inner(a, b):
    return a * b if np.ndim(a) == 0 or np.ndim(b) == 0 else np.matmul(a, np.transpose(b))


@rule_for(np.vdot)
def _vdot(a, b):
    return np.sum(np.ravel(a) * np.ravel(b))


@rule_for(np.outer)
def _outer(a, b, out=None):
    return np.ravel(a)[:, None] * np.ravel(b)[None, :]


@rule_for(np.einsum)
def _einsum(subscripts, *operands, **kwargs):
    builder = builder_of(operands)
    if not isinstance(subscripts, str) or "." in subscripts or len(operands) > 2:
        raise TracingError("einsum of one or two operands with plain subscripts can be compiled")
    text = subscripts.replace(" ", "")
    if "->" not in text:
        letters = text.replace(",", "")
        text += "->" + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    left, out = text.split("->")
    parts = left.split(",")
    if any(len(set(p)) < len(p) for p in parts):
        raise TracingError("einsum with a letter twice in one operand cannot be compiled")
    nodes = [node_of(builder, o) for o in operands]
    if len(nodes) == 1:
        summed = tuple(k for k, c in enumerate(parts[0]) if c not in out)
        found = Traced(builder, builder.reduce("sum", nodes[0], summed))
        kept = [c for c in parts[0] if c in out]
        return np.transpose(found, [kept.index(c) for c in out])
    return Traced(builder, builder.einsum(text, *nodes))


@rule_for(np.cross)
def _cross(a, b, **kwargs):
    _no_more("cross", kwargs)
    return np.stack(
        [a[..., 1] * b[..., 2] - a[..., 2] * b[..., 1],
         a[..., 2] * b[..., 0] - a[..., 0] * b[..., 2],
         a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]], axis=-1)  # fmt: skip


@rule_for(np.zeros_like, np.empty_like)
def _zeros_like(x, dtype=None, shape=None, **kwargs):
    return np.zeros(x.shape if shape is None else shape)


@rule_for(np.ones_like)
def _ones_like(x, dtype=None, shape=None, **kwargs):
    return np.ones(x.shape if shape is None else shape)


@rule_for(np.full_like)
def _full_like(x, fill_value, dtype=None, shape=None, **kwargs):
    return np.full(x.shape if shape is None else shape, fill_value)


FUNCTIONS[np.shape] = lambda x: x.shape
FUNCTIONS[np.ndim] = lambda x: x.ndim
FUNCTIONS[np.size] = lambda x, axis=None: x.size if axis is None else x.shape[axis]
FUNCTIONS[np.copy] = lambda x, **kwargs: x
FUNCTIONS[np.iscomplexobj] = lambda x: False
FUNCTIONS[np.linalg.norm] = lambda x, axis=None, keepdims=False: np.sqrt(
    np.sum(x * x, axis=axis, keepdims=keepdims)
)
FUNCTIONS[np.trace] = lambda x: np.sum(np.diagonal(x), axis=-1)
FUNCTIONS[np.diag] = lambda x, k=0: np.diagonal(x, k) if x.ndim == 2 else _diag(x, k)
FUNCTIONS[np.sinc] = lambda x: where(x == 0, 1.0, np.sin(np.pi * x) / (np.pi * where(x == 0, 1.0, x)))


def _diag(x, k: int):
    size = len(x) + abs(k)
    places = np.diag(np.arange(1, len(x) + 1), k).reshape(size, size)
    padded: Any = np.concatenate([np.zeros(1), x])
    return Traced(x.builder, x.builder.gather(padded.node, places))
