"""``Then``: rules one after another."""

from __future__ import annotations

import numpy as np

from msgpass.algebra.rules.base import Place, Rule
from msgpass.errors import DataError


class Then(Rule):
    """The first rule's answer goes to the second, and so on; a list of rules means the same.

    Examples
    --------
    >>> from msgpass.algebra.rules import ClipNorm, Scale
    >>> Then(Scale(0.5), ClipNorm(1.0)).linear
    False
    """

    def __init__(self, *rules: Rule):
        wrong = [r for r in rules if not isinstance(r, Rule)]
        if wrong:
            raise DataError(f"Then takes rules, such as ClipNorm(1.0), got {wrong[0]!r}")
        self.rules = rules

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """If all of them are."""
        return all(r.linear for r in self.rules)

    def __call__(self, message: np.ndarray, place: Place) -> np.ndarray:
        """One after another."""
        for rule in self.rules:
            message = rule(message, place)
        return message
