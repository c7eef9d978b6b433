"""The contract of a rule, and how to add one.

A rule is a function of many messages at once: ``rule(message, place)`` takes cotangents (n, *row), one an
instance, and returns as many, which are passed on in their stead. It keeps no state and gives the same
answer twice, for a message is made again when it is read singly. One new file with a class derived from
:class:`Rule` is a new rule.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from msgpass.errors import DataError


@dataclass(frozen=True)
class Place:
    """Where messages arrive.

    Attributes
    ----------
    times : (n,) int array
        Row of the variable within its sequence; −1 or T for a start that ``after`` or ``before`` names, 0
        for what has no steps.
    leading : int
        Axes of the message that count rows and samples: all but the last of a row (B, H), the first alone at
        a parameter.
    read : callable
        Makes the variable's values, (n, *row).
    """

    times: np.ndarray
    leading: int
    read: Callable[[], Any]

    @property
    def value(self) -> np.ndarray:
        """Values of the variable at these rows."""
        return np.asarray(self.read())

    def part(self, chosen: np.ndarray) -> Place:
        """Some of the rows."""
        return Place(self.times[chosen], self.leading, lambda: self.value[chosen])


class Rule:
    """Base of the rules: equal when of one kind and parameters, printed by name."""

    linear = False
    """Whether the answer is linear in the message."""

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """What is passed on instead of each of the messages."""
        raise NotImplementedError

    def __eq__(self, other) -> bool:
        mine, theirs = vars(self), getattr(other, "__dict__", {})
        return (
            type(self) is type(other)
            and mine.keys() == theirs.keys()
            and all(_same(v, theirs[k]) for k, v in mine.items())
        )

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        parts = ", ".join(_short(v) for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({parts})"


def _same(a, b) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return a is b or bool(a == b)


def _short(value) -> str:
    return f"array{value.shape}" if isinstance(value, np.ndarray) else repr(value)


def norms(message: np.ndarray, place: Place, per: str) -> np.ndarray:
    """Euclidean norm of every sample's message (or every step's), in axes that broadcast against it."""
    first = place.leading if per == "sample" else 1
    squares = message.astype(np.float64) ** 2
    return np.sqrt(squares.sum(axis=tuple(range(first, message.ndim)), keepdims=True))


def positive(rule: str, name: str, value) -> float:
    """A finite number above zero."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise DataError(f"{rule}: {name} is a number above zero, got {value!r}") from None
    if not 0 < number < np.inf:
        raise DataError(f"{rule}: {name} is a finite number above zero, got {value!r}")
    return number


def per_what(rule: str, per: str) -> str:
    """ "sample" or "step"."""
    if per not in ("sample", "step"):
        raise DataError(f'{rule}: per is "sample" or "step", got {per!r}')
    return per
