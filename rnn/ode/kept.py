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
