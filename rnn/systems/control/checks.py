"""Checks at the border of control problems: matrices with or without a step axis, horizons, states."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, ShapeError


def real(name: str, value) -> np.ndarray:
    """Finite real numbers as float64."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{name} is not an array of numbers: {problem}") from None
    if array.dtype.kind not in "iubf":
        raise DataError(f"{name} must hold real numbers, got dtype {array.dtype}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds NaN or an infinite value; give finite numbers")
    return array.astype(np.float64)


def matrix(name: str, value, shape: tuple[int, ...]) -> np.ndarray:
    """``shape``, or with a step axis in front; a scalar stands for a 1×1 matrix or a vector of one."""
    array = real(name, value)
    if array.ndim == 0 and all(n == 1 for n in shape):
        array = array.reshape(shape)
    if array.shape[array.ndim - len(shape) :] != shape or array.ndim - len(shape) not in (0, 1):
        raise ShapeError(
            f"{name} has shape {array.shape}, wanted {shape}, or (steps, {', '.join(map(str, shape))}) "
            "where it changes with time"
        )
    return array


def single(name: str, value, shape: tuple[int, int]) -> np.ndarray:
    """``shape`` without a step axis."""
    array = matrix(name, value, shape)
    if array.ndim != len(shape):
        raise ShapeError(f"{name} has shape {array.shape}, wanted {shape}: it may not change with time here")
    return array


def noises(value, shape: tuple[int, int]) -> np.ndarray:
    """Disturbances (T, n) of a path; zero where ``value`` is None."""
    array = np.zeros(shape) if value is None else real("disturbances", value)
    if array.shape != shape:
        raise ShapeError(f"disturbances has shape {array.shape}, wanted {shape}")
    return array


def step_and_state(t, steps: int, x, states: int) -> tuple[int, np.ndarray]:
    """A step's number within the horizon and a state of it."""
    if not isinstance(t, int | np.integer) or not 0 <= t < steps:
        raise ShapeError(f"t must be a step from 0 to {steps - 1}, got {t!r}")
    array = np.asarray(x, float)
    if array.shape != (states,):
        raise ShapeError(f"x has shape {array.shape}, wanted {(states,)}")
    return int(t), array


def vector(name: str, value, size: int) -> np.ndarray:
    """One vector."""
    array = real(name, value)
    if array.ndim == 0 and size == 1:
        array = array.reshape(1)
    if array.shape != (size,):
        raise ShapeError(f"{name} has shape {array.shape}, wanted {(size,)}")
    return array


def symmetric(name: str, array: np.ndarray) -> np.ndarray:
    """(M + Mᵀ)/2 of what is symmetric up to rounding."""
    turned = np.swapaxes(array, -1, -2)
    if np.abs(array - turned).max(initial=0) > 1e-8 * max(np.abs(array).max(initial=0), 1e-300):
        raise DataError(f"{name} must be symmetric; symmetrise it as (M + M.T) / 2")
    return (array + turned) / 2


def positive_definite(name: str, array: np.ndarray, why: str) -> np.ndarray:
    """Symmetric with eigenvalues > 0 at every step."""
    array = symmetric(name, array)
    lowest = np.linalg.eigvalsh(array)[..., 0]
    if not (lowest > 0).all():
        step = f" at step {int(np.argmin(lowest))}" if array.ndim == 3 else ""
        raise DataError(
            f"{name} must be positive definite, but its smallest eigenvalue{step} is {lowest.min():.3g}: "
            f"{why}"
        )
    return array


def covariance(name: str, array: np.ndarray) -> np.ndarray:
    """Symmetric with eigenvalues ≥ 0 at every step."""
    array = symmetric(name, array)
    lowest = np.linalg.eigvalsh(array)[..., 0].min()
    if lowest < -1e-9 * np.abs(array).max(initial=1e-300):
        raise DataError(f"{name} must be a covariance, but its smallest eigenvalue is {lowest:.3g}")
    return array


def whole(name: str, value) -> int:
    """A whole number ≥ 1."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < 1:
        raise ShapeError(f"{name} must be a whole number ≥ 1, got {value!r}")
    return int(value)


def positive(name: str, value) -> float:
    """A finite number > 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
        raise DataError(f"{name} must be a finite number > 0, got {value!r}")
    return float(value)
