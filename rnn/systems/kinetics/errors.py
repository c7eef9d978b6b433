"""What is wrong with a text of reactions, and what happens to concentrations on the way."""

from __future__ import annotations

from msgpass.errors import DataError, NumericalError


class ReactionSyntaxError(DataError):
    """A text that is no reaction: line ``number``, ``text``, at ``position``."""

    def __init__(self, message: str, text: str, position: int, number: int = 1):
        super().__init__(f"reaction {number}: {message}\n  {text}\n  {' ' * position}^")
        self.text, self.position, self.number = text, position, number


class UnknownSpeciesError(DataError):
    """A species that no reaction names."""


class NegativeConcentrationError(NumericalError):
    """A concentration fell below zero on the way. ``t`` is the end of the step, ``species`` which one."""

    def __init__(self, message: str, t: float, species: str):
        super().__init__(message)
        self.t, self.species = float(t), species


class IdentifiabilityWarning(UserWarning):
    """Data leave a combination of parameters open."""
