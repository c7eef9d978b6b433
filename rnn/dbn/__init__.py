"""A recurrent network as a dynamic Bayesian network, and its messages beside those of a hidden Markov model.

`as_dbn` reads the two slices off the network's own graph; on a grid and with a little noise they are a hidden
Markov model, whose backward message has BPTT's cotangent as its slope.
"""

from rnn.dbn.correspondence import Correspondence, correspondence
from rnn.dbn.discretized import Discretized
from rnn.dbn.fading import forgetting, vanishing
from rnn.dbn.network import DBN, as_dbn
from rnn.dbn.plot import plot_fades
from rnn.dbn.refinement import Refinement, refine
from rnn.dbn.template import Arrow, Place, Template

__all__ = [
    "DBN",
    "Arrow",
    "Correspondence",
    "Discretized",
    "Place",
    "Refinement",
    "Template",
    "as_dbn",
    "correspondence",
    "forgetting",
    "plot_fades",
    "refine",
    "vanishing",
]
