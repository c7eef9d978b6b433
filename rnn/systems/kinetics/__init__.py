"""rnn.systems.kinetics: chemistry by mass action, from reactions as text to which rate matters.

A :class:`ReactionNetwork` is read from text; a :class:`Reactor` gives it rates, a start and times, runs it,
and differentiates its yield with respect to all of them; :func:`fit_rates` finds rates in measurements.
"""

from rnn.systems.kinetics.arrhenius import Arrhenius
from rnn.systems.kinetics.errors import (
    IdentifiabilityWarning,
    NegativeConcentrationError,
    ReactionSyntaxError,
    UnknownSpeciesError,
)
from rnn.systems.kinetics.experiment import Experiment
from rnn.systems.kinetics.fitting import fit_rates
from rnn.systems.kinetics.library import EXAMPLES, Example, example
from rnn.systems.kinetics.network import ReactionNetwork
from rnn.systems.kinetics.optimizing import YieldOptimum, optimize
from rnn.systems.kinetics.parsing import Reaction, parse
from rnn.systems.kinetics.path import ConcentrationPath
from rnn.systems.kinetics.profile import Profile
from rnn.systems.kinetics.rate_fit import RateFit
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
    "Experiment",
    "IdentifiabilityWarning",
    "NegativeConcentrationError",
    "Profile",
    "RateFit",
    "Reaction",
    "ReactionNetwork",
    "ReactionSyntaxError",
    "Reactor",
    "Selectivity",
    "Sensitivity",
    "UnknownSpeciesError",
    "Yield",
    "YieldOptimum",
    "example",
    "fit_rates",
    "optimize",
    "parse",
]
