"""The last few things that were made, by what they were made of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

KEPT = 32  # graphs, steps, compiled functions


class Kept(OrderedDict):
    """The last few things that were made, by what they were made of."""

    def of(self, key, make: Callable):
        """From the store, or made."""
        if key not in self:
            self[key] = make()
            while len(self) > KEPT:
                self.popitem(last=False)
        self.move_to_end(key)
        return self[key]


class Same:
    """A function as a key: the same object, or the same method of the same object. Functions may be objects
    that compare by value, and change."""

    def __init__(self, f):
        self.f = f
        self.parts = (getattr(f, "__self__", None), getattr(f, "__func__", f))

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.parts)))

    def __eq__(self, other) -> bool:
        return isinstance(other, Same) and all(a is b for a, b in zip(self.parts, other.parts, strict=True))
