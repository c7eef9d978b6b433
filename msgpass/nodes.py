"""What a graph is made of: variables, sequences, parameters, observations, and slices of them.

A *slice* names rows of a sequence symbolically (never as an index array, which at 10⁷ steps would cost
hundreds of megabytes), unless it is written as one: ``x[rows]`` picks any rows, for graphs that are no chain.
Over ragged sequences, which lie end to end on one :class:`Clock`, every other slice applies within each
sequence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from msgpass.errors import GraphError, ShapeError


@dataclass(frozen=True)
class Clock:
    """The lengths of the sequences that lie end to end; two sequences with equal lengths share a clock."""

    lengths: tuple[int, ...]
    sizes: np.ndarray = field(init=False, repr=False, compare=False)  # the lengths again, as an array
    offsets: np.ndarray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = np.asarray(self.lengths, np.int64)
        offsets = np.zeros(len(sizes) + 1, np.int64)
        np.cumsum(sizes, out=offsets[1:])
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "offsets", offsets)

    @property
    def total(self) -> int:
        """Rows in all."""
        return int(self.offsets[-1])

    @property
    def ragged(self) -> bool:
        """More than one sequence on this clock."""
        return len(self.lengths) > 1

    @classmethod
    def of(cls, length: int | Iterable[int]) -> Clock:
        """Read ``length=`` of :meth:`FactorGraph.sequence`."""
        sizes = np.atleast_1d(np.asarray(list(length) if np.iterable(length) else length))
        if sizes.size == 0:
            raise ShapeError("length=[] names no sequence; give one length or a non-empty list of lengths")
        if sizes.ndim > 1 or sizes.dtype.kind not in "iu" or sizes.min() < 1:
            raise ShapeError(f"a sequence's length must be a whole number ≥ 1, got {length!r}")
        return cls(tuple(sizes.tolist()))


class Node:
    """Anything in the graph that has a name and a value or a message of its own."""

    __slots__ = ("graph", "name", "shape", "states")
    graph: Any
    name: str
    shape: tuple[int, ...]
    states: Any  # a number of states, or None for real values

    def __init__(self, graph, name: str, shape: tuple[int, ...], states: int | None):
        self.graph, self.name, self.shape, self.states = graph, name, shape, states

    @property
    def discrete(self) -> bool:
        """Takes one of ``states`` values (otherwise an array of real numbers)."""
        return self.states is not None

    @property
    def size(self) -> int:
        """Real numbers in one instance."""
        return math.prod(self.shape)

    def describe(self) -> str:
        """Kind, name and size for error messages."""
        kind = type(self).__name__.lower()
        domain = f"{self.states} states" if self.discrete else f"shape {self.shape}"
        return f"{kind} {self.name!r} ({domain})"

    def __repr__(self) -> str:
        return f"<{self.describe()}>"


class Variable(Node):
    """One latent variable: ``states`` values, or a real array of ``shape``."""

    __slots__ = ()


class Parameter(Node):
    """A value shared by all steps; the messages that arrive at it are ∂total/∂value."""

    __slots__ = ("value",)

    def __init__(self, graph, name: str, value: np.ndarray):
        super().__init__(graph, name, value.shape, None)
        self.value = value


class _Sliceable(Node):
    __slots__ = ()

    # Otherwise Python would iterate by z[0], z[1], … for ever: not every slice is checked before it is used.
    __iter__ = None

    @property
    def lengths(self) -> tuple[int, ...]:
        """What an index must fit, as far as is known before a factor uses it."""
        return ()

    def __getitem__(self, key) -> Slice:
        if isinstance(key, slice):
            if key.step not in (None, 1):
                raise GraphError(
                    f"{self.name}[{_slice_text(key)}]: slices take every step; a stride is not supported"
                )
            return Slice(self, "range", _bound(key.start, self), _bound(key.stop, self))
        if isinstance(key, list | np.ndarray) and np.ndim(key) > 0:
            return Slice(self, "pick", Picked.of(key, self))
        if isinstance(key, bool | np.bool_) or not isinstance(key, int | np.integer):
            raise GraphError(
                f"{self.name}[{key!r}]: index a sequence with a whole number, a slice such as [:-1], or "
                "an array of whole numbers"
            )
        found = Slice(self, "index", int(key))
        for length in self.lengths:
            found.index_row(length)
        return found

    def after(self, start) -> Slice:
        """Rows one step earlier, with ``start`` standing before the first: start, v[0], …, v[T−2]."""
        return Slice(self, "after", edge=as_slice(start))

    def before(self, end) -> Slice:
        """Rows one step later, with ``end`` standing after the last: v[1], …, v[T−1], end."""
        return Slice(self, "before", edge=as_slice(end))

    @property
    def all(self) -> Slice:
        """The whole sequence, given to every step."""
        return Slice(self, "all")


class Sequence(_Sliceable):
    """Latent variables on a clock; row t is time t."""

    __slots__ = ("clock",)

    def __init__(self, graph, name: str, clock: Clock, shape: tuple[int, ...], states: int | None):
        super().__init__(graph, name, shape, states)
        self.clock = clock

    @property
    def lengths(self) -> tuple[int, ...]:
        """What an index must fit at least: a factor asks more of it over ragged sequences."""
        return (self.clock.total,)

    def __len__(self) -> int:
        return self.clock.total


class Observation(_Sliceable):
    """Data, clamped. Sliced, its first axis is time; passed whole, it is one variable."""

    __slots__ = ("value",)

    def __init__(self, graph, name: str, value: np.ndarray, states: int | None):
        super().__init__(graph, name, value.shape, states)
        self.value = value


def _bound(k, node) -> int | None:
    if k is None:
        return None
    if isinstance(k, bool | np.bool_) or not isinstance(k, int | np.integer):
        raise GraphError(f"slice bounds of {node.name!r} must be whole numbers, got {k!r}")
    return int(k)


def _slice_text(s) -> str:
    return ":".join("" if v is None else str(v) for v in (s.start, s.stop, s.step))


class Picked:
    """Rows that an index array names; instance j of a factor touches the j-th of them."""

    def __init__(self, rows: np.ndarray):
        self.rows = rows

    @classmethod
    def of(cls, key, node) -> Picked:
        """Read ``node[key]``."""
        given = np.asarray(key)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iu":
            raise GraphError(
                f"{node.name}[…]: picked rows are a non-empty array of whole numbers with one axis, got "
                f"dtype {given.dtype} and shape {given.shape}"
            )
        if isinstance(node, Sequence) and node.clock.ragged:
            raise GraphError(
                f"{node.name}[…]: picked rows are rows of one sequence, and {node.name!r} is "
                f"{len(node.clock.lengths)} ragged ones"
            )
        total = node.clock.total if isinstance(node, Sequence) else (node.shape or (0,))[0]
        rows = given.astype(np.int64)
        rows[rows < 0] += total
        wrong = (rows < 0) | (rows >= total)
        if wrong.any():
            raise ShapeError(
                f"{node.name}[…]: row {given[wrong][0]} at place {int(np.argmax(wrong))} is not one of the "
                f"{total} rows"
            )
        rows.flags.writeable = False
        return cls(rows)

    def __repr__(self) -> str:
        shown = ", ".join(map(str, self.rows[:3]))
        return shown if len(self.rows) <= 3 else f"{shown}, …; {len(self.rows)}"


@dataclass(frozen=True)
class Slice:
    """Rows of a node. ``kind`` is one of single, index, range, pick, after, before, all; made by slicing, not
    by hand.
    """

    node: Any
    kind: str
    start: Any = None  # whole numbers where the kind has them; of a pick, what is Picked
    stop: Any = None
    edge: Any = None  # Slice of an after or before

    @property
    def name(self) -> str:
        """How the slice was written."""
        n = self.node.name
        if self.kind == "single":
            return n
        if self.kind in ("index", "pick"):
            return f"{n}[{self.start}]"
        if self.kind == "range":
            return f"{n}[{'' if self.start is None else self.start}:{'' if self.stop is None else self.stop}]"
        return f"{n}.all" if self.kind == "all" else f"{n}.{self.kind}({self.edge.name})"

    @property
    def stepped(self) -> bool:
        """Has one row for every step of its factor."""
        return self.kind in ("range", "pick", "after", "before")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row (an observation's first axis is time when it is sliced)."""
        if self.kind == "single" or not isinstance(self.node, Observation):
            return self.node.shape
        return self.node.shape if self.kind == "all" else self.node.shape[1:]

    def index_row(self, length: int) -> int:
        """Row within a sequence of ``length`` of an index slice."""
        k = self.start + length if self.start < 0 else self.start
        if not 0 <= k < length:
            raise ShapeError(
                f"{self.name}: the sequence has {length} steps, so indices run from {-length} to {length - 1}"
            )
        return k

    def span(self, lengths: tuple[int, ...]) -> tuple[int, int]:
        """(first row, counted from the front; one past the last, counted from the back) in every sequence.

        ``after`` starts at −1, the row of its edge, and ``before`` ends at +1.
        """
        if self.kind == "pick":
            return 0, len(self.start.rows) - lengths[0]
        if self.kind == "after":
            return -1, -1
        if self.kind == "before":
            return 1, 1
        start, stop = self.start or 0, 0 if self.stop is None else self.stop
        if start >= 0 and (self.stop is None or stop < 0):
            return start, stop
        if len(set(lengths)) > 1:
            raise ShapeError(
                f"{self.name} picks different stretches of sequences of different lengths; use a start "
                "counted from the front and a stop counted from the back, such as [1:] or [:-1]"
            )
        first, last, _ = slice(self.start, self.stop).indices(lengths[0])
        return first, max(first, last) - lengths[0]

    def rows(self, clock: Clock, counts: Any) -> slice | np.ndarray:
        """Row numbers in the stacked array, one per instance: a slice where they are contiguous.

        Picked rows are the array that was given. An ``after`` or ``before`` edge shows as the row of its
        neighbour in front or behind, to be replaced by the edge.
        """
        if self.kind == "index":
            if not clock.ragged:
                k = self.index_row(clock.lengths[0])
                return slice(k, k + 1)
            self.index_row(int(clock.sizes.min()))
            return (clock.offsets[:-1] if self.start >= 0 else clock.offsets[1:]) + self.start
        if self.kind == "pick":
            return self.start.rows
        first, _ = self.span(clock.lengths)
        if not clock.ragged:
            return slice(first, first + int(counts[0]))
        if first == 0 and np.array_equal(counts, clock.sizes):
            return slice(0, clock.total)
        ends = np.cumsum(counts)
        return np.arange(ends[-1] if len(ends) else 0) + np.repeat(
            clock.offsets[:-1] + first - (ends - counts), counts
        )


def as_slice(v) -> Slice:
    """Accept a node where one row is meant, or a slice as it is."""
    if isinstance(v, Slice):
        return v
    if isinstance(v, Sequence):
        raise GraphError(
            f"{v.name!r} is a sequence: say which rows, such as {v.name}[:], {v.name}[:-1], "
            f"{v.name}[0] or {v.name}.all"
        )
    if isinstance(v, Node):
        return Slice(v, "single")
    raise GraphError(
        "a factor's arguments are variables, parameters, observations or slices of the graph, got "
        f"{type(v).__name__}; "
        "register arrays with g.parameter(name, value) or g.observe(name, value)"
    )
