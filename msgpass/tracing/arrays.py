"""Arrays of node numbers that go through plain NumPy code in place of arrays of numbers.

Whatever moves numbers about (indexing, reshaping, stacking) is done by NumPy itself on the node numbers;
ufuncs make a node an element; sums and products run over `Number` objects with NumPy's own code for objects.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from msgpass.errors import TracingError
from msgpass.tracing.tape import Tape

UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "power": "pow",
    "float_power": "pow", "remainder": "mod", "mod": "mod", "negative": "neg", "absolute": "abs",
    "fabs": "abs", "sign": "sign", "floor": "floor", "ceil": "ceil", "rint": "rint", "trunc": "trunc",
    "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10",
    "log1p": "log1p", "sqrt": "sqrt", "cbrt": "cbrt", "sin": "sin", "cos": "cos", "tan": "tan",
    "arcsin": "arcsin", "arccos": "arccos", "arctan": "arctan", "arctan2": "arctan2", "sinh": "sinh",
    "cosh": "cosh", "tanh": "tanh", "arcsinh": "arcsinh", "arccosh": "arccosh", "arctanh": "arctanh",
    "maximum": "maximum", "minimum": "minimum", "less": "lt", "less_equal": "le", "greater": "gt",
    "greater_equal": "ge", "equal": "eq", "not_equal": "ne", "logical_and": "and", "logical_or": "or",
    "logical_xor": "xor", "logical_not": "not", "bitwise_and": "and", "bitwise_or": "or",
    "bitwise_xor": "xor", "invert": "not", "isnan": "isnan", "isfinite": "isfinite", "isinf": "isinf",
}  # fmt: skip


def _logaddexp(x, y):
    m = np.maximum(x, y)
    return m + np.log(np.exp(x - m) + np.exp(y - m))


COMPOSED: dict[str, Any] = {
    "square": lambda x: x * x,
    "reciprocal": lambda x: 1.0 / x,
    "positive": lambda x: x,
    "conjugate": lambda x: x,
    "hypot": lambda x, y: np.sqrt(x * x + y * y),
    "floor_divide": lambda x, y: np.floor(x / y),
    "deg2rad": lambda x: x * (np.pi / 180),
    "radians": lambda x: x * (np.pi / 180),
    "rad2deg": lambda x: x * (180 / np.pi),
    "degrees": lambda x: x * (180 / np.pi),
    "heaviside": lambda x, y: np.where(x == 0, y, np.where(x > 0, 1.0, 0.0)),
    "logaddexp": _logaddexp,
}


class Number:
    """One node, for NumPy's loops over objects."""

    __slots__ = ("node", "tape")

    def __init__(self, tape: Tape, node: int):
        self.tape, self.node = tape, node

    def _op(self, name: str, *others, back: bool = False) -> Number:
        nodes = [node_of(self.tape, o) for o in others]
        args = (*nodes, self.node) if back else (self.node, *nodes)
        return Number(self.tape, self.tape.op(name, *args))

    def __add__(self, other):
        return self._op("add", other)

    __radd__ = __add__

    def __mul__(self, other):
        return self._op("mul", other)

    __rmul__ = __mul__

    def __sub__(self, other):
        return self._op("sub", other)

    def __rsub__(self, other):
        return self._op("sub", other, back=True)

    def __truediv__(self, other):
        return self._op("div", other)

    def __rtruediv__(self, other):
        return self._op("div", other, back=True)

    def __pow__(self, other):
        return self._op("pow", other)

    def __neg__(self):
        return self._op("neg")

    def __abs__(self):
        return self._op("abs")

    def conjugate(self):
        """Itself: all numbers are real."""
        return self

    def __bool__(self):
        raise TracingError(BRANCH)

    def __float__(self):
        raise TracingError(FLOAT)


OF_OBJECTS = (
    "exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh",
    "tanh", "floor", "ceil", "rint",
)  # fmt: skip
"""What NumPy calls as a method on each object of an array."""
for _name in OF_OBJECTS:
    setattr(Number, _name, lambda self, _name=_name: self._op(UFUNCS[_name]))


def numbers(tape: Tape, ids: np.ndarray) -> np.ndarray:
    """Nodes as an array of objects."""
    found = np.empty(ids.size, object)
    found[:] = [Number(tape, k) for k in ids.ravel().tolist()]
    return found.reshape(ids.shape)


BRANCH = (
    "the function decides by a value that it computes (if, while, and, or, not, max, min or sorted of an "
    "array that depends on its inputs); a traced step is one straight line: write np.where(condition, a, b), "
    "np.maximum, np.minimum or np.logical_and, or leave kernel= out"
)


FLOAT = (
    "float(…), a function of math, or assignment into an ordinary array takes a value that the step "
    "computes; use NumPy's function of the same name, np.stack([…]) to build a vector, or np.zeros_like(h) "
    "to get an array that can be assigned into"
)


class Traced(NDArrayOperatorsMixin):
    """An array of nodes of a tape."""

    __slots__ = ("ids", "tape")
    __array_priority__ = 1000

    def __init__(self, tape: Tape, ids: Any):
        self.tape, self.ids = tape, np.asarray(ids, np.int64)

    # -- what an array says of itself ---------------------------------------------------------------------

    shape = property(lambda self: self.ids.shape)
    ndim = property(lambda self: self.ids.ndim)
    size = property(lambda self: self.ids.size)
    T = property(lambda self: self.made(self.ids.T))
    real = property(lambda self: self)

    @property
    def dtype(self) -> np.dtype:
        """Truth values where all are; float64 otherwise."""
        known = self.tape.boolean
        return np.dtype(bool if self.size and all(k in known for k in self.ids.flat) else float)

    def __repr__(self) -> str:
        return f"Traced(shape={self.shape})"

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self):
        return (self.made(row) for row in self.ids)

    def __bool__(self) -> bool:
        return bool(self._known(BRANCH))

    def _known(self, why: str):
        if self.size == 1 and int(self.ids.flat[0]) in self.tape.values:
            return self.tape.values[int(self.ids.flat[0])]
        raise TracingError(why)

    def __float__(self) -> float:
        return float(self._known(FLOAT))

    def __int__(self) -> int:
        return int(
            self._known(
                "int(…) takes a value that the step computes; a traced step cannot count by it: use np.floor "
                "and np.where, or leave kernel= out"
            )
        )

    def __index__(self) -> int:
        return int(
            self._known(
                "an index or a number of repetitions depends on the step's inputs; a traced step reads fixed "
                "places: select with np.where or a product with a one-hot vector, or leave kernel= out"
            )
        )

    def __array__(self, dtype=None, copy=None):
        """Numbers as objects, so that ``np.array([…])`` builds an array."""
        if dtype is not None and np.dtype(dtype) != object:
            raise TracingError(
                "np.array or np.asarray with dtype= of values that the step computes: build vectors with "
                "np.stack([…]) or np.concatenate([…]), or leave kernel= out"
            )
        return numbers(self.tape, self.ids)

    # -- moving about -------------------------------------------------------------------------------------

    def made(self, ids) -> Traced:
        """Another array of the same tape."""
        return Traced(self.tape, ids)

    def __getitem__(self, key):
        return self.made(self.ids[_plain(key)])

    def __setitem__(self, key, value) -> None:
        self.ids[_plain(key)] = ids_of(self.tape, value)

    def reshape(self, *shape, order="C"):
        """As an array's."""
        return self.made(self.ids.reshape(*shape, order=order))

    def transpose(self, *axes):
        """As an array's."""
        return self.made(self.ids.transpose(*axes))

    def swapaxes(self, a, b):
        """As an array's."""
        return self.made(self.ids.swapaxes(a, b))

    def ravel(self, order="C"):
        """As an array's."""
        return self.made(self.ids.ravel(order))

    def copy(self, order="C"):
        """As an array's."""
        return self.made(self.ids.copy(order))

    flatten = ravel
    flat = property(lambda self: iter(self.ravel()))

    def squeeze(self, axis=None):
        """As an array's."""
        return self.made(self.ids.squeeze(axis))

    def repeat(self, repeats, axis=None):
        """As an array's."""
        return self.made(self.ids.repeat(repeats, axis))

    def take(self, indices, axis=None):
        """As an array's."""
        return self.made(self.ids.take(indices, axis))

    def item(self, *args):
        """The element, traced."""
        flat = self.ids if not args else self.ids[args if len(args) > 1 else args[0]]
        if np.size(flat) != 1:
            raise ValueError("can only convert an array of size 1 to a scalar")
        return self.made(np.reshape(flat, ()))

    def astype(self, dtype, **_options):
        """Real numbers stay as they are; truth values become 0 and 1."""
        kind = np.dtype(dtype).kind
        if kind in "iu" and self.dtype != bool:
            raise TracingError("astype(int) of values that the step computes; use np.floor or np.trunc")
        change = self.tape.truth if kind == "b" else self.tape.number
        return self.made(np.array([change(int(k)) for k in self.ids.flat], np.int64).reshape(self.shape))

    # -- computing ----------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        from msgpass.tracing.functions import apply_reduction, apply_ufunc

        self.tape.calls += 1
        if kwargs.pop("where", True) is not True:
            raise TracingError(f"np.{ufunc.__name__} with where=; use np.where")
        if method == "__call__":
            return apply_ufunc(self.tape, ufunc, inputs, kwargs)
        return apply_reduction(self.tape, ufunc, method, inputs, kwargs)

    def __array_function__(self, function, _types, args, kwargs):
        from msgpass.tracing.functions import apply_function

        self.tape.calls += 1
        return apply_function(self.tape, function, args, kwargs)


def _method(name):
    def method(self, *args, **kwargs):
        return getattr(np, name)(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, f"As ``np.{name}``."
    return method


METHODS = (
    "sum", "mean", "prod", "max", "min", "cumsum", "cumprod", "dot", "clip", "var", "std", "any", "all",
    "trace", "diagonal", "round",
)  # fmt: skip
for _name in METHODS:
    setattr(Traced, _name, _method(_name))
for _name in OF_OBJECTS:
    setattr(Traced, _name, lambda self, _name=_name: getattr(np, _name)(self))


def _plain(key):
    """An index without traced parts."""
    parts = key if isinstance(key, tuple) else (key,)
    for part in parts:
        if isinstance(part, Traced) and part.ndim:
            raise TracingError(
                "an index depends on the step's inputs (a mask such as h[h > 0], or an array of places); "
                "select with np.where, or leave kernel= out"
            )
    return key


def node_of(tape: Tape, value) -> int:
    """Node of one number."""
    if isinstance(value, Number):
        return value.node
    return int(value.ids) if isinstance(value, Traced) else tape.constant(value)


def ids_of(tape: Tape, value) -> np.ndarray:
    """Nodes of anything that NumPy would take for an array."""
    if isinstance(value, Traced):
        return value.ids
    if isinstance(value, list | tuple) and any(isinstance(v, Traced | list | tuple) for v in value):
        return np.stack([ids_of(tape, v) for v in value])
    array = np.asarray(value)
    if array.dtype == object and all(isinstance(v, Number | Traced | Real) for v in array.flat):
        each = [node_of(tape, v) for v in array.ravel().tolist()]
        return np.array(each, np.int64).reshape(array.shape)
    if array.dtype.kind not in "biuf":
        raise TracingError(f"a value of type {array.dtype} in a traced step; it computes real numbers")
    return np.array([tape.constant(v) for v in array.ravel().tolist()], np.int64).reshape(array.shape)
