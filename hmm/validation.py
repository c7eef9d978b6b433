"""Checks at the border: what a user hands to a model is made into arrays once, or refused with a way out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from sklearn.exceptions import NotFittedError as SklearnNotFittedError

from msgpass.errors import DataError, ProbabilityError, ShapeError
from msgpass.errors import NotFittedError as EngineNotFittedError

LARGEST = 1e150
"""Numbers in data beyond which squares overflow."""

SUM_TOLERANCE = 1e-6
"""How far from one probabilities that the user wrote down may sum."""


class NotFittedError(EngineNotFittedError, SklearnNotFittedError):
    """A model is used before it has parameters; scikit-learn's tools know it as theirs."""


def rows_of_numbers(X, *, flat: bool = False) -> np.ndarray:
    """``X`` as a (T, D) array of finite numbers or NaN.

    Parameters
    ----------
    X : array or frame, (T, D)
    flat : bool
        Whether (T,) stands for (T, 1).

    Raises
    ------
    ShapeError, DataError
    """
    if hasattr(X, "toarray"):
        raise DataError("X is a sparse matrix; a sequence is dense: give X.toarray()")
    try:
        array = np.asarray(X)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(
            f"X is not an array of numbers ({problem}); sequences go in as a list of arrays (T, D) "
            "or as np.concatenate(sequences) with lengths=[len(s) for s in sequences]"
        ) from None
    if array.dtype.kind == "c":
        raise DataError(
            f"X holds {array.dtype}. Complex data not supported; give real and imaginary parts apart"
        )
    if array.dtype.kind not in "iubf":
        raise DataError(
            f"X holds {array.dtype}, wanted numbers; "
            "labels become numbers by sklearn.preprocessing.LabelEncoder"
        )
    if flat and array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        wanted = "(T, D), one row a time step" + (", or (T,)" if flat else "")
        hint = ". Reshape your data: one feature goes in as X.reshape(-1, 1)" if array.ndim == 1 else ""
        raise ShapeError(f"X has shape {array.shape}, wanted {wanted}{hint}")
    if 0 in array.shape:
        raise ShapeError(
            f"X has {array.shape[0]} sample(s) and {array.shape[1]} feature(s) (shape={array.shape}) while a "
            "minimum of 1 is required: there is nothing in it"
        )
    largest = min(LARGEST, float(np.finfo(array.dtype).max)) if array.dtype.kind == "f" else np.inf
    if array.dtype.kind == "f" and ((array > largest).any() or (array < -largest).any()):
        t, d = np.argwhere(np.abs(np.nan_to_num(array, posinf=np.inf, neginf=-np.inf)) > largest)[0]
        if np.isinf(array[t, d]):
            raise DataError(f"X holds an infinite value at row {t}, column {d}; a missing value is NaN")
        raise DataError(
            f"X holds {array[t, d]:.3g} at row {t}, column {d}; the squares of such numbers overflow: "
            "choose a "
            "larger unit"
        )
    return array


def sequence_lengths(lengths, n_rows: int) -> list[int]:
    """``lengths`` as a list of whole numbers that sums to ``n_rows`` (None: one sequence)."""
    if lengths is None:
        return [n_rows]
    try:
        array = np.atleast_1d(np.asarray(lengths))
    except (TypeError, ValueError):
        array = np.empty((0, 0))
    if array.ndim != 1 or array.dtype.kind not in "iu" or not len(array) or array.min() < 1:
        raise ShapeError(f"lengths must be a non-empty list of whole numbers ≥ 1, got {lengths!r}")
    if array.sum() != n_rows:
        raise ShapeError(
            f"lengths sum to {array.sum()}, but X has {n_rows} rows; sequences lie end to end in X"
        )
    return array.tolist()


def same_width(X: np.ndarray, n_features: int, model: str = "the model") -> None:
    """As many columns as the model was fitted to."""
    if X.shape[1] != n_features:
        raise ShapeError(
            f"X has {X.shape[1]} features, but {model} is expecting {n_features} features as input; "
            "give the columns it was fitted to"
        )


def probabilities(name: str, value, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` as an array of ``shape`` whose last axis holds probabilities that sum to one."""
    p = parameter(name, value, shape)
    if (p < 0).any():
        raise ProbabilityError(f"{name} holds {p.min():.6g}; probabilities are not negative")
    sums = p.sum(axis=-1)
    worst = float(np.ravel(sums)[np.argmax(np.abs(np.ravel(sums) - 1))])
    if abs(worst - 1) > SUM_TOLERANCE:
        what = "must sum to 1" if p.ndim == 1 else "must have rows that sum to 1"
        raise ProbabilityError(f"{name} {what}, got a sum of {worst:.8g}; normalise it")
    return p


def parameter(name: str, value, shape: tuple[int, ...]) -> np.ndarray:
    """``value`` as an array of finite numbers of ``shape``."""
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{name} is not an array of numbers: {problem}") from None
    if array.shape != shape:
        raise ShapeError(f"{name} has shape {array.shape}, wanted {shape}")
    if not np.isfinite(array).all():
        raise DataError(f"{name} holds NaN or an infinite value")
    return array


def prior(
    name: str, value, shape: tuple[int, ...], *, positive: bool = False, signed: bool = False
) -> np.ndarray:
    """A prior's parameter that broadcasts to ``shape``: finite, not negative (or above zero, or of any sign),
    and small enough that its square is finite."""
    try:
        array = np.asarray(value, dtype=np.float64)
        np.broadcast_to(array, shape)
    except (TypeError, ValueError):
        raise ShapeError(
            f"{name} must be a number or an array that broadcasts to {shape}, got {value!r}"
        ) from None
    wrong = not (np.abs(array) < 1e150).all() or (not signed and (array < 0).any())
    if wrong or (positive and (array == 0).any()):
        what = " and above zero" if positive else "" if signed else " and not negative"
        raise DataError(f"{name} must be finite{what}, got {value!r}")
    return array


def whole(name: str, value, least: int) -> int:
    """A whole number, at least ``least``."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer) or value < least:
        raise DataError(f"{name} must be a whole number ≥ {least}, got {value!r}")
    return int(value)


def one_of(name: str, value, choices: Iterable[str]) -> str:
    """One of ``choices``."""
    if not isinstance(value, str) or value not in choices:
        raise DataError(f"{name} must be one of {', '.join(map(repr, choices))}, got {value!r}")
    return value


def letters(name: str, value, known: dict[str, str]) -> str:
    """A string of letters that name parameters."""
    if not isinstance(value, str) or set(value) - set(known):
        meaning = ", ".join(f"{letter!r} {what}" for letter, what in known.items())
        raise DataError(f"{name} is a string of the letters {meaning}; got {value!r}")
    return value


def generator(random_state) -> np.random.Generator:
    """A NumPy generator from a seed, a generator, or scikit-learn's RandomState."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.Generator(random_state._bit_generator)
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as problem:
        raise DataError(
            f"random_state must be None, a seed ≥ 0 or a numpy.random.Generator, "
            f"got {random_state!r} ({problem})"
        ) from None
