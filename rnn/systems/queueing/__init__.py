"""rnn.systems.queueing: waiting lines, differentiated by back-propagation.

:class:`Queue` has one line before one or several servers, :class:`Tandem` stations one after another (and
buffers), :class:`SlottedQueue` discrete time. Closed forms of the long run are in
:mod:`rnn.systems.queueing.formulas`.
"""

from rnn.systems.queueing import formulas
from rnn.systems.queueing.estimates import Estimate, LongRun, UnstableQueueWarning
from rnn.systems.queueing.queue import Queue
from rnn.systems.queueing.results import QueueGradient, QueuePath, Tuned
from rnn.systems.queueing.slotted import SlottedGradient, SlottedPath, SlottedQueue
from rnn.systems.queueing.tandem import Tandem

__all__ = [
    "Estimate",
    "LongRun",
    "Queue",
    "QueueGradient",
    "QueuePath",
    "SlottedGradient",
    "SlottedPath",
    "SlottedQueue",
    "Tandem",
    "Tuned",
    "UnstableQueueWarning",
    "formulas",
]
