"""What a reaction is run for: numbers of the first and last concentrations, with their gradients.

``target(first, last)`` → (values (B,), ∂/∂first (B, S), ∂/∂last (B, S)) of B reactors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.systems.kinetics.network import ReactionNetwork


class Target(Protocol):
    """What :meth:`Reactor.gradient` differentiates."""

    def __call__(self, network: ReactionNetwork, first: np.ndarray, last: np.ndarray):
        """Values and gradients."""


@dataclass(frozen=True)
class Concentration:
    """c_P at the end."""

    species: str

    def __call__(self, network, first, last):
        """Values and gradients."""
        to_last = np.zeros_like(last)
        to_last[:, network.index(self.species)] = 1.0
        return last[:, network.index(self.species)], np.zeros_like(first), to_last

    def __str__(self) -> str:
        return f"[{self.species}]"


@dataclass(frozen=True)
class Yield:
    """(c_P(end) − c_P(0)) / (ν c_ref(0)): product formed per reference put in.

    Parameters
    ----------
    species : str
    reference : str
    ratio : float
        ν, molecules of the product that one of the reference can give.
    """

    species: str
    reference: str
    ratio: float = 1.0

    def __call__(self, network, first, last):
        """Values and gradients."""
        p, a = network.index(self.species), network.index(self.reference)
        put = self.ratio * first[:, a]
        if not (put > 0).all():
            raise DataError(f"{self}: there is no {self.reference} at the start to refer to")
        value = (last[:, p] - first[:, p]) / put
        to_first, to_last = np.zeros_like(first), np.zeros_like(last)
        to_last[:, p] = 1 / put
        to_first[:, p] -= 1 / put
        to_first[:, a] -= value / first[:, a]
        return value, to_first, to_last

    def __str__(self) -> str:
        return f"yield of {self.species} from {self.reference}"


@dataclass(frozen=True)
class Selectivity:
    """Δc_P / (Δc_P + Σ Δc_other): the product's part of what formed."""

    species: str
    others: Sequence[str]

    def __post_init__(self) -> None:
        if isinstance(self.others, str):
            object.__setattr__(self, "others", (self.others,))

    def __call__(self, network, first, last):
        """Values and gradients."""
        p = network.index(self.species)
        weights = np.zeros(len(network.species))
        weights[[p, *(network.index(s) for s in self.others)]] = 1.0
        formed = last - first
        total = formed @ weights
        if not (total > 0).all():
            raise DataError(f"{self}: nothing of {self.species}, {', '.join(self.others)} has formed")
        value = formed[:, p] / total
        to_last = -value[:, None] * weights / total[:, None]
        to_last[:, p] += 1 / total
        return value, -to_last, to_last

    def __str__(self) -> str:
        return f"selectivity of {self.species} over {', '.join(self.others)}"


def as_target(target) -> Target:
    """A species' name stands for its concentration at the end."""
    if isinstance(target, str):
        return Concentration(target)
    if not callable(target):
        raise DataError(
            "a target is a species, Yield('C', 'A'), Selectivity('C', ['waste']), or a function "
            f"target(network, first, last) → (values, gradients); got {target!r}"
        )
    return target


def parts_of(target: Target, network: ReactionNetwork, first: np.ndarray, last: np.ndarray):
    """What a target says: (values, ∂/∂first, ∂/∂last), checked, for it may be the user's."""
    said = target(network, first, last)
    shapes = [np.shape(x) for x in said] if isinstance(said, tuple | list) else np.shape(said)
    if shapes != [first.shape[:1], first.shape, first.shape]:
        raise ShapeError(
            f"a target returns (values, ∂/∂first, ∂/∂last) of shapes {first.shape[:1]}, {first.shape}, "
            f"{first.shape}; {target} returned {shapes}"
        )
    return said
