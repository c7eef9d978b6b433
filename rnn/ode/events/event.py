"""``Event``: a surface g(t, y, params) = 0, the direction in which it counts, and what happens there."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from msgpass import Step
from msgpass.errors import DataError
from rnn.validation import flag

DIRECTIONS = {"up": 1, "down": -1, "both": 0}


@dataclass(frozen=True)
class Event:
    """Something that happens when g(t, y, params) passes through zero.

    Parameters
    ----------
    g : callable or Step
        ``g(t, y, params)`` → one number; without params ``g(t, y)``.
    jump : callable or Step, optional
        ``jump(t, y, params)`` → the state just after, an array like y. By default the state goes on as it is.
    direction : {"both", "up", "down"}
        Count only zeros where g grows, or falls.
    terminal : bool or int
        The run ends with it; with a number n, when it comes for the n-th time.
    required : bool
        It is an error if the run ends without it.
    name : str, optional
        By default that of g.
    mode : hashable, optional
        The event exists in this mode alone; by default in all.
    to : hashable or callable, optional
        Mode after the event; ``to(t, y, params)`` decides by the state just after. By default the same.

    Examples
    --------
    >>> Event(lambda t, y, p: y[0], lambda t, y, p: [y[0], -p * y[1]], "down", name="bounce")
    Event('bounce', down, jump)
    """

    g: Callable | Step
    jump: Callable | Step | None = None
    direction: str = "both"
    terminal: bool | int = False
    required: bool = False
    name: str | None = None
    mode: Hashable = None
    to: Hashable | Callable = None

    def __post_init__(self) -> None:
        for what, function in (("g", self.g), ("jump", self.jump)):
            if not callable(function) and not isinstance(function, Step) and (what == "g" or function):
                raise DataError(f"Event: {what} must be a function, got {type(function).__name__}")
        if not isinstance(self.direction, str) or self.direction not in DIRECTIONS:
            raise DataError(f"Event: direction is 'up', 'down' or 'both', got {self.direction!r}")
        flag("Event: required", self.required)
        for what, mode in (("mode", self.mode), ("to", self.to)):
            if not isinstance(mode, Hashable):
                raise DataError(f"Event: {what} names a mode, a key of the dict f, got {mode!r}")
        if not isinstance(self.terminal, bool | int | np.integer) or self.terminal < 0:
            raise DataError(f"Event: terminal is True, False or how many times, got {self.terminal!r}")
        if self.name is not None and (not isinstance(self.name, str) or not self.name):
            raise DataError(f"Event: a name is a non-empty string, got {self.name!r}")

    @property
    def sign(self) -> int:
        """+1 up, −1 down, 0 both."""
        return DIRECTIONS[self.direction]

    def called(self, k: int) -> str:
        """Its name, as the k-th event of a system."""
        function = self.g.f if isinstance(self.g, Step) else self.g
        name = str(self.name or getattr(function, "__name__", ""))
        return f"event {k}" if name in ("", "<lambda>") else name

    def counts(self, before: int, after: int) -> bool:
        """Whether going from one side of the surface to the other is this event."""
        return before != after and (self.sign == 0 or self.sign == after)

    def __repr__(self) -> str:
        parts = [repr(self.called(0)), self.direction]
        parts += [word for word in ("jump", "terminal", "required") if getattr(self, word)]
        return f"Event({', '.join(parts)})"
