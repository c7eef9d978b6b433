"""Cells: what one time step of a recurrent network computes, one file a family."""

from rnn.cells.base import Cell, gate_shapes
from rnn.cells.elman import ELMAN, elman
from rnn.cells.gru import gru
from rnn.cells.held import held
from rnn.cells.lstm import lstm

__all__ = ["ELMAN", "Cell", "elman", "gate_shapes", "gru", "held", "lstm"]
