"""g and the jump as functions of arrays, with their derivatives; on which side of g = 0 a path lies.

At g = 0 the side is where the path goes: the sign of dg/dt = g_t + g_y·f, and where that is zero, too, of g a
little later.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.ode.events.errors import EventValueError
from rnn.ode.events.event import Event
from rnn.ode.field import Field
from rnn.ode.parameters import Packing


class Gradient(NamedTuple):
    """∂g/∂(t, y, params)."""

    t: np.ndarray
    y: np.ndarray
    arrays: list


class Surface:
    """g of one event."""

    def __init__(self, event: Event, packing: Packing, name: str):
        self.event, self.name = event, name
        self.field = Field.of(event.g, packing)

    def __call__(self, t, y, arrays) -> float:
        """g, one finite number."""
        with np.errstate(all="ignore"):
            value = np.asarray(self.field(t, y, *arrays))
        if value.dtype.kind not in "iuf":
            raise DataError(
                f"event {self.name!r}: g(t, y) must return a number that passes through zero, got "
                f"{value.dtype} at t = {float(t):g}"
            )
        if value.shape:
            raise ShapeError(
                f"event {self.name!r}: g(t, y) must return one number, got shape {value.shape} at t = "
                f"{float(t):g}; one event a component"
            )
        if not np.isfinite(value):
            raise EventValueError(f"event {self.name!r}: g is {value} at t = {float(t):g}", t, self.name)
        return float(value)

    def gradient(self, t, y, arrays) -> Gradient:
        """By one VJP."""
        t_bar, y_bar, *rest = pulled(self.field, t, y, arrays, np.ones(()))
        return Gradient(t_bar, y_bar, rest)

    def rate(self, t, y, arrays, f) -> float:
        """dg/dt along the path."""
        slope = self.gradient(t, y, arrays)
        return float(slope.t + (slope.y * f).sum())


class Side(NamedTuple):
    """Where a path lies: ``sign`` of g just after, whether it starts ``on`` the surface, dg/dt, and
    whether it ``stays`` in the surface."""

    sign: int
    on: bool
    rate: float
    stays: bool = False


def side_of(surface: Surface, t, y, arrays, f, resolution: float, ahead: Callable) -> Side:
    """``resolution`` is the time that counts as none; ``ahead()`` the (t, y) of a little later."""
    value, rate = surface(t, y, arrays), surface.rate(t, y, arrays, f)
    if abs(value) > abs(rate) * resolution and value != 0.0:
        return Side(int(np.sign(value)), False, rate)
    if rate != 0.0:
        return Side(int(np.sign(rate)), True, rate)
    at, there = ahead()
    later = surface(at, there, arrays)
    # A path that stays in the surface is taken to lie where the event comes from.
    return Side(int(np.sign(later)) or -(surface.event.sign or 1), True, rate, later == 0.0)


class Jump:
    """y⁺ of one event."""

    def __init__(self, event: Event, packing: Packing, name: str):
        self.name = name
        self.field = None if event.jump is None else Field.of(event.jump, packing)

    def __call__(self, t, y, *arrays):
        """The state just after."""
        if self.field is None:
            return y
        return self.field(t, y, *arrays)

    def checked(self, t, y, arrays) -> np.ndarray:
        """The same, an array like y with finite numbers."""
        given = np.array(y)
        result = np.asarray(self(t, given, *arrays))
        if not np.array_equal(given, y):
            raise DataError(
                f"event {self.name!r}: jump(t, y) changes y in place; compute a new array: begin with "
                "y = y.copy()"
            )
        if result.dtype.kind not in "iuf":
            raise DataError(
                f"event {self.name!r}: jump(t, y) must return real numbers, got {result.dtype} at t = "
                f"{float(t):g}"
            )
        found = result.astype(float)
        if found.shape != np.shape(y):
            raise ShapeError(
                f"event {self.name!r}: jump(t, y) returned shape {found.shape} at t = {float(t):g}, but y "
                f"has {np.shape(y)}; it returns the whole state just after"
            )
        if not np.isfinite(found).all():
            raise EventValueError(
                f"event {self.name!r}: the state after its jump at t = {t:g} is not finite", t, self.name
            )
        return found

    def vjp(self, inputs, cotangent):
        """Of (t, y, *arrays)."""
        t, y, *arrays = inputs
        if self.field is None:
            return (None, cotangent, *(None for _ in arrays))
        return tuple(pulled(self.field, t, y, arrays, cotangent))


def pulled(field: Field, t, y, arrays, cotangent) -> list:
    """A VJP; a function may ignore what it is given, of which autograd warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output seems independent of input")
        return field.vjp(t, y, arrays, cotangent)
