"""``At``: a rule at some of the steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from msgpass.algebra.rules.base import Place, Rule
from msgpass.errors import DataError


class At(Rule):
    """A rule for the messages at some steps; the others are passed on as they are.

    Parameters
    ----------
    steps : iterable of int, or callable
        Rows of the variable at which messages arrive, or ``steps(t)`` → bool.
    rule : Rule

    Examples
    --------
    >>> from msgpass.algebra.rules import Scale
    >>> At([3, 7], Scale(0.0)).linear
    True
    """

    def __init__(self, steps: Iterable[int] | Callable[[int], Any], rule: Rule):
        if not isinstance(rule, Rule):
            raise DataError(f"At takes steps and a rule, got {rule!r}")
        if callable(steps):
            self.steps: Any = steps
        else:
            try:
                self.steps = frozenset(int(t) for t in steps)
            except (TypeError, ValueError):
                raise DataError(f"At: steps are whole numbers or a function of one, got {steps!r}") from None
        self.rule = rule

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """As the rule."""
        return self.rule.linear

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """The rule where it is its turn."""
        wanted = self.steps if callable(self.steps) else self.steps.__contains__
        chosen = np.flatnonzero([bool(wanted(int(t))) for t in place.times])
        if not len(chosen):
            return message
        found = np.array(message)
        found[chosen] = self.rule(message[chosen], place.part(chosen))
        return found
