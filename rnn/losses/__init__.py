"""Losses of a network's outputs, one file a loss."""

from rnn.losses.base import OutputLoss
from rnn.losses.cross_entropy import CrossEntropy
from rnn.losses.squared_error import SquaredError

__all__ = ["CrossEntropy", "OutputLoss", "SquaredError"]
