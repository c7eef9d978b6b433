"""``compare``: two runs, or two arrays, side by side, step by step.

A log message is free up to a constant: η and η + c are the same message. Runs know which of theirs are log
messages (forward and backward messages of discrete variables); of arrays the caller says so, ``align="log"``.
There the constant of every step is taken out first, log η ← η − log Σ exp η. Beliefs are normalised, and
parameters and gradients mean what they say, so these are compared as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from msgpass.comparison import Comparison, Part
from msgpass.errors import DataError, ShapeError, UnavailableError
from msgpass.flat import readings as flat_readings
from msgpass.flat import row_of, rows
from msgpass.messages import Messages
from msgpass.nodes import Sequence

KINDS = ("forward", "backward", "belief", "parameters", "gradient", "total")


def compare(left, right, align=None) -> Comparison:
    """Compare two runs or two arrays.

    Parameters
    ----------
    left, right : Messages, or arrays
        Of arrays with more than one axis, and of arrays compared with ``align=None`` or "scale", the first
        axis is time.
    align : optional
        For runs, a dict from names on the left to names on the right, where these differ; then only these are
        compared, and where the numbers of a step differ in shape (states against hidden units) the sizes of
        the steps are: the range max − min of a log message, the Euclidean norm of anything else. Without it,
        names that both have are compared; a sequence is found in a flat graph under its unrolled names,
        ``z[0]``, ``z[1]``, …. For arrays, "log" if they are log messages, free up to a constant a step (the
        last axis is the states), "scale" if they are free up to one factor, None to compare them as they are.

    Returns
    -------
    Comparison

    Raises
    ------
    ShapeError
        When arrays have different shapes.
    UnavailableError
        When ``align`` names something that is not there, or nothing is common to both.

    Examples
    --------
    >>> import numpy as np
    >>> messages = np.array([[0.0, -1.0], [-2.0, -3.5]])
    >>> compare(messages, messages + [[5.0], [7.0]], align="log").gap < 1e-12
    True
    >>> compare(2 * messages, messages).scale
    2.0
    """
    if isinstance(left, Messages) != isinstance(right, Messages):
        raise DataError(
            f"compare takes two Messages or two arrays, got {type(left).__name__} and {type(right).__name__}"
        )
    if isinstance(left, Messages):
        if align is not None and not isinstance(align, Mapping):
            raise DataError(
                f"for Messages, align is a dict from names on the left to names on the right, got {align!r}"
            )
        return _compare_runs(left, right, align)
    if align not in (None, "log", "scale"):
        raise DataError(f'for arrays, align is None, "log" or "scale", got {align!r}')
    return Comparison((_compare_arrays("array", "", _array(left, "left"), _array(right, "right"), align),))


def _array(value, side: str) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=float)
        if array.size == 0:
            raise DataError(f"the {side} side is empty (shape {array.shape}): there is nothing to compare")
        return array
    except (TypeError, ValueError) as problem:
        raise DataError(f"the {side} side is not an array of numbers: {problem}") from None


def _compare_arrays(
    kind: str, name: str, left: np.ndarray, right: np.ndarray, align: str | None, stepped=None
) -> Part:
    if left.shape != right.shape:
        raise ShapeError(
            f"cannot compare shape {left.shape} with {right.shape}{f' ({kind} of {name})' if name else ''}"
        )
    if stepped is None:
        stepped = left.ndim > (1 if align == "log" else 0)
    if align == "log":
        return Part(kind, name, _normalised(left), _normalised(right), stepped, "up to a constant")
    part = Part(kind, name, left, right, stepped)
    if align == "scale" and np.isfinite(part.scale):
        return Part(kind, name, left, part.scale * right, stepped, "up to a scale")
    return part


def _normalised(log_message: np.ndarray) -> np.ndarray:
    """Take the constant out of the last axis; a message that is −∞ throughout stays."""
    top = log_message.max(axis=-1, keepdims=True, initial=-np.inf)
    shifted = log_message - np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        constant = np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted - np.where(np.isfinite(constant), constant, 0.0)


# -- runs ------------------------------------------------------------------------------------------------


def _compare_runs(left: Messages, right: Messages, align: Mapping | None) -> Comparison:
    left_names, right_names = _names(left), _names(right)
    if align is None:
        pairs = [(name, name) for name in left_names if name in right_names]
    else:
        pairs = [(getattr(a, "name", a), getattr(b, "name", b)) for a, b in align.items()]
        sides = (
            ("left", left, left_names, [a for a, _ in pairs]),
            ("right", right, right_names, [b for _, b in pairs]),
        )
        for side, m, names, wanted in sides:
            for name in wanted:
                if name not in names and name not in m.graph.nodes:
                    raise UnavailableError(
                        f"align: the {side} side has nothing called {name!r}; it has {', '.join(names)}"
                    )
    parts, only_left, only_right = [], [], []
    for a, b in pairs:
        here, there = _readings(left, a), _readings(right, b)
        for kind in KINDS:
            label = a if a == b else f"{a} ~ {b}"
            if kind in here and kind in there:
                parts += _compare_readings(kind, label, here[kind], there[kind])
            elif kind in here:
                only_left.append(f"{kind} of {a}")
            elif kind in there:
                only_right.append(f"{kind} of {b}")
    if align is None:
        only_left += [name for name in left_names if name not in right_names]
        only_right += [name for name in right_names if name not in left_names]
        ours, theirs = (np.ravel(np.asarray(m.total, float)) for m in (left, right))
        parts.append(_compare_arrays("total", "total", ours, theirs, None, stepped=False))
    if not parts:
        raise UnavailableError(
            f"the two runs have nothing in common: {', '.join(left_names)} and {', '.join(right_names)}; say "
            f"which belongs to which with align={{…}}"
        )
    return Comparison(tuple(parts), tuple(only_left), tuple(only_right))


@dataclass(frozen=True)
class _Reading:
    """One quantity of one run: its array and whether it is a log message, is Gaussian, has time."""

    array: np.ndarray
    log: bool = False
    stepped: bool = False


def _names(m: Messages) -> list[str]:
    """Latent variables, parameters and observations, the rows of a flat graph under the name of their
    sequence."""
    nodes = [
        n
        for n, node in m.graph.nodes.items()
        if not hasattr(node, "value") or n in m.gradient or n in m.parameters
    ]
    return list(dict.fromkeys(row[0] if (row := row_of(n)) else n for n in nodes))


def _readings(m: Messages, name: str) -> dict[str, _Reading | dict[str, _Reading]]:
    """By kind, what a run says about a name."""
    node, flat = m.graph.nodes.get(name), rows(m, name)
    if flat:
        found, discrete, stepped = flat_readings(m, flat), m.graph.nodes[flat[0]].discrete, True
    else:
        found, discrete, stepped = {}, node.discrete, isinstance(node, Sequence)
        backward = m.has_backward
        if stepped and backward:
            found["backward"] = m.backward[name]
        if stepped and m.schedule.slots is None:
            found["forward"] = m.forward[name]
        if backward and name in m.belief:
            found["belief"] = m.belief[name]
        if backward and name in m.parameters:
            found["parameters"] = m.parameters[name]
        elif backward and name in m.gradient:
            found["gradient"] = m.gradient[name]
    readings: dict[str, _Reading | dict[str, _Reading]] = {}
    for kind, value in found.items():
        log = discrete and kind in ("forward", "backward")
        made = {field: _Reading(np.asarray(v, float), log, stepped) for field, v in _fields(value).items()}
        readings[kind] = made[""] if list(made) == [""] else made
    return readings


FIELDS = (("h", "precision"), ("mean", "cov"), ("value", "tangent"))


def _fields(value) -> dict[str, np.ndarray]:
    """A plain array under "", Gaussian messages and beliefs and duals by field."""
    for names in FIELDS:
        if hasattr(value, names[1]):
            inner = {name: _fields(getattr(value, name)) for name in names}
            return {".".join(filter(None, (n, i))): v for n, own in inner.items() for i, v in own.items()}
    return {"": value}


def _compare_readings(kind: str, label: str, left, right) -> list[Part]:
    if isinstance(left, dict) != isinstance(right, dict):
        left, right = (
            next(iter(side.values())) if isinstance(side, dict) else side for side in (left, right)
        )
    if isinstance(left, dict):
        fields = [f for f in left if f in right]
        return [part for f in fields for part in _compare_readings(kind, f"{label}.{f}", left[f], right[f])]
    if left.array.shape == right.array.shape and left.log == right.log:
        return [
            _compare_arrays(
                kind,
                label,
                left.array,
                right.array,
                "log" if left.log else None,
                left.stepped or right.stepped,
            )
        ]
    if not (left.stepped and right.stepped) or len(left.array) != len(right.array):
        raise ShapeError(
            f"{kind} of {label}: cannot compare shape {left.array.shape} with {right.array.shape}"
        )
    return [Part(kind, label, _step_sizes(left), _step_sizes(right), True, "size of each step")]


def _step_sizes(reading: _Reading) -> np.ndarray:
    flat = reading.array.reshape(len(reading.array), -1)
    if not reading.log:
        return np.linalg.norm(flat, axis=1)
    # Of a message that excludes a state, the range over the states that are left.
    finite = np.isfinite(flat)
    span = np.where(finite, flat, -np.inf).max(axis=1) - np.where(finite, flat, np.inf).min(axis=1)
    return np.where(finite.any(axis=1), span, 0.0)
