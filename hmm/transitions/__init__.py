"""How states follow each other: one file a kind. A model takes one as its setting ``transitions``."""

from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import Homogeneous

__all__ = ["Homogeneous", "Transition"]
