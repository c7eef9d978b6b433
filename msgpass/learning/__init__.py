"""Learning is reading the messages at parameters: expected counts for EM, gradients for L-BFGS.

fit                 parameters of any graph from data, complete or not
truncated_loopy     a graph's loopy beliefs after K rounds, as steps: any loss of them has a gradient
marginal_loss       one such loss
Dirichlet, L2       priors
"""

from msgpass.learning.fit import fit
from msgpass.learning.fitted import Fitted
from msgpass.learning.priors import L2, Dirichlet
from msgpass.learning.truncated import marginal_loss, truncated_loopy

__all__ = ["L2", "Dirichlet", "Fitted", "fit", "marginal_loss", "truncated_loopy"]
