"""Costs of a step or of the end, one file a kind."""

from rnn.systems.control.costs.base import Cost, Expansion, SumOfCosts
from rnn.systems.control.costs.least_squares import LeastSquares
from rnn.systems.control.costs.quadratic import QuadraticCost
from rnn.systems.control.costs.smooth import SmoothCost

__all__ = ["Cost", "Expansion", "LeastSquares", "QuadraticCost", "SmoothCost", "SumOfCosts"]
