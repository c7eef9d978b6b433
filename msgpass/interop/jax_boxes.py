"""Functions written with plain ``numpy``, for JAX to trace.

NumPy hands an argument that defines ``__array_ufunc__`` or ``__array_function__`` to that argument; a box
around a JAX value passes the call on to the function of the same name in ``jax.numpy``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from numpy.lib.mixins import NDArrayOperatorsMixin

from msgpass.errors import UnsupportedError


class Box(NDArrayOperatorsMixin):
    """A JAX value in NumPy's code."""

    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__" or kwargs.get("out") is not None:
            raise UnsupportedError(f"JAX cannot trace numpy.{ufunc.__name__}.{method} or out=")
        return boxed(_known(ufunc)(*map(unboxed, inputs), **kwargs))

    def __array_function__(self, function, types, args, kwargs):
        return boxed(_known(function)(*unboxed(args), **unboxed(kwargs)))

    def __getattr__(self, name):
        found = getattr(self.value, name)
        if not callable(found):
            return boxed(found)
        return lambda *args, **kwargs: boxed(found(*unboxed(args), **unboxed(kwargs)))

    def __getitem__(self, key):
        return Box(self.value[unboxed(key)])

    def __setitem__(self, key, value):
        raise UnsupportedError(
            "assignment into an array cannot be traced; build it with np.stack or np.where"
        )

    def __len__(self) -> int:
        return len(self.value)

    def __iter__(self):
        return map(Box, self.value)


def boxed(value):
    """Boxes around the JAX values in a result."""
    import jax

    if isinstance(value, tuple | list):
        return type(value)(map(boxed, value))
    return Box(value) if isinstance(value, jax.Array) else value


def unboxed(value):
    """What is in the boxes of an argument."""
    if isinstance(value, Box):
        return value.value
    if isinstance(value, dict):
        return {k: unboxed(v) for k, v in value.items()}
    return type(value)(map(unboxed, value)) if type(value) in (tuple, list) else value


def for_jax(f: Callable) -> Callable:
    """f itself where it is a function of JAX, else f in boxes."""
    import jax

    @wraps(f)
    def call(*inputs):
        try:
            return f(*inputs)
        except jax.errors.TracerArrayConversionError:
            return unboxed(f(*map(boxed, inputs)))

    return call


def _known(function):
    from jax import numpy as jnp

    module = jnp
    for part in getattr(function, "__module__", "numpy").split(".")[1:]:
        module = getattr(module, part, module)
    found = getattr(module, function.__name__, None) or getattr(jnp, function.__name__, None)
    if found is None:
        raise UnsupportedError(f"JAX has no numpy.{function.__name__}; write the step with other functions")
    return found
