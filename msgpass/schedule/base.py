"""The contract of a schedule.

A schedule is a small value that :func:`msgpass.run` reads. ``backward`` says whether messages run against the
arrows, ``slots`` how many forward states are kept (None: all), ``scans`` whether chains are cut and their
stretches swept at the same time, ``loops`` how components with loops are run. A ``windowed`` schedule drops
messages that leave a window of time, and has three methods more:

``count(longest)``
    windows over the longest sequence;
``window(j, lengths)``
    (first loss time, first factor time, end) of window j in each sequence, three integer arrays;
``horizons(offsets)``
    for every row of sequences laid end to end, the row of the last window end that reaches it (−1: none).

A new schedule is a new file with one class and a line in ``msgpass/schedule/__init__.py``.
"""

from __future__ import annotations

from typing import Any


class Schedule:
    """Base of the public schedules: equal when of one kind and parameters."""

    backward: bool = True
    slots: Any = None  # a number of states
    scans: bool = False
    loops: str | None = None  # "exact" or "approximate"; None: a loop is an error

    @property
    def name(self) -> str:
        """Class name."""
        return type(self).__name__

    @property
    def windowed(self) -> bool:
        """Messages that leave a window are dropped."""
        return False

    def __eq__(self, other) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), tuple(sorted(vars(self).items()))))

    def __repr__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"
