"""How states follow each other: one file a kind. A model takes one as its setting ``transitions``."""

from hmm.transitions.base import Transition
from hmm.transitions.by_group import ByGroup
from hmm.transitions.homogeneous import Homogeneous
from hmm.transitions.logistic import Logistic
from hmm.transitions.semi_markov import SemiMarkov
from hmm.transitions.sparse import Sparse

__all__ = ["ByGroup", "Homogeneous", "Logistic", "SemiMarkov", "Sparse", "Transition"]
