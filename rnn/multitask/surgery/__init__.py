"""Directions for several tasks at once, one file a method."""

from rnn.multitask.surgery.cagrad import CAGrad
from rnn.multitask.surgery.mgda import MGDA
from rnn.multitask.surgery.pcgrad import PCGrad
from rnn.multitask.surgery.weighted import WeightedSum
from rnn.training.surgery import Combination, Surgery

__all__ = ["MGDA", "CAGrad", "Combination", "PCGrad", "Surgery", "WeightedSum"]
