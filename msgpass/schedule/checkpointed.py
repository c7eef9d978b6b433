"""``Checkpointed``: binomial checkpoints (Griewank & Walther 2000, *Revolve*): few states kept, the rest
recomputed.

With s states kept and every step run forward at most r times, chains of up to β(s, r) = C(s + r, s) steps can
be reversed; the fewest extra forward steps for n steps are r n − β(s + 1, r − 1), with β(s, r − 1) < n ≤ β(s,
r).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from msgpass.errors import DataError
from msgpass.schedule.base import Schedule


class Checkpointed(Schedule):
    """Keep at most ``slots`` forward states of a sweep and recompute between them; the same messages as
    Sequential.

    A state is what one step of the sweep leaves to the next. Over a chain of tables checkpoints stand between
    stretches of steps, each as long as memory of some megabytes allows, or longer where few slots would
    otherwise sweep a step forward more than twice before it is used. One long chain of up to eight states
    with one transition is swept in segments under every schedule; the messages between them, three bytes a
    step, are all the checkpoints that it needs, and its results have the bits of Sequential's in float64.
    Elsewhere a chain's differ by rounding where it is longer than a stretch. Networks of vectorised steps go
    by stretches, too; other steps one by one.

    Parameters
    ----------
    slots : int
        States kept at a time, ≥ 1.
    stretch : int, optional
        Steps of a network between checkpoints. By default as many as some megabytes hold; with 1, memory is
        least, and steps are recomputed as often as :meth:`extra_steps` says.

    Examples
    --------
    >>> [Checkpointed(3).extra_steps(n) for n in (10, 20, 50)]
    [15, 45, 180]
    """

    def __init__(self, slots: int, stretch: int | None = None):
        for name, given in (("slots", slots), ("stretch", 1 if stretch is None else stretch)):
            if isinstance(given, bool) or not isinstance(given, int | np.integer) or given < 1:
                raise DataError(f"Checkpointed: {name} must be a whole number ≥ 1, got {given!r}")
        self.slots, self.stretch = int(slots), None if stretch is None else int(stretch)

    def __repr__(self) -> str:
        return f"Checkpointed({self.slots}{'' if self.stretch is None else f', stretch={self.stretch}'})"

    def extra_steps(self, n: int) -> int:
        """Fewest extra forward steps that reverse n steps, checkpoints between single steps."""
        r = repetitions(n, self.slots)
        return r * n - reach(self.slots + 1, r - 1)


def reach(slots: int, repeats: int) -> int:
    """β(s, r): the longest chain reversed with s slots and r repetitions."""
    return math.comb(slots + repeats, slots) if repeats >= 0 else 0


def repetitions(n: int, slots: int) -> int:
    """The least r with n ≤ β(s, r)."""
    r = 0
    while reach(slots, r) < n:
        r += 1
    return r


def split(n: int, slots: int) -> int:
    """Where the next checkpoint of a stretch of n steps goes: any point that keeps both parts within their
    reach.
    """
    r = repetitions(n, slots)
    return max(reach(slots, r - 2), n - reach(slots - 1, r), 1)


def reverse(
    n: int, slots: int, start: Any, advance: Callable[[Any, int, int], Any], back: Callable[[Any, int], None]
) -> int:
    """Call ``back(state before step k, k)`` for k = n − 1, …, 0 with at most ``slots`` states kept.

    ``advance(state, i, k)`` returns the state before step k from the state before step i, without changing
    its argument. Returns the number of steps advanced.
    """
    kept: list[tuple[int, int, Any]] = [(0, n, start)]  # (first step, one past its last, state before it)
    advanced = 0
    while kept:
        first, last, state = kept.pop()
        if last - first == 0:
            continue
        if last - first == 1:
            back(state, first)
            continue
        free = slots - len(kept)
        if free <= 1:
            for k in range(last - 1, first - 1, -1):
                advanced += k - first
                back(advance(state, first, k), k)
            continue
        middle = first + split(last - first, free)
        advanced += middle - first
        kept.append((first, middle, state))
        kept.append((middle, last, advance(state, first, middle)))
    return advanced
