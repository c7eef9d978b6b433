"""Learning is reading the messages at parameters: expected counts for EM, gradients for L-BFGS.

fit                 parameters of any graph from data, complete or not
Dirichlet, L2       priors
"""

from msgpass.learning.fit import fit
from msgpass.learning.fitted import Fitted
from msgpass.learning.priors import L2, Dirichlet

__all__ = ["L2", "Dirichlet", "Fitted", "fit"]
