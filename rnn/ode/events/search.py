"""The forward pass that finds which events happen, and in which order.

Within a step g is looked at on the method's interpolant in several places; a change of sign is confirmed, and
its place found, by steps. Of several events in one step the first counts, and the run goes on from its jump;
events closer than the resolution of time are taken in the order of their list, each seeing the state that
those before it left.
"""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from dataclasses import dataclass, field, replace

import numpy as np

from rnn.ode.events.errors import GrazingError, GrazingWarning, MaxEventsError, NoEventError, ZenoError
from rnn.ode.events.event import Event
from rnn.ode.events.locate import HALVINGS, Bracket, residual, solve
from rnn.ode.events.model import Model
from rnn.ode.events.surface import Side, side_of
from rnn.ode.events.walk import Taken, Walk

RESOLUTION = 1e-13
"""Of the run's span: times closer than this are one time."""
SHRINKING = 1e-6
"""Of the span: gaps between events of one kind that shrink below this are taken to shrink for ever."""
AHEAD = 1e-6
"""Of the span: how far a path is followed that starts on a surface and along it."""
CHATTER = 10
"""Events of one kind in no time."""
CROWD = 100
"""Events of one kind within ``SHRINKING`` of the span."""


@dataclass(frozen=True)
class Happened:
    """One event: ``k``-th of the system, at t*, from y⁻ to y⁺, into ``mode``."""

    k: int
    name: str
    t: float
    before: np.ndarray
    after: np.ndarray
    rate: float
    mode: Hashable
    bracket: Bracket = field(repr=False)


@dataclass
class Segment:
    """From one event to the next: ends of whole steps, which of them are saved, and the event."""

    mode: Hashable
    t: float
    y: np.ndarray
    ends: list[float] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    saved: dict[int, int] = field(default_factory=dict)  # save → row
    event: Happened | None = None

    @property
    def last(self) -> tuple[float, np.ndarray]:
        """Where the last whole step ended."""
        return (self.ends[-1], self.states[-1]) if self.ends else (self.t, self.y)


class Search:
    """One forward pass."""

    def __init__(
        self, model: Model, t: np.ndarray, walk: Walk, *, samples: int, max_events: int, at_start: bool
    ):
        self.model, self.t, self.walk = model, t, walk
        self.places = np.arange(1, samples + 1) / (samples + 1)
        self.max_events, self.at_start = max_events, at_start
        self.resolution = max(RESOLUTION * (t[-1] - t[0]), 8 * float(np.spacing(np.abs(t).max())))
        self.reach = 0.01 * float(t[-1] - t[0])
        self.sides: dict[int, int] = {}
        self.times: dict[int, list[float]] = {}

    def run(self, y0: np.ndarray, mode: Hashable) -> list[Segment]:
        """Segments, the last of which ends the run."""
        segment = Segment(mode, float(self.t[0]), y0)
        segments, due, just = [segment], 0, None
        if not self.at_start:
            due = 1
        while True:
            self.walk.enter(
                self.model.step(segment.mode), self.model.rate(segment.mode), self._fresh(segments)
            )
            hit = self._at_once(segment, just, first=len(segments) == 1)
            while hit is None:
                t, y = segment.last
                if due == 0 and not segment.ends and len(segments) == 1:
                    due = 1  # the first save is the start itself
                if due >= len(self.t):
                    return self._closed(segments)
                stop = float(self.t[due])
                if stop - t <= self.resolution:
                    self._append(segment, stop, self.model.drift(segment.mode, y, t, stop - t), due)
                    due += 1
                    continue
                taken = self.walk.take(t, y, stop)
                hit = self._within(segment.mode, taken)
                if hit is None:
                    self._append(segment, taken.end, taken.state, due if taken.lands else None)
                    due += taken.lands
            just = hit[0]
            segment.event = self._happens(segment, *hit)
            last = int(self.model.events[just].terminal)
            if last and len(self.times[just]) >= last:
                self._last_save(segments, due)
                return self._closed(segments)
            segment = Segment(segment.event.mode, segment.event.t, segment.event.after)
            segments.append(segment)
            if len(segments) > self.max_events:
                raise MaxEventsError(
                    f"max_events={self.max_events} events came before t = {segment.t:g}; raise it, or look "
                    "whether they accumulate",
                    segment.t,
                    self.model.names[just],
                )

    def _fresh(self, segments) -> bool:
        return len(segments) == 1 or segments[-1].mode != segments[-2].mode

    @staticmethod
    def _append(segment: Segment, end: float, state, save: int | None) -> None:
        if save is not None:
            segment.saved[save] = len(segment.ends)
        segment.ends.append(end)
        segment.states.append(state)

    def _last_save(self, segments, due: int) -> None:
        """A save time at which the terminal event comes is still saved, after the jump."""
        event = segments[-1].event
        if due < len(self.t) and self.t[due] - event.t <= self.resolution:
            last = Segment(event.mode, event.t, event.after)
            stop = float(self.t[due])
            self._append(last, stop, self.model.drift(event.mode, event.after, event.t, stop - event.t), due)
            segments.append(last)

    def _closed(self, segments) -> list[Segment]:
        came = {s.event.k for s in segments if s.event is not None}
        t, y = segments[-1].last
        for k, event in enumerate(self.model.events):
            if event.required and k not in came:
                value = self.model.surfaces[k](t, y, self.model.arrays)
                raise NoEventError(
                    f"event {self.model.names[k]!r} was required and did not come by t = {t:g}, where g = "
                    f"{value:.3g} (direction {event.direction!r}); run longer, or look at its sign",
                    t,
                    self.model.names[k],
                )
        return segments

    # -- at the start of a segment -----------------------------------------------------------------------

    def _at_once(self, segment: Segment, just: int | None, first: bool):
        """Sides of all surfaces; an event that happens here."""
        t, y, model = segment.t, segment.y, self.model
        rate = model.rate_at(segment.mode, t, y)
        found = None
        before = self.sides
        self.sides = {}
        for k in model.active(segment.mode):
            side = side_of(
                model.surfaces[k], t, y, model.arrays, rate, self.resolution,
                lambda: self._ahead(segment.mode, t, y),
            )  # fmt: skip
            event = model.events[k]
            came_from = before[k] if k in before else self._entered(event, side, first)
            self.sides[k] = side.sign
            if k == just:
                self._not_resting(k, t, side)
                continue
            if first and not self.at_start:
                continue
            if found is None and side.on and not side.stays and event.counts(came_from, side.sign):
                self._not_at_rest(k, t, side)
                found = k, Bracket(-self.resolution, self.resolution, came_from)
                self.sides[k] = came_from
        return found

    def _ahead(self, mode, t: float, y) -> tuple[float, np.ndarray]:
        """A little later, by two steps, so that curvature is seen with any method."""
        half, step, params = 0.5 * AHEAD * (self.t[-1] - self.t[0]), self.model.step(mode), self.model.params
        middle = step(y, t, half, params)
        return t + 2 * half, np.asarray(step(middle, t + half, half, params))

    @staticmethod
    def _entered(event: Event, side: Side, first: bool) -> int:
        """Where a path comes from that starts on a surface: the run from its other side, a mode from where
        the event would come; to leave a surface that counts both ways is no event."""
        return -side.sign if first else -event.sign or side.sign

    def _not_at_rest(self, k: int, t: float, side: Side) -> None:
        if side.rate == 0.0:
            name = self.model.names[k]
            raise GrazingError(
                f"event {name!r}: at t = {t:g} the state is at rest on the surface (g = 0 and dg/dt = 0) and "
                "goes through it, so that the event's time has no derivative; start off the surface, or with "
                "a speed, or leave events at the start out (events_at_start=False)",
                t,
                name,
            )

    def _not_resting(self, k: int, t: float, side: Side) -> None:
        event, surface = self.model.events[k], self.model.surfaces[k]
        at_rest = side.on and side.rate == 0.0 and not side.stays
        if event.jump is not None and at_rest and event.counts(-side.sign, side.sign):
            raise GrazingError(
                f"event {surface.name!r}: at t = {t:g} its jump leaves the state at rest on the surface (g = "
                "0 and dg/dt = 0), and it would go through; give it a mode in which it rests, Event(…, to=)",
                t,
                surface.name,
            )

    # -- within a step -----------------------------------------------------------------------------------

    def _within(self, mode, taken: Taken):
        """The first event of a step: (k, bracket), or None, and then the sides at its end."""
        active = self.model.active(mode)
        if not active:
            return None
        step, self.reach = self.model.step(mode), 2 * taken.h
        states = [step.dense(taken.y, taken.ks, taken.h, theta) for theta in self.places]
        lengths = [*(self.places * taken.h), taken.h]
        found, sides = [], {}
        for k in active:
            surface = self.model.surfaces[k]
            values = [
                surface(taken.t + h, y, self.model.arrays) for h, y in zip(lengths, states, strict=False)
            ]
            values.append(surface(taken.end, taken.state, self.model.arrays))
            bracket, sides[k] = self._first(mode, k, taken, lengths, values)
            if bracket is not None:
                g = residual(step, surface, taken.y, taken.t, self.model.params, self.model.arrays)
                found.append((solve(g, bracket, taken.t, surface.name), k, bracket))
        if not found:
            self.sides.update(sides)
            return None
        soonest = min(h for h, _, _ in found)
        return next((k, bracket) for h, k, bracket in found if h <= soonest + self.resolution)

    def _first(self, mode, k: int, taken: Taken, lengths, values):
        """The first crossing that counts, as a bracket; the side at the end of the step."""
        event, side, last = self.model.events[k], self.sides[k], 0.0
        before = (
            self.model.surfaces[k](taken.t, taken.y, self.model.arrays) if values[0] == 0.0 else values[0]
        )
        for h, value in zip(lengths, values, strict=True):
            now = (
                side if value == before == 0.0 else int(np.sign(value)) or -side
            )  # it may stay in the surface
            before = value
            if now == side:
                last = h
                continue
            if event.counts(side, now):
                bracket = self._confirmed(mode, k, taken, Bracket(last, h, side))
                if bracket is not None:
                    return bracket, side
                last = h  # of the interpolant alone
                continue
            side, last = now, h
        # A zero a hair behind the end, of a step that ends where the event is meant to be.
        gone = (values[-2] if len(values) > 1 else side * np.inf) - values[-1]
        if gone * side > 0 and event.counts(side, -side):
            h = lengths[-1]
            left = values[-1] / gone * (h - (lengths[-2] if len(lengths) > 1 else 0.0))
            if 0 <= left <= self.resolution:
                g = self._residual(mode, k, taken)
                if g(h + 2 * self.resolution) * side <= 0:
                    return Bracket(
                        lengths[-2] if len(lengths) > 1 else h / 2, h + 2 * self.resolution, side
                    ), side
        return None, side

    def _residual(self, mode, k, taken):
        return residual(
            self.model.step(mode),
            self.model.surfaces[k],
            taken.y,
            taken.t,
            self.model.params,
            self.model.arrays,
        )

    def _confirmed(self, mode, k: int, taken: Taken, bracket: Bracket) -> Bracket | None:
        """The same with steps instead of the interpolant; a zero at the very start is not meant."""
        g, low, high, side = self._residual(mode, k, taken), bracket.low, bracket.high, bracket.side
        if g(high) * side > 0:
            high = min(taken.h, high + 0.1 * taken.h)
            if g(high) * side > 0:
                return None
        if low == 0.0:
            # Just after the start of a segment, where g may be zero: closer until it is on its side.
            low = high / 2
            for _ in range(HALVINGS):
                if g(low) * side > 0:
                    return Bracket(low, high, side)
                low, high = low / 2, low
            return Bracket(-self.resolution, high, side)
        for _ in range(HALVINGS):
            if g(low) * side > 0:
                return Bracket(low, high, side)
            low /= 2
        return None

    # -- what happens ------------------------------------------------------------------------------------

    def _happens(self, segment: Segment, k: int, bracket: Bracket) -> Happened:
        model, mode, (t, y) = self.model, segment.mode, segment.last
        name, surface = model.names[k], model.surfaces[k]
        g = residual(model.step(mode), surface, y, t, model.params, model.arrays)
        h = solve(g, bracket, t, name)
        at = t + h
        before = np.asarray(model.step(mode)(y, t, at - t, model.params)) if at != t else y
        after = model.jumps[k].checked(at, before, model.arrays)
        rate = surface.rate(at, before, model.arrays, model.rate_at(mode, at, before))
        if bracket.grazed(g, rate):
            warnings.warn(
                f"event {name!r} at t = {at:g} grazes its surface: dg/dt = {rate:.3g} there; the event's "
                "time and all gradients through it are ill conditioned",
                GrazingWarning,
                stacklevel=4,
            )
        self._not_zeno(k, name, at)
        following, bracket = model.next_mode(k, mode, at, after), replace(bracket, reach=self.reach)
        return Happened(k, name, at, before, after, rate, following, bracket)

    def _not_zeno(self, k: int, name: str, t: float) -> None:
        times = self.times.setdefault(k, [])
        times.append(t)
        gaps = np.diff(times[-CHATTER - 1 :])
        span = self.t[-1] - self.t[0]
        limit = None
        if len(times) > CROWD and t - times[-CROWD - 1] < SHRINKING * span:
            limit = t
        if len(gaps) == CHATTER and (gaps <= 10 * self.resolution).all():
            limit = t
        if len(gaps) >= 4 and gaps[-1] < SHRINKING * span and gaps[-1] > 10 * self.resolution:
            ratios = gaps[-3:] / gaps[-4:-1]
            if (ratios < 1).all() and np.ptp(ratios) < 0.1:
                limit = t + gaps[-1] * ratios[-1] / (1 - ratios[-1])
        if limit is not None and limit <= self.t[-1]:
            raise ZenoError(
                f"event {name!r} happens infinitely often before t = {limit:.10g}: the last one at t = "
                f"{t:.10g} came {gaps[-1]:.3g} after the one before. Stop earlier, or give the state a mode "
                "in which it rests, Event(…, to=)",
                t,
                name,
                float(limit),
            )
