"""Exact inference over Gaussian variables on a graph with loops.

All quadratics of a component add up to one precision K and one h over all its cells. Eliminating the variables
in an order of small degree is its Cholesky factorisation: what a variable leaves behind is a canonical message
over its separator. The way back is the selected inverse, which has the covariance of every clique.
"""

from msgpass.sweeps.gaussian_elimination.elimination import EliminationRun, run_gaussian_elimination

__all__ = ["EliminationRun", "run_gaussian_elimination"]
