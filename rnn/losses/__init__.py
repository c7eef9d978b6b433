"""Losses of a network's outputs, one file a loss."""

from rnn.losses.base import OutputLoss
from rnn.losses.binary import BinaryCrossEntropy
from rnn.losses.cross_entropy import CrossEntropy
from rnn.losses.ctc import CTC, collapse
from rnn.losses.gaussian import GaussianNLL
from rnn.losses.poisson import PoissonNLL
from rnn.losses.pooled import Pooled
from rnn.losses.several import Several
from rnn.losses.squared_error import SquaredError

__all__ = [
    "CTC",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "GaussianNLL",
    "OutputLoss",
    "PoissonNLL",
    "Pooled",
    "Several",
    "SquaredError",
    "collapse",
]
