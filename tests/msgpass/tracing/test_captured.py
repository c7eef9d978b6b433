"""What a traced function reads beside its arguments is watched."""

import functools
import types

import numba
import numpy as np
import pytest

from msgpass.tracing.captured import OFTEN, Captured

RATE = 1.0
SETTINGS = types.ModuleType("settings")
SETTINGS.depth = {"of": [1.0, 2.0]}


def by_global(h):
    return RATE * h


def through_another(h):
    return by_global(h) + 1.0


def by_module(h):
    return SETTINGS.depth["of"][1] * h


class Field:
    """A rate as an attribute, read by a method that a method calls."""

    factor = 1.0

    def __init__(self):
        self.rate, self.unused = np.ones(2), 0.0

    def slope(self, h):
        return self.factor * self.rate * h

    def __call__(self, h):
        return self.slope(h)


class Slotted:
    """The same without a dict."""

    __slots__ = ("rate",)

    def __call__(self, h):
        return self.rate * h


def set_global(value):
    globals()["RATE"] = value


def closure():
    rate = 1.0

    def f(h):
        return rate * h

    def change():
        nonlocal rate
        rate = 2.0

    return f, change


def default():
    rates = [1.0]
    f = lambda h, r=rates: r[0] * h  # noqa: E731
    return f, lambda: rates.append(1.0)


def attribute(of):
    field = Field()
    return of(field), lambda: field.rate.__setitem__(1, 2.0)


def of_class():
    field = Field()

    def change():
        field.factor = 3.0

    return field.slope, change


class Settings:
    """Read as a class."""

    rate = 1.0


class Guarded:
    """An attribute behind a property, and an object that answers to no other name."""

    def __init__(self):
        self._rate = 1.0

    @property
    def rate(self):
        return self._rate

    @staticmethod
    def scale(h):
        return RATE * h

    def __getattr__(self, name):
        raise KeyError(name)

    def __call__(self, h):
        return self.rate * self.scale(h)


def guarded():
    field = Guarded()
    return field, lambda: setattr(field, "_rate", 2.0)


def by_class():
    return lambda h: Settings.rate * h, lambda: setattr(Settings, "rate", Settings.rate + 1)


def slotted():
    field = Slotted()
    field.rate = 1.0
    return field, lambda: setattr(field, "rate", 2.0)


CASES = {
    "slot": slotted,
    "class": by_class,
    "property": guarded,
    "static method": lambda: (Guarded(), lambda: set_global(6.0)),
    "wrapped": lambda: (functools.lru_cache(by_global), lambda: set_global(7.0)),
    "in front of the class": of_class,
    "closure": closure,
    "default": default,
    "global": lambda: (by_global, lambda: set_global(2.0)),
    "global, further in": lambda: (through_another, lambda: set_global(3.0)),
    "compiled by Numba": lambda: (numba.njit(by_global), lambda: set_global(4.0)),
    "partial": lambda: (functools.partial(lambda f, h: f(h), by_global), lambda: set_global(5.0)),
    "module": lambda: (by_module, lambda: SETTINGS.depth["of"].__setitem__(1, 3.0)),
    "object": lambda: attribute(lambda field: field),
    "method": lambda: attribute(lambda field: field.slope),
    "lambda around a method": lambda: attribute(lambda field: lambda h: field.slope(h)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_change_is_seen(case):
    f, change = CASES[case]()
    watched = Captured(f)
    assert not watched.changed()
    change()
    assert watched.changed()
    watched.look()
    assert not watched.changed()


def test_what_is_not_read_does_not_matter():
    field = Field()
    watched = Captured(field)
    field.unused, field.rate = 1.0, field.rate
    assert not watched.changed()
    set_global(float("nan"))
    watched = Captured(by_global)
    assert not watched.changed()
    set_global(1.0)


def test_a_large_array_is_seen_by_its_checksum():
    table = np.zeros(100_000)
    watched = Captured(lambda h: table[:2] * h)
    assert not watched.changed()
    table[77_777] = 1.0
    assert watched.changed()


def test_a_counter_is_let_go():
    calls = {"n": 0}
    watched = Captured(lambda h: h * calls["n"])
    for _ in range(OFTEN):
        calls["n"] += 1
        assert watched.changed()
        watched.forgive()
    calls["n"] += 1
    assert not watched.changed()
