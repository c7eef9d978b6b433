"""``DualArray``: an array that carries its tangent, so that NumPy code written once also gives its
derivative.

    value + ε·tangent with ε² = 0:      f(x + εẋ) = f(x) + ε f′(x) ẋ

(Clifford 1873; Wengert 1964). Functions of NumPy hand an argument that defines the dispatch protocols to that
argument, so that the reference algebras run over dual numbers as they are; what has no rule here is an
error, and nothing drops a tangent silently: a dual array cannot become a plain one by ``float`` or
``np.asarray``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from msgpass.errors import UnsupportedError

UFUNCS: dict[Any, Callable] = {}
"""NumPy ufunc → rule: (pairs of value and tangent, which is None for a plain argument) → pair."""

FUNCTIONS: dict[Any, Callable] = {}
"""NumPy function → rule over dual and plain arguments."""


class DualArray(NDArrayOperatorsMixin):
    """An array and its tangent, of one shape.

    Parameters
    ----------
    value, tangent : array

    Examples
    --------
    >>> x = DualArray(np.array([0.0, 1.0]), np.array([1.0, 1.0]))
    >>> np.exp(2 * x).tangent.round(6).tolist()
    [2.0, 14.778112]
    """

    __slots__ = ("tangent", "value")

    def __init__(self, value, tangent):
        self.value, self.tangent = value, tangent

    # -- what NumPy asks of an array ------------------------------------------------------------------------

    @property
    def shape(self):
        """Of both."""
        return np.shape(self.value)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return np.ndim(self.value)

    @property
    def size(self) -> int:
        """Number of entries."""
        return np.size(self.value)

    @property
    def dtype(self):
        """Of the value."""
        return np.asarray(self.value).dtype

    @property
    def T(self) -> DualArray:
        """Axes in reverse."""
        return DualArray(self.value.T, self.tangent.T)

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self):
        return (self[k] for k in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.value)

    def __getitem__(self, key) -> DualArray:
        return DualArray(self.value[key], self.tangent[key])

    def __setitem__(self, key, other) -> None:
        value, tangent = pair(other)
        self.value[key], self.tangent[key] = value, tangent

    def __array__(self, *_, **__):
        raise UnsupportedError(
            "an array that carries a tangent would lose it here: this code has no second derivatives; it is "
            "written with np.asarray or an assignment into a plain array"
        )

    def __float__(self) -> float:
        self.__array__()
        raise AssertionError

    def __repr__(self) -> str:
        return f"DualArray({self.value!r}, {self.tangent!r})"

    def _linear(self, name: str, *args, **kwargs) -> DualArray:
        return DualArray(
            getattr(self.value, name)(*args, **kwargs), getattr(self.tangent, name)(*args, **kwargs)
        )

    def reshape(self, *shape) -> DualArray:
        """Both reshaped."""
        return self._linear("reshape", *shape)

    def ravel(self) -> DualArray:
        """Both flattened."""
        return self._linear("ravel")

    def astype(self, dtype, **kwargs) -> DualArray:
        """Both in another precision."""
        return self._linear("astype", dtype, **kwargs)

    def copy(self) -> DualArray:
        """Both copied."""
        return DualArray(np.array(self.value), np.array(self.tangent))

    def sum(self, axis=None, keepdims=False) -> DualArray:
        """Both summed."""
        return self._linear("sum", axis=axis, keepdims=keepdims)

    def max(self, axis=None, keepdims=False) -> DualArray:
        """The largest entry and its tangent."""
        return _max(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis=None):
        """Of the value."""
        return np.argmax(self.value, axis=axis)

    def any(self, axis=None):
        """Of the value."""
        return np.any(self.value, axis=axis)

    def all(self, axis=None):
        """Of the value."""
        return np.all(self.value, axis=axis)

    # -- dispatch -------------------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        if ufunc in PLAIN and method == "__call__":
            return ufunc(*(plain(x) for x in inputs), **kwargs)
        if method in ("reduce", "reduceat") and ufunc is np.add:
            first, *rest = inputs
            act = getattr(ufunc, method)
            result = DualArray(act(first.value, *rest, **kwargs), act(first.tangent, *rest, **kwargs))
        elif method == "at" and ufunc is np.add:
            target, where, added = inputs
            value, tangent = pair(added)
            np.add.at(target.value, where, value)
            np.add.at(target.tangent, where, tangent)
            return None
        elif method == "__call__" and ufunc in UFUNCS and not kwargs:
            parts = ((x.value, x.tangent) if isinstance(x, DualArray) else (x, None) for x in inputs)
            result = DualArray(*UFUNCS[ufunc](*parts))
        else:
            raise _no_rule(f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}"))
        if out is not None and isinstance(out[0], DualArray) and isinstance(out[0].value, np.ndarray):
            out[0].value[...], out[0].tangent[...] = result.value, result.tangent
            return out[0]
        return result  # ``plain += dual`` binds the name anew; the plain array itself is left as it was

    def __array_function__(self, function, types, args, kwargs):
        rule = FUNCTIONS.get(function)
        if rule is None:
            raise _no_rule(f"{function.__module__}.{function.__name__}")
        return rule(*args, **kwargs)


def _no_rule(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"{name} has no rule for arrays that carry a tangent, so that there are no second derivatives "
        "through it; a rule is one line in msgpass/dual_array.py"
    )


def pair(x) -> tuple[Any, Any]:
    """Value and tangent of a dual array; a plain one does not move."""
    if isinstance(x, DualArray):
        return x.value, x.tangent
    return x, np.zeros_like(x, dtype=np.result_type(np.asarray(x).dtype, np.float32))


def plain(x):
    """The value alone."""
    return x.value if isinstance(x, DualArray) else x


def number(x):
    """``float`` of what is plain; a dual number as it is."""
    return x if isinstance(x, DualArray) else float(x)


def tangent_of(function: Callable) -> Callable:
    """``moved(inputs, cotangent, tangents)``: how the arrays of ``function(inputs, cotangent)`` move; the
    ``hvp`` of a step whose ``vjp`` is plain NumPy code.
    """

    def moved(inputs, cotangent, tangents):
        found = function(tuple(map(DualArray, inputs, tangents)), cotangent)
        return tuple(None if g is None else pair(g)[1] for g in found)

    return moved


def contiguous(x) -> Any:
    """In C order and double precision."""
    if isinstance(x, DualArray):
        return DualArray(contiguous(x.value), contiguous(x.tangent))
    return np.ascontiguousarray(x, np.float64)


def zeros(shape, dtype, like) -> Any:
    """Zeros that can hold what ``like``, a list of arrays, holds: dual if any of them is."""
    made = np.zeros(shape, dtype)
    return DualArray(made, made.copy()) if any(isinstance(x, DualArray) for x in like) else made


# -- ufuncs -----------------------------------------------------------------------------------------------

PLAIN = {
    *(np.isfinite, np.isnan, np.isinf, np.sign, np.signbit, np.floor, np.logical_not),
    *(np.less, np.less_equal, np.greater, np.greater_equal, np.equal, np.not_equal),
}
"""Ufuncs of the value alone, constant almost everywhere."""


def _unary(ufunc, slope) -> None:
    def rule(x):
        y = ufunc(x[0])
        return y, slope(x[0], y) * x[1]

    UFUNCS[ufunc] = rule


def _reciprocal(x, _y):
    # The logarithm of an exact zero is −∞ and stays so: it does not move.
    return np.divide(1.0, x, out=np.zeros_like(x, dtype=float), where=np.asarray(x) != 0)


_unary(np.negative, lambda x, y: -1.0)
_unary(np.positive, lambda x, y: 1.0)
_unary(np.exp, lambda x, y: y)
_unary(np.log, _reciprocal)
_unary(np.sqrt, lambda x, y: 0.5 / y)
_unary(np.square, lambda x, y: 2 * x)
_unary(np.tanh, lambda x, y: 1 - y * y)
_unary(np.absolute, lambda x, y: np.sign(x))


def _binary(ufunc, of_first, of_second) -> None:
    """A rule from what the tangent of each argument adds: functions of (tangent, both values, the result)."""

    def rule(a, b):
        y = ufunc(a[0], b[0])
        if b[1] is None:
            return y, _spread(of_first(a[1], a[0], b[0], y), y)
        if a[1] is None:
            return y, _spread(of_second(b[1], a[0], b[0], y), y)
        return y, of_first(a[1], a[0], b[0], y) + of_second(b[1], a[0], b[0], y)

    UFUNCS[ufunc] = rule


def _spread(tangent, y):
    """Over the shape of the result."""
    return tangent if np.shape(tangent) == np.shape(y) else np.broadcast_to(tangent, np.shape(y)).copy()


def _of_exponent(t, a, b, y):
    a = np.asarray(a)
    if np.any((a < 0) & (t != 0)):
        raise _no_rule("a power of a negative number with an exponent that moves")
    return y * np.log(np.where(a > 0, a, 1)) * t


_binary(np.add, lambda t, a, b, y: t, lambda t, a, b, y: t)
_binary(np.subtract, lambda t, a, b, y: t, lambda t, a, b, y: -t)
_binary(np.multiply, lambda t, a, b, y: t * b, lambda t, a, b, y: a * t)
_binary(np.matmul, lambda t, a, b, y: t @ b, lambda t, a, b, y: a @ t)
_binary(np.true_divide, lambda t, a, b, y: t / b, lambda t, a, b, y: -y * t / b)
_binary(np.power, lambda t, a, b, y: b * a ** (b - 1) * t, _of_exponent)
_binary(np.logaddexp, lambda t, a, b, y: np.exp(a - y) * t, lambda t, a, b, y: np.exp(b - y) * t)
_binary(np.maximum, lambda t, a, b, y: np.where(a >= b, t, 0), lambda t, a, b, y: np.where(a >= b, 0, t))


# -- functions --------------------------------------------------------------------------------------------


def _linear(*functions) -> None:
    """Functions that are linear in their first argument and have no other array."""
    for function in functions:

        def rule(x, *args, function=function, **kwargs):
            return DualArray(function(x.value, *args, **kwargs), function(x.tangent, *args, **kwargs))

        FUNCTIONS[function] = rule


_linear(np.reshape, np.transpose, np.swapaxes, np.moveaxis, np.squeeze, np.expand_dims, np.broadcast_to)
_linear(np.sum, np.take, np.take_along_axis, np.diag, np.diagonal, np.trace, np.ravel, np.repeat, np.copy)
_linear(np.zeros_like, np.empty_like, np.flip, np.pad, np.roll)


def _gather(*functions) -> None:
    """Functions of a list of arrays."""
    for function in functions:

        def rule(arrays, *args, function=function, **kwargs):
            value = function(_each(arrays, 0), *args, **kwargs)
            return DualArray(value, function(_each(arrays, 1), *args, **kwargs))

        FUNCTIONS[function] = rule


def _each(arrays, which: int):
    return [_each(a, which) if isinstance(a, list | tuple) else np.asarray(pair(a)[which]) for a in arrays]


_gather(np.concatenate, np.stack, np.block, np.hstack, np.vstack)


def _bilinear(*functions) -> None:
    """Functions that are linear in each of two arrays."""
    for function in functions:

        def rule(a, b, *args, function=function, **kwargs):
            av, bv = plain(a), plain(b)
            parts = [function(a.tangent, bv, *args, **kwargs)] if isinstance(a, DualArray) else []
            parts += [function(av, b.tangent, *args, **kwargs)] if isinstance(b, DualArray) else []
            return DualArray(function(av, bv, *args, **kwargs), sum(parts[1:], parts[0]))

        FUNCTIONS[function] = rule


_bilinear(np.outer, np.dot, np.inner, np.kron, np.tensordot)
FUNCTIONS[np.shape] = lambda x: x.shape
FUNCTIONS[np.ndim] = lambda x: x.ndim
FUNCTIONS[np.size] = lambda x: x.size
FUNCTIONS[np.any] = lambda x, *a, **k: np.any(x.value, *a, **k)
FUNCTIONS[np.all] = lambda x, *a, **k: np.all(x.value, *a, **k)
FUNCTIONS[np.isposinf] = lambda x, *a, **k: np.isposinf(x.value, *a, **k)
FUNCTIONS[np.isneginf] = lambda x, *a, **k: np.isneginf(x.value, *a, **k)
FUNCTIONS[np.argmax] = lambda x, *a, **k: np.argmax(x.value, *a, **k)
FUNCTIONS[np.array_equal] = lambda a, b, **k: np.array_equal(plain(a), plain(b), **k)
FUNCTIONS[np.allclose] = lambda a, b, *r, **k: np.allclose(plain(a), plain(b), *r, **k)
FUNCTIONS[np.linalg.eigvalsh] = lambda x, *a, **k: np.linalg.eigvalsh(x.value, *a, **k)


def _rule(function) -> Callable:
    def register(rule):
        FUNCTIONS[function] = rule
        return rule

    return register


@_rule(np.max)
def _max(x, axis=None, keepdims=False):
    top = np.max(x.value, axis=axis, keepdims=True)
    at = x.value == top
    moved = np.where(at, x.tangent, 0).sum(axis=axis, keepdims=True) / at.sum(axis=axis, keepdims=True)
    if not keepdims:
        top, moved = np.squeeze(top, axis), np.squeeze(moved, axis)
    return DualArray(top, moved)


@_rule(np.where)
def _where(condition, a, b):
    (av, at), (bv, bt) = pair(a), pair(b)
    condition = plain(condition)
    return DualArray(np.where(condition, av, bv), np.where(condition, at, bt))


@_rule(np.full_like)
def _full_like(x, fill, dtype=None, shape=None):
    value = np.full_like(x.value, fill, dtype=dtype, shape=shape)
    return DualArray(value, np.zeros_like(value))


@_rule(np.bincount)
def _bincount(places, weights=None, minlength=0):
    return DualArray(
        np.bincount(places, weights.value, minlength), np.bincount(places, weights.tangent, minlength)
    )


@_rule(np.linalg.inv)
def _inv(x):
    y = np.linalg.inv(x.value)
    return DualArray(y, -y @ x.tangent @ y)


@_rule(np.linalg.solve)
def _solve(a, b):
    (av, at), (bv, bt) = pair(a), pair(b)
    y = np.linalg.solve(av, bv)
    return DualArray(y, np.linalg.solve(av, bt - at @ y))


@_rule(np.linalg.slogdet)
def _slogdet(x):
    sign, logdet = np.linalg.slogdet(x.value)
    moved = np.trace(np.linalg.solve(x.value, x.tangent), axis1=-2, axis2=-1) if np.all(sign) else 0.0
    return sign, DualArray(logdet, moved)


@_rule(np.linalg.cholesky)
def _cholesky(x, **kwargs):
    """L̇ = L Φ(L⁻¹ Ẋ L⁻ᵀ), Φ the lower triangle with half the diagonal (Smith 1995)."""
    L = np.linalg.cholesky(x.value, **kwargs)
    inside = np.linalg.solve(L, np.swapaxes(np.linalg.solve(L, x.tangent), -1, -2))
    lower = np.tril(inside) - 0.5 * inside * np.eye(L.shape[-1])
    return DualArray(L, L @ lower)
