"""Two slices of a graph: which variables a slice has, and which arrows end at it.

    h_t ← h_{t−1}, x_t, θ      deterministic, δ(h_t − f(h_{t−1}, x_t, θ))
    loss_t ← h_t, y_t          evidence, exp(−loss)

Everything is read off the factors of the graph with their slices resolved: the time of a row that is read
against the time of the row that is computed is the lag of an arrow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from msgpass import FactorGraph, Loss, Step
from msgpass.errors import UnsupportedError
from msgpass.nodes import Observation, Parameter, Sequence
from msgpass.plan import Arg, Family, Recurrence, latent

KINDS = ("deterministic", "evidence", "input", "shared")


class Place(NamedTuple):
    """A variable of a slice, or one that all slices share.

    Attributes
    ----------
    name : str
    kind : str
        "deterministic" (computed by a step), "evidence" (a loss, seen to have happened with probability
        exp(−loss)), "input" (data, one row a slice) or "shared" (parameters, data and starts without a row
        a slice).
    shape : tuple of int
    times : range
        Slices that have it; empty for what is shared.
    factor : str or None
        The factor that computes it, or the loss.
    carries : bool
        An arrow leaves it for the next slice: the variables that carry are the interface.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    times: range
    factor: str | None
    carries: bool


class Arrow(NamedTuple):
    """Parent → child, ``lag`` slices later; None where the parent is shared."""

    parent: str
    child: str
    lag: int | None
    factor: str


@dataclass(frozen=True)
class Template:
    """The prior slice and the transition of a two-slice network.

    Attributes
    ----------
    places : tuple of Place
    prior : tuple of Arrow
        What ends at the first slice; a start stands where an arrow from the slice before would.
    transition : tuple of Arrow
        What ends at every later slice.
    length : int
        Slices of the graph that it was read off.
    """

    places: tuple[Place, ...]
    prior: tuple[Arrow, ...]
    transition: tuple[Arrow, ...]
    length: int

    def __getitem__(self, name: str) -> Place:
        for place in self.places:
            if place.name == name:
                return place
        raise KeyError(f"no variable {name!r}; there are {', '.join(p.name for p in self.places)}")

    @property
    def interface(self) -> tuple[str, ...]:
        """What a slice tells the next one; given it, past and future are independent."""
        return tuple(p.name for p in self.places if p.carries)

    def parents(self, name: str, prior: bool = False) -> tuple[Arrow, ...]:
        """Arrows that end at a variable."""
        return tuple(a for a in (self.prior if prior else self.transition) if a.child == name)


def template_of(graph: FactorGraph) -> Template:
    """Read the two slices off a graph of steps and losses that runs with the clock."""
    blocks = graph.plan().blocks
    for block in blocks:
        if isinstance(block, Recurrence) and block.direction < 0:
            raise UnsupportedError(
                f"{', '.join(block.nodes)} runs against the clock: it reads the step after. The arrows of a "
                "two-slice network go from a slice to the next; take a network in one direction "
                "(bidirectional=False)"
            )
    families = [f for b in blocks for f in b.families]
    for f in families:
        if not isinstance(f.potential, Step | Loss) or (isinstance(f.potential, Step) and f.potential.noisy):
            kind = type(f.potential).__name__ + (" with noise" if isinstance(f.potential, Step) else "")
            raise UnsupportedError(
                f"factor {f.name!r} is a {kind}; as_dbn takes deterministic steps and losses, such as a "
                "network's own. A table or a quadratic is a factor of a graphical model already"
            )
    clocks = {n.clock for n in graph.nodes.values() if isinstance(n, Sequence)}
    if len(clocks) != 1 or next(iter(clocks)).ragged:
        raise UnsupportedError(
            "a two-slice network has one clock; the graph has "
            + (f"{len(clocks)} clocks" if len(clocks) != 1 else "ragged sequences, end to end")
            + ": take one sequence, or a batch with lengths="
        )
    length = next(iter(clocks)).total
    arrows = [(a, times_of(f)) for f in families for a in _arrows(f)]
    carries = {a.parent for a, _ in arrows if a.lag == 1}
    places = _places(graph, families, carries)
    prior = tuple(a for a, times in arrows if a.lag != 1 and _meets(times, 0, 1))
    prior += tuple(Arrow(e, o, None, f.name) for f in families for e, o in _starts(f))
    later = tuple(a for a, times in arrows if _meets(times, 1, max(length, 2)) or (length == 1 and times))
    return Template(places, tuple(dict.fromkeys(prior)), tuple(dict.fromkeys(later)), length)


def times_of(f: Family) -> range:
    """Slices at which a factor has an instance; none for what is computed once for all."""
    if not any(a.rows is not None and isinstance(a.slice.node, Sequence) for a in (*f.args, *f.outs)):
        return range(0)
    times = f.times
    return range(int(times[0]), int(times[0]) + len(times)) if len(times) else range(0)


def children_of(f: Family) -> tuple[str, ...]:
    """What a factor's arrows end at: what it computes, or the loss itself."""
    return tuple(o.name for o in f.outs) or (f.name,)


def lag_of(arg: Arg, f: Family) -> int | None:
    """Slices between the row that is read and the factor's own time; None where one value serves all."""
    if arg.rows is None or not times_of(f):
        return None
    if arg.slice.stepped:
        return f.first - arg.first
    if f.factor.stepped:
        return None
    return int(f.times[0]) - arg.slice.index_row(arg.clock.lengths[0])


def input_name(name: str, lag: int) -> str:
    """Data that are read at another time than the slice's are another input: x[t−1]."""
    return name if lag == 0 else f"{name}[t{-lag:+d}]".replace("-", "−")


def _arrows(f: Family):
    for o in f.outs:
        if o.rows is not None and o.first != f.first and o.slice.stepped:
            raise UnsupportedError(f"step {f.name!r} computes rows of different times at once")
    for arg in f.args:
        lag = lag_of(arg, f)
        if isinstance(arg.slice.node, Sequence):
            _check(arg, f, lag)
        for child in children_of(f):
            if lag is not None and isinstance(arg.slice.node, Observation):
                yield Arrow(input_name(arg.name, lag), child, 0, f.name)
            else:
                yield Arrow(arg.name, child, lag, f.name)


def _check(arg: Arg, f: Family, lag: int | None) -> None:
    end = f.name if not f.outs else ", ".join(children_of(f))
    if lag is None:
        raise UnsupportedError(
            f"{end} reads {arg.slice.name} at every step; in a two-slice network a slice reads itself and "
            "the slice before, not a whole sequence (attention, pooling) or a far row"
        )
    if lag < 0:
        raise UnsupportedError(
            f"{end} reads {arg.name} {-lag} step(s) ahead; a two-slice network's arrows go from a slice to "
            "the next. Take a network in one direction"
        )
    if lag > 1:
        raise UnsupportedError(
            f"{end} reads {arg.name} {lag} steps back; a two-slice network has lag 1. Keep the earlier "
            "values as further states (h, h before, …)"
        )


def _starts(f: Family):
    for arg in f.args:
        if arg.edge is not None:
            if isinstance(arg.edge.slice.node, Sequence):
                raise UnsupportedError(
                    f"{arg.slice.name} starts from a row of another sequence; take that row as data or as a "
                    "parameter"
                )
            for child in children_of(f):
                yield arg.edge.name, child


def _places(graph: FactorGraph, families, carries) -> tuple[Place, ...]:
    places: dict[str, Place] = {}
    every = range(0)
    for f in families:
        times = times_of(f)
        every = range(0, max(every.stop, times.stop))
        for arg in f.args:
            lag, node = lag_of(arg, f), arg.slice.node
            if isinstance(node, Observation) and lag is not None:
                name = input_name(arg.name, lag)
                places.setdefault(name, Place(name, "input", node.shape[1:], times, None, False))
            elif not latent(arg):
                places.setdefault(arg.name, Place(arg.name, "shared", node.shape, range(0), None, False))
            if arg.edge is not None and isinstance(arg.edge.slice.node, Parameter | Observation):
                name, shape = arg.edge.name, arg.edge.slice.shape
                places.setdefault(name, Place(name, "shared", shape, range(0), None, False))
        for o in f.outs:
            made, node = places.get(o.name), graph.nodes[o.name]
            if made is not None and made.times:  # computed by one step first, by another afterwards
                times = range(min(made.times.start, times.start), max(made.times.stop, times.stop))
            kind = "deterministic" if times else "shared"
            places[o.name] = Place(o.name, kind, node.shape, times, f.name, o.name in carries)
        if not f.outs:
            places[f.name] = Place(f.name, "evidence", (), times, f.name, False)
    return tuple(places.values())


def _meets(times: range, start: int, stop: int) -> bool:
    return max(times.start, start) < min(times.stop, stop)
