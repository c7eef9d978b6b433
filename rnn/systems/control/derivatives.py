"""Local derivatives of plants and costs at every step at once, by autograd: Jacobians and contracted
Hessians.

A function maps (N, n) states and (N, m) controls to (N, p) values, row by row. Rows do not mix, so that one
pull of a cotangent gives one row of every step's Jacobian.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from msgpass.errors import MessagePassingError, ShapeError, UnsupportedError
from msgpass.interop.differentiators import UNTRACEABLE, autograd_box, quiet

Rows = Callable[[np.ndarray], np.ndarray]  # (N, d) → (N, p), row by row


def by_rows(function: Callable, vectorized: bool, timed: bool) -> Callable:
    """``function`` as one of (N, n), (N, m), (N,) arrays: x, u and the step number; what else it takes has no
    axis of rows."""

    def call(x, u, t, *shared):
        arguments = (x, u, t) if timed else (x, u)
        if vectorized:
            return function(*arguments, *shared)
        rows = [function(*(a[i] for a in arguments), *shared) for i in range(len(t))]
        return np.stack(rows)

    return call


def guarded(name: str, function: Callable, *arguments):
    """A call of a user's function, whose errors name it."""
    try:
        return function(*arguments)
    except MessagePassingError:
        raise
    except (ValueError, TypeError, IndexError) as problem:
        shapes = ", ".join(str(np.shape(a)) for a in arguments)
        raise ShapeError(
            f"{name} failed on inputs of shapes {shapes}: {type(problem).__name__}: {problem}; with "
            "vectorized=True states and controls come with a leading axis of steps"
        ) from problem


def traced(name: str, f: Rows, z: np.ndarray):
    """(pull, value) of f at z by autograd."""
    autograd_box()
    try:
        pull, value = quiet(f, z)
        if np.asarray(value).dtype.kind == "O":
            raise TypeError("np.array([…]) of traced numbers gives an array of objects; use np.stack([…])")
        return pull, np.asarray(value)
    except UNTRACEABLE as problem:
        guarded(name, f, z)
        raise UnsupportedError(
            f"autograd cannot differentiate {name} ({type(problem).__name__}: {problem}); write it with "
            "numpy functions and without in-place assignment, or give its derivatives"
        ) from problem


def jacobian(name: str, f: Rows, z: np.ndarray, copies: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """(value (N, p), ∂f/∂z (N, p, d)): one pull for each of the p outputs, or, where f takes ``copies`` = p
    times the rows, one for all.
    """
    pull, value = traced(name, f, np.tile(z, (copies, 1)))
    if copies > 1:
        each = pull(np.repeat(np.eye(copies), len(z), axis=0)).reshape(copies, *z.shape)
        return value[: len(z)], np.swapaxes(each, 0, 1)
    result = np.zeros((*value.shape, z.shape[1]))
    for k in range(value.shape[1]):
        cotangent = np.zeros_like(value)
        cotangent[:, k] = 1
        result[:, k] = pull(cotangent)
    return value, result


def gradient(name: str, f: Rows, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(value (N,), ∂f/∂z (N, d)) of a function with one value a row."""
    pull, value = traced(name, f, z)
    return value, np.asarray(pull(np.ones_like(value)))


def by_parameters(name: str, f: Callable, values, cotangent=None) -> list[np.ndarray]:
    """(∂f/∂θ)ᵀ cotangent (of ones by default) for each of ``values`` = θ, f summed over its rows."""
    autograd_box()
    from autograd.builtins import tuple as boxed_tuple

    point = boxed_tuple(tuple(np.asarray(v, float) for v in values))
    pull, value = traced(name, lambda parts: f(*parts), point)
    return [np.asarray(g) for g in pull(np.ones_like(value) if cotangent is None else cotangent)]


def hessian(name: str, f: Rows, z: np.ndarray, copies: int = 1) -> np.ndarray:
    """∂²f/∂z² (N, d, d) of a function with one value a row: its gradient, differentiated once more; in one
    pull where f takes ``copies`` = d times the rows.
    """
    autograd_box()
    from autograd.core import make_vjp

    def slope(z):
        pull, value = make_vjp(f, z)
        return pull(np.ones(np.shape(value)))

    pull, value = traced(name, slope, np.tile(z, (copies, 1)))
    if copies > 1:
        result = np.swapaxes(pull(np.repeat(np.eye(copies), len(z), axis=0)).reshape(copies, *z.shape), 0, 1)
    else:
        result = np.zeros((*z.shape, z.shape[1]))
        for k in range(z.shape[1]):
            cotangent = np.zeros(value.shape)
            cotangent[:, k] = 1
            result[:, k] = pull(cotangent)
    return (result + np.swapaxes(result, 1, 2)) / 2
