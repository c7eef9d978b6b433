"""What a function reads beside its arguments, watched, for a trace holds it as constants.

Closures, globals, defaults, the attributes of objects and what containers hold are followed through the
functions that are called, by name. A number is compared by value, an array by its bytes, anything else by
identity.
"""

from __future__ import annotations

import functools
import sys
import types
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

PLAIN = (int, float, bool, str, complex, type(None), np.generic)
LIBRARIES = frozenset({"numpy", "math", "scipy", "autograd", "numba", "jax", "torch", "builtins", "msgpass"})
"""Packages whose functions have no settings that a step would read."""
MOST = 1024
"""Entries of a container, and watched entries in all; what is beyond is not seen."""
COPIED = 1 << 16  # bytes of an array up to which they are kept; of a larger one a checksum
OFTEN = 3  # changes that left the program as it is, after which a place is not watched: a counter, say


class Captured:
    """The places that some functions read, and what was there.

    Examples
    --------
    >>> rates = np.array([1.0, 2.0])
    >>> watched = Captured(lambda h: rates * h)
    >>> rates[1] = 3.0
    >>> watched.changed()
    True
    """

    def __init__(self, *functions: Callable | None):
        self.functions = functions
        self.idle: dict[tuple[int, Any], int] = {}  # place → changes that did not matter
        self.look()

    def look(self) -> None:
        """Take what is there now."""
        self.names: set[str] = set()  # globals and attributes that any of the functions reads
        known = -1
        while known < len(self.names):  # a method that is found reads attributes of what was there before
            known = len(self.names)
            self.holders: list[Any] = []  # kept alive, for places are named by their numbers
            self.places: list[tuple[Any, Any, Any]] = []
            self.arrays: list[tuple[np.ndarray, Any]] = []
            self.seen: set[int] = set()
            for f in self.functions:
                self._follow(f)

    def changed(self) -> bool:
        """Something is not as it was."""
        return next(self._moved(), None) is not None

    def forgive(self) -> None:
        """What has changed since left the program as it is: look anew."""
        for place in list(self._moved()):
            self.idle[place] = self.idle.get(place, 0) + 1
        self.look()

    def _moved(self) -> Iterator[tuple[int, Any]]:
        for holder, key, was in self.places:
            now = _get(holder, key)
            same = now is was or (type(now) is type(was) and isinstance(was, PLAIN) and bool(now == was))
            if not same and self.idle.get((id(holder), key), 0) < OFTEN:
                yield id(holder), key
        for array, was in self.arrays:
            if _content(array) != was and self.idle.get((id(array), None), 0) < OFTEN:
                yield id(array), None

    def _place(self, holder, key) -> None:
        if len(self.places) < MOST:
            value = _get(holder, key)
            self.places.append((holder, key, value))
            self._follow(value)

    def _named(self, namespace: dict) -> None:
        for name in sorted(self.names & namespace.keys()):
            self._place(namespace, name)

    def _follow(self, value) -> None:
        """Everything that ``value`` holds; of objects and modules what is among the names in use."""
        if isinstance(value, (*PLAIN, np.ufunc, types.BuiltinFunctionType)) or id(value) in self.seen:
            return
        self.seen.add(id(value))
        self.holders.append(value)
        match value:
            case np.ndarray():
                if value.dtype.kind != "O" and (value.flags.writeable or value.base is not None):
                    self.arrays.append((value, _content(value)))
            case types.FunctionType():
                self._function(value)
            case types.MethodType():
                self._follow(value.__func__)
                self._follow(value.__self__)
            case functools.partial():
                for part in (value.func, value.args, value.keywords):
                    self._follow(part)
            case property():
                self._follow(value.fget)
            case staticmethod() | classmethod():
                self._follow(value.__func__)
            case type():
                self._class(value, None, None)
            case dict():
                for key in list(value)[:MOST]:
                    self._place(value, key)
            case tuple() | frozenset():
                for part in value:
                    self._follow(part)
            case list():
                self._place(value, len)
                for k in range(min(len(value), MOST)):
                    self._place(value, k)
            case types.ModuleType():
                if not _of_library(value.__name__):
                    self._named(vars(value))
            case _:
                self._object(value)

    def _function(self, f: types.FunctionType) -> None:
        if _of_library(f.__module__) and not f.__closure__ and not _elsewhere(f):
            return
        self.names |= _names(f.__code__)
        for cell in f.__closure__ or ():
            self._place(cell, None)
        for given in (f.__defaults__, f.__kwdefaults__):
            self._follow(given)
        self._named(f.__globals__)

    def _object(self, value) -> None:
        if _of_library(type(value).__module__, {"numba"}):  # the Python behind what Numba compiles
            self._follow(getattr(value, "py_func", None))
            return
        if callable(value):
            self.names |= {"__call__", "__wrapped__"}
        own = getattr(value, "__dict__", None)
        own = own if isinstance(own, dict) else None
        if own is not None:
            self._named(own)
        self._class(type(value), value, own)

    def _class(self, kind: type, value, own: dict | None) -> None:
        """What a class holds, and an instance may hold in front of it."""
        for part in kind.__mro__[:-1]:
            if _of_library(part.__module__):
                continue
            for name in sorted(self.names & vars(part).keys()):
                self._place(part, name)
                if isinstance(vars(part)[name], types.MemberDescriptorType):
                    if value is not None:
                        self._place(value, name)
                elif own is not None:
                    self._place(own, name)


def _of_library(module: str | None, which=LIBRARIES) -> bool:
    return (module or "").partition(".")[0] in which


def _elsewhere(f: types.FunctionType) -> bool:
    """Whether its globals are a copy of a module's own, as those of examples in docstrings are."""
    name = f.__globals__.get("__name__")
    module = sys.modules.get(name) if isinstance(name, str) else None
    return module is not None and vars(module) is not f.__globals__


def _names(code: types.CodeType) -> frozenset[str]:
    """Globals and attributes that a function reads, those of functions within it included."""
    inner = [_names(c) for c in code.co_consts if isinstance(c, types.CodeType)]
    return frozenset(code.co_names).union(*inner)


def _get(holder, key) -> Any:
    """What is at a place, or None."""
    match holder:
        case dict():
            return holder.get(key)
        case list():
            if key is len:
                return len(holder)
            return holder[key] if key < len(holder) else None
        case types.CellType():
            try:
                return holder.cell_contents
            except ValueError:  # not filled yet
                return None
    return vars(holder).get(key) if isinstance(holder, type) else getattr(holder, key, None)


def _content(array: np.ndarray) -> Any:
    """Shape and numbers, or their checksum."""
    data = np.ascontiguousarray(array)
    if data.nbytes <= COPIED:
        return array.shape, data.tobytes()
    return array.shape, zlib.crc32(data.reshape(-1).view(np.uint8).data)
