"""Factors with structure: messages in time linear in the number of variables, and no table."""

from msgpass.potentials.structured.base import Structured
from msgpass.potentials.structured.cardinality import Cardinality
from msgpass.potentials.structured.counting import AtMostOne, ExactlyOne, Pool
from msgpass.potentials.structured.equality import Equal, Potts
from msgpass.potentials.structured.logic import And, Or
from msgpass.potentials.structured.noisy_or import NoisyOr
from msgpass.potentials.structured.parity import Parity

__all__ = [
    "And",
    "AtMostOne",
    "Cardinality",
    "Equal",
    "ExactlyOne",
    "NoisyOr",
    "Or",
    "Parity",
    "Pool",
    "Potts",
    "Structured",
]
