"""Training: the loop, its data in batches, its state on disk."""

from rnn.training.fitting import fit
from rnn.training.history import History, Report

__all__ = ["History", "Report", "fit"]
