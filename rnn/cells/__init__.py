"""Cells: what one time step of a recurrent network computes, one file a family."""

from rnn.cells.base import Cell
from rnn.cells.elman import ELMAN

__all__ = ["ELMAN", "Cell"]
