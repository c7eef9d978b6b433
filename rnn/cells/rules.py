"""A step's four functions, for the steps that are made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from msgpass import Step
from msgpass.errors import UnsupportedError

Arrays = tuple[np.ndarray, ...]
Rule = Callable[..., Any]


class Rules(NamedTuple):
    """f(*inputs), vjp(inputs, cotangent), jvp(inputs, tangents) and hvp(inputs, cotangent, tangents)."""

    f: Rule
    vjp: Rule
    jvp: Rule
    hvp: Rule


def absent(what: str) -> Rule:
    """A function that says what is missing."""

    def refuse(*_):
        raise UnsupportedError(f"the step has no {what} of its own; give Step(…, {what}=…)")

    return refuse


def rules(step: Step) -> Rules:
    """The functions of a step; what it lacks refuses when it is called."""
    given = [(name, getattr(step, name)) for name in ("vjp", "jvp", "hvp")]
    return Rules(step.f, *(absent(name) if rule is None else rule for name, rule in given))


def plus(*parts):
    """The sum of those that are not None."""
    present = [p for p in parts if p is not None]
    return sum(present[1:], present[0]) if present else None
