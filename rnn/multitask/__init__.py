"""rnn.multitask: several tasks in one network, from one sweep.

:func:`task_gradients` has the gradient of each task at the weights that they share, :func:`conflicts` which
pull apart, where and when, :class:`ConflictRecorder` how that goes while a network is trained. ``fit(…,
surgery=PCGrad())`` follows another direction than the sum."""

from rnn.multitask.conflicts import Conflict, ConflictReport, conflicts, conflicts_of
from rnn.multitask.gradients import TaskGradients, task_gradients
from rnn.multitask.recorder import ConflictRecorder
from rnn.multitask.surgery import MGDA, CAGrad, Combination, PCGrad, Surgery, WeightedSum

__all__ = [
    "MGDA",
    "CAGrad",
    "Combination",
    "Conflict",
    "ConflictRecorder",
    "ConflictReport",
    "PCGrad",
    "Surgery",
    "TaskGradients",
    "WeightedSum",
    "conflicts",
    "conflicts_of",
    "task_gradients",
]
