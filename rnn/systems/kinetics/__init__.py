"""rnn.systems.kinetics: chemistry by mass action, from reactions as text to which rate matters.

A :class:`ReactionNetwork` is read from text; a :class:`Reactor` gives it rates, a start and times, runs it, and
differentiates its yield with respect to all of them.
"""

from rnn.systems.kinetics.arrhenius import Arrhenius
from rnn.systems.kinetics.errors import (
    NegativeConcentrationError,
    ReactionSyntaxError,
    UnknownSpeciesError,
)
from rnn.systems.kinetics.library import EXAMPLES, Example, example
from rnn.systems.kinetics.network import ReactionNetwork
from rnn.systems.kinetics.parsing import Reaction, parse
from rnn.systems.kinetics.path import ConcentrationPath
from rnn.systems.kinetics.profile import Profile
from rnn.systems.kinetics.rate_law import GAS_CONSTANT
from rnn.systems.kinetics.reactor import Reactor
from rnn.systems.kinetics.sensitivity import Sensitivity
from rnn.systems.kinetics.targets import Concentration, Selectivity, Yield

__all__ = [
    "EXAMPLES",
    "GAS_CONSTANT",
    "Arrhenius",
    "Concentration",
    "ConcentrationPath",
    "Example",
    "NegativeConcentrationError",
    "Profile",
    "Reaction",
    "ReactionNetwork",
    "ReactionSyntaxError",
    "Reactor",
    "Selectivity",
    "Sensitivity",
    "UnknownSpeciesError",
    "Yield",
    "example",
    "parse",
]
