"""Checks at the border: sizes, dtypes, arrays, seeds. Each raises one typed error that names the way out."""

from __future__ import annotations

import numpy as np

from msgpass.errors import DataError, ShapeError


def whole(what: str, value, least: int = 1) -> int:
    """A whole number ≥ ``least``."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise ShapeError(f"{what} must be a whole number ≥ {least}, got {value!r}")
    return int(value)


def flag(what: str, value) -> bool:
    """True or False, and nothing that only looks like it."""
    if not isinstance(value, bool | np.bool_):
        raise DataError(f"{what} must be True or False, got {value!r}")
    return bool(value)


def positive(what: str, value) -> float:
    """A finite number > 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
        raise DataError(f"{what} must be a finite number > 0, got {value!r}")
    return float(value)


def not_negative(what: str, value) -> float:
    """A finite number ≥ 0."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
        raise DataError(f"{what} must be a finite number ≥ 0, got {value!r}")
    return float(value)


def fraction(what: str, value) -> float:
    """A number in [0, 1)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        raise DataError(f"{what} must be a number from 0 to below 1, got {value!r}")
    return float(value)


def one_of(what: str, value, choices) -> str:
    """One of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"{what} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def float_dtype(value) -> np.dtype:
    """float32 or float64."""
    try:
        dtype = np.dtype(value)
    except TypeError:
        dtype = None
    if dtype not in (np.float32, np.float64):
        raise DataError(f"dtype must be 'float32' or 'float64', got {value!r}")
    return dtype


def real_array(what: str, value, dtype: np.dtype) -> np.ndarray:
    """Numbers in ``dtype``; the same object where it is one already."""
    if isinstance(value, np.ndarray) and value.dtype == dtype:
        return value
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{what} is not an array of numbers: {problem}") from None
    if array.dtype.kind not in "iubf":
        raise DataError(f"{what} must hold real numbers, got dtype {array.dtype}")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused as that
        return array.astype(dtype)


class Undrawn(np.random.Generator):
    """In place of a generator: nothing is drawn, for weights that come from a file."""


UNDRAWN = Undrawn(np.random.PCG64(0))


def generator(random_state) -> np.random.Generator:
    """A seed, None or a Generator as a Generator."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if random_state is None or (isinstance(random_state, int | np.integer) and random_state >= 0):
        return np.random.default_rng(random_state)
    raise DataError(
        f"random_state must be a seed ≥ 0, a numpy.random.Generator or None, got {random_state!r}"
    )
