"""What goes wrong with events; each error has the time ``t`` at which it happened and the event's name."""

from __future__ import annotations

from rnn.ode.errors import BlowUpError, IntegrationError


class EventError(IntegrationError):
    """Something is wrong with an event. ``event`` is its name."""

    def __init__(self, message: str, t: float, event: str | None = None):
        super().__init__(message, t)
        self.event = event


class EventValueError(EventError, BlowUpError):
    """A surface g, or the state after a jump, is NaN or infinite."""


class ZenoError(EventError):
    """Infinitely many events before a time. ``limit`` is that time, as far as the last gaps tell."""

    def __init__(self, message: str, t: float, event: str, limit: float):
        super().__init__(message, t, event)
        self.limit = limit


class MaxEventsError(EventError):
    """More events than ``max_events``."""


class NoEventError(EventError):
    """An event that was demanded does not come."""


class GrazingError(EventError):
    """The path touches the surface g = 0 without crossing it: dg/dt = 0, and the event time has no
    derivative."""


class GrazingWarning(UserWarning):
    """The path crosses the surface g = 0 at a small angle: the event time is ill conditioned."""
