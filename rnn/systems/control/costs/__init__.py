"""Costs of a step or of the end, one file a kind."""

from rnn.systems.control.costs.base import Cost, Expansion, SumOfCosts
from rnn.systems.control.costs.deviation import Deviation
from rnn.systems.control.costs.discounted import Discounted
from rnn.systems.control.costs.energy import Energy
from rnn.systems.control.costs.least_squares import LeastSquares
from rnn.systems.control.costs.quadratic import QuadraticCost
from rnn.systems.control.costs.smooth import SmoothCost
from rnn.systems.control.costs.smooth_abs import SmoothAbs

__all__ = [
    "Cost",
    "Deviation",
    "Discounted",
    "Energy",
    "Expansion",
    "LeastSquares",
    "QuadraticCost",
    "SmoothAbs",
    "SmoothCost",
    "SumOfCosts",
]
