"""Networks from textbooks: a name → (network, rates, start).

Lotka-Volterra's, the Brusselator's and the Oregonator's reservoirs are part of their rates.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from msgpass.errors import DataError
from rnn.systems.kinetics.network import ReactionNetwork


class Example(NamedTuple):
    """A network with usual rates and concentrations, and the time that a run takes."""

    network: ReactionNetwork
    rates: dict[str, float]
    start: dict[str, float]
    time: float
    about: str


class _Text(NamedTuple):
    reactions: str
    rates: dict[str, float]
    start: dict[str, float]
    time: float
    about: str


_TEXTS: Mapping[str, _Text] = MappingProxyType(
    {
        "consecutive": _Text("k1: A -> B; k2: B -> C", {"k1": 1.0, "k2": 0.5}, {"A": 1.0}, 5.0, "A → B → C"),
        "waste": _Text(
            "k1: A -> B; k2: B -> C; k3: B -> waste",
            {"k1": 1.0, "k2": 0.5, "k3": 0.2},
            {"A": 1.0},
            5.0,
            "a precursor, an intermediate, a product and waste",
        ),
        "reversible_chain": _Text(
            "k1, k2: A <-> B; k3, k4: B <-> C",
            {"k1": 2.0, "k2": 1.0, "k3": 0.5, "k4": 0.25},
            {"A": 1.0},
            20.0,
            "A ⇌ B ⇌ C",
        ),
        "robertson": _Text(
            "p1: A -> B; p2: B + C -> A + C; p3: 2 B -> B + C",
            {"p1": 0.04, "p2": 1e4, "p3": 3e7},
            {"A": 1.0},
            4e4,
            "an autocatalytic reaction, stiff (Robertson 1966)",
        ),
        "enzyme": _Text(
            "bind, free: E + S <-> ES; cat: ES -> E + P",
            {"bind": 1.0, "free": 0.5, "cat": 0.3},
            {"E": 1.0, "S": 10.0},
            60.0,
            "Michaelis and Menten's mechanism",
        ),
        "brusselator": _Text(
            "a: -> X; b: X -> Y; c: 2 X + Y -> 3 X; d: X -> 0",
            {"a": 1.0, "b": 3.0, "c": 1.0, "d": 1.0},
            {"X": 1.0, "Y": 1.0},
            30.0,
            "a limit cycle where b > 1 + a² (Prigogine and Lefever 1968)",
        ),
        "oregonator": _Text(
            "k1: Y -> X; k2: X + Y -> P; k3: X -> 2 X + Z; k4: 2 X -> P; k5: Z -> 1/2 Y",
            {"k1": 1.28, "k2": 2.4e6, "k3": 33.6, "k4": 3e3, "k5": 1.0},
            {"X": 5e-7, "Y": 1e-6, "Z": 1e-4},
            60.0,
            "the Belousov-Zhabotinsky reaction (Field and Noyes 1974), A and B held",
        ),
        "lotka": _Text(
            "birth: prey -> 2 prey; eat: prey + predator -> 2 predator; death: predator -> 0",
            {"birth": 1.0, "eat": 0.1, "death": 1.5},
            {"prey": 10.0, "predator": 5.0},
            15.0,
            "Lotka's autocatalytic oscillations",
        ),
        "sir": _Text(
            "infect: S + I -> 2 I; recover: I -> R",
            {"infect": 0.5, "recover": 0.1},
            {"S": 0.99, "I": 0.01},
            100.0,
            "Kermack and McKendrick's epidemic, in shares of a population",
        ),
    }
)

EXAMPLES = tuple(_TEXTS)


def example(name: str) -> Example:
    """A network by name, with rates and a start.

    Parameters
    ----------
    name : str
        One of ``EXAMPLES``: consecutive, waste, reversible_chain, robertson, enzyme, brusselator, oregonator,
        lotka, sir.

    Examples
    --------
    >>> example("consecutive").network.species
    ('A', 'B', 'C')
    """
    if name not in _TEXTS:
        raise DataError(f"there is no example {name!r}; there are {', '.join(EXAMPLES)}")
    text = _TEXTS[name]
    return Example(ReactionNetwork(text.reactions), dict(text.rates), dict(text.start), text.time, text.about)
