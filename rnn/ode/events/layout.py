"""The run as a graph: segments of solver steps, joined by what happens at events.

    segment i    h_j = end_j − end_{j−1},   y_j = Φ(y_{j−1}, end_{j−1}, h_j, θ)     j = 1 … n, from (t*, y⁺)
    event i      t* = where g(t*, Φ(y_n, end_n, t* − end_n, θ), θ) = 0                  ``locate``
                 y⁻ = Φ(y_n, end_n, t* − end_n, θ)                                      ``land``
                 y⁺ = jump(t*, y⁻, θ)                                                   ``jump``

The saltation matrix is nowhere written down: it is what the messages through these three and through the
first step after them, whose length is end_1 − t*, add up to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from msgpass import FactorGraph, Step
from rnn.ode.events.locate import Locate
from rnn.ode.events.model import Model
from rnn.ode.events.search import Segment
from rnn.ode.events.surface import pulled


class Layout(NamedTuple):
    """A graph and where things are in it."""

    graph: FactorGraph
    saved: list[tuple[Any, int | None]]  # (node, row or None) of every save
    ends: list[tuple[str, int | None]]  # name and row of its time
    events: list[tuple[Any, Any, Any]]  # (t*, y−, y+)


def lay_out(model: Model, segments: list[Segment], t: np.ndarray, resolution: float) -> Layout:
    """The graph of a run whose structure is known."""
    g = FactorGraph()
    y0 = g.parameter("y0", segments[0].y)
    own = [g.parameter(name, value) for name, value in model.values.items()]
    start: Any = y0
    begin: Any = g.parameter("t 0", t[0])
    saved: dict[int, tuple] = {0: (y0, None)}
    ends: dict[int, tuple] = {0: ("t 0", None)}
    events = []
    for i, segment in enumerate(segments):
        last, last_end, n, first = start, begin, len(segment.ends), 0
        if n and abs(segment.ends[0] - segment.t) <= resolution and segment.saved.get(_save(segment, 0)) == 0:
            last_end = g.observe(f"save {i}", segment.ends[0])
            last = g.variable(f"saved {i}", shape=y0.shape)
            g.factor(drift(model, segment.mode), start, begin, last_end, *own, out=last, name=f"drift {i}")
            saved[_save(segment, 0)], ends[_save(segment, 0)] = (last, None), (last_end.name, None)
            first = 1
        if n > first:
            end = g.observe(f"end {i}", np.array(segment.ends[first:]))
            h = g.sequence(f"h {i}", n - first)
            y = g.sequence(f"y {i}", n - first, shape=y0.shape)
            g.factor(_gap(), end.after(last_end), end[:], out=h[:], name=f"gap {i}")
            step = model.potential(segment.mode, segments[0].y)
            g.factor(step, y.after(last), end.after(last_end), h[:], *own, out=y[:], name=f"step {i}")
            for save, row in segment.saved.items():
                if row >= first:
                    saved[save], ends[save] = (y, row - first), (end.name, row - first)
            last, last_end = y[n - first - 1], end[n - first - 1]
        if segment.event is None:
            break
        event, shape = segment.event, y0.shape
        at, before, after = (
            g.variable(f"t* {i}"),
            g.variable(f"y- {i}", shape=shape),
            g.variable(f"y+ {i}", shape=shape),
        )
        locate = Locate(
            model.step(segment.mode),
            model.potential(segment.mode),
            model.surfaces[event.k],
            event.bracket,
            model.user(),
        )
        g.factor(Step(locate, locate.vjp), last, last_end, *own, out=at, name=f"locate {i}")
        g.factor(_land(model.potential(segment.mode)), last, last_end, at, *own, out=before, name=f"land {i}")
        jump = model.jumps[event.k]
        g.factor(Step(jump, jump.vjp), at, before, *own, out=after, name=f"jump {i}")
        events.append((at, before, after))
        start, begin = after, at
    order = sorted(saved)
    return Layout(g, [saved[s] for s in order], [ends[s] for s in order], events)


def _save(segment: Segment, row: int) -> int:
    return next((save for save, at in segment.saved.items() if at == row), -1)


def _gap() -> Step:
    return Step(lambda before, end: end - before, lambda _, c: (-c, c), vectorized=True)


def _land(potential: Step) -> Step:
    """A step to t*, over (y, t, t*, *arrays)."""

    def land(y, t, at, *arrays):
        return potential.f(y, t, at - t, *arrays)

    pull = potential.vjp
    if pull is None:
        return Step(land)

    def vjp(inputs, cotangent):
        y, t, at, *arrays = inputs
        y_bar, t_bar, h_bar, *rest = pull((y, t, at - t, *arrays), cotangent)
        return (y_bar, t_bar - h_bar, h_bar, *rest)

    return Step(land, vjp)


def drift(model: Model, mode) -> Step:
    """A step of no length, to a save time at which an event came: (y, t, end, *arrays)."""
    field = model.field(mode)

    def move(y, t, end, *arrays):
        return y + (end - t) * field(t, y, *arrays)

    def vjp(inputs, cotangent):
        y, t, end, *arrays = inputs
        h = end - t
        along = (np.asarray(field(t, y, *arrays)) * cotangent).sum()
        t_bar, y_bar, *rest = pulled(field, t, y, arrays, h * cotangent)
        return (cotangent + y_bar, t_bar - along, along, *rest)

    return Step(move, vjp)


def values_of(layout: Layout, read: Callable) -> tuple:
    """(states, times, before, after) by ``read(node, row)``."""
    states = np.stack([read(node, row) for node, row in layout.saved])
    parts = list(zip(*layout.events, strict=True)) or [(), (), ()]
    shape = layout.saved[0][0].shape
    times = np.array([float(read(v, None)) for v in parts[0]])
    before, after = (
        np.stack([read(v, None) for v in part]) if part else np.zeros((0, *shape)) for part in parts[1:]
    )
    return states, times, before, after
