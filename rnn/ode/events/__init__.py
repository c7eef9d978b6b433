"""rnn.ode.events: hybrid systems: solver steps joined by events, whose times are variables of the graph."""

from rnn.ode.events.errors import (
    EventError,
    EventValueError,
    GrazingError,
    GrazingWarning,
    MaxEventsError,
    NoEventError,
    ZenoError,
)
from rnn.ode.events.event import Event
from rnn.ode.events.outcome import Outcome
from rnn.ode.events.result import HybridGradient
from rnn.ode.events.solution import HybridSolution
from rnn.ode.events.system import HybridSystem

__all__ = [
    "Event",
    "EventError",
    "EventValueError",
    "GrazingError",
    "GrazingWarning",
    "HybridGradient",
    "HybridSolution",
    "HybridSystem",
    "MaxEventsError",
    "NoEventError",
    "Outcome",
    "ZenoError",
]
