"""Which sequences are the state of a recurrence: those that a later step reads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass import Messages
from msgpass.errors import DataError
from msgpass.plan import Recurrence


@dataclass(frozen=True)
class State:
    """The state of one recurrence.

    Attributes
    ----------
    names : tuple of str
        Its sequences; their numbers lie end to end.
    sizes : tuple of int
        Numbers of each, of one sample.
    reverse : bool
        It runs from the last step to the first.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    reverse: bool

    @property
    def size(self) -> int:
        """Numbers in all."""
        return sum(self.sizes)

    @property
    def slices(self) -> dict[str, slice]:
        """Where each sequence's numbers are."""
        ends = np.cumsum([0, *self.sizes])
        return {name: slice(a, b) for name, a, b in zip(self.names, ends[:-1], ends[1:], strict=True)}


def states_of(m: Messages) -> list[State]:
    """The states of all recurrences of a run, in the order in which they run."""
    found = []
    for block in m.graph.plan().blocks:
        if not isinstance(block, Recurrence):
            continue
        read_later = {a.name for f in block.families for a in f.args if a.edge is not None}
        names = tuple(name for name in block.nodes if name in read_later)
        sizes = tuple(int(np.prod(m.graph.nodes[name].shape[1:])) for name in names)
        found.append(State(names, sizes, block.direction < 0))
    return found


def state_of(m: Messages, name: str | None) -> State:
    """The state that a sequence is part of; by default of the last recurrence that runs with the clock."""
    every = states_of(m)
    if name is None:
        forward = [s for s in every if not s.reverse] or every
        if not forward:
            raise DataError("nothing in this graph feeds itself across time, so there is nothing to diagnose")
        return forward[-1]
    for state in every:
        if name in state.names:
            return state
    raise DataError(
        f"state={name!r} is not a state of a recurrence; there are "
        f"{', '.join(n for s in every for n in s.names) or 'none'}"
    )
