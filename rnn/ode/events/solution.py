"""``HybridSolution``: saved states, events, the run as a graph, and gradients of what came out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from msgpass import FactorGraph, Messages, run
from msgpass.errors import DataError, ShapeError, UnavailableError
from rnn.ode.adaptive import Stats
from rnn.ode.events.layout import Layout, lay_out
from rnn.ode.events.model import Model
from rnn.ode.events.outcome import Outcome, attach_loss
from rnn.ode.events.result import HybridGradient, gradient_of
from rnn.ode.events.search import Happened, Segment
from rnn.ode.events.surface import pulled


@dataclass(frozen=True)
class HybridSolution:
    """What :meth:`HybridSystem.solve` returns.

    Attributes
    ----------
    t : ndarray (S,)
        Save times that were reached; t[0] is the start.
    y : ndarray (S, *shape)
        States there. At a save time at which an event comes, the state just after it.
    events : tuple of Happened
        In order: ``name``, ``k`` (which of the system's events), ``t``, ``before``, ``after``, ``rate`` =
        dg/dt just before, and the ``mode`` after it.
    stats : Stats
        ``accepted`` and ``rejected`` steps, ``evaluations`` of f.
    segments : list of Segment
        Between events: ``mode``, start (``t``, ``y``), ``ends`` and ``states`` of whole steps.
    """

    t: np.ndarray
    y: np.ndarray
    events: tuple[Happened, ...] = field(repr=False)
    stats: Stats
    segments: list[Segment] = field(repr=False)
    model: Model = field(repr=False)
    resolution: float = field(repr=False)

    def times(self, name: str | None = None) -> np.ndarray:
        """Times of all events, or of those of one name."""
        if name is not None and name not in self.model.names:
            raise UnavailableError(f"no event is called {name!r}; there are {', '.join(self.model.names)}")
        return np.array([e.t for e in self.events if name in (None, e.name)])

    @property
    def outcome(self) -> Outcome:
        """What a loss reads."""
        shape = (0, *self.y.shape[1:])
        before = np.stack([e.before for e in self.events]) if self.events else np.zeros(shape)
        after = np.stack([e.after for e in self.events]) if self.events else np.zeros(shape)
        return Outcome(self.y, self.times(), before, after)

    @property
    def end(self) -> tuple[float, np.ndarray]:
        """(time, state) at which the run ended: of a terminal event, just after it."""
        last = self.segments[-1]
        return last.last if last.event is None else (last.event.t, last.event.after)

    # -- the graph ---------------------------------------------------------------------------------------

    def layout(self, loss: Callable | None = None) -> Layout:
        """The run as a graph, with where things are in it."""
        found = lay_out(self.model, self.segments, self.t, self.resolution)
        if loss is not None:
            attach_loss(found, loss)
        return found

    def graph(self, loss: Callable | None = None) -> FactorGraph:
        """The run as a :class:`msgpass.FactorGraph`, the order of its events held."""
        return self.layout(loss).graph

    def messages(self, loss: Callable, **options) -> Messages:
        """``msgpass.run`` of the graph with ``loss(outcome)`` on it."""
        return run(self.graph(loss), **options)

    def gradient(self, loss: Callable, **options) -> HybridGradient:
        """Gradient of ``loss(outcome)``, exact for the numbers that the steps compute.

        Parameters
        ----------
        loss : callable
            Of an :class:`Outcome` (``states``, ``times``, ``before``, ``after``) → one number, in NumPy.
        **options
            For :func:`msgpass.run`.

        Notes
        -----
        Which events come, in which order, and where whole steps end, is held. Where two
        events change places, or one is only just touched, the solution itself is not differentiable.
        """
        layout = self.layout(loss)
        return gradient_of(self, layout, run(layout.graph, **options))

    def saltation(self, i: int) -> np.ndarray:
        """How a small change of the state just before the i-th event is one just after it.

        S = J_y + (f⁺ − J_y f⁻ − J_t) g_yᵀ / (g_t + g_yᵀ f⁻)

        Returns
        -------
        ndarray (n, n)
            Of the numbers of the state in a row; co-states go through its transpose.
        """
        if not -len(self.events) <= i < len(self.events):
            raise UnavailableError(f"there is no event {i}; the run has {len(self.events)}, counted from 0")
        event, model = self.events[i], self.model
        i %= len(self.events)
        n, t = event.before.size, event.t
        f_before = np.asarray(model.rate(self.segments[i].mode)(t, event.before)).ravel()
        f_after = np.asarray(model.rate(event.mode)(t, event.after)).ravel()
        slope = model.surfaces[event.k].gradient(t, event.before, model.arrays)
        jump, J, J_t = model.jumps[event.k], np.eye(n), np.zeros(n)
        if jump.field is not None:
            for j in range(n):
                unit = np.zeros(n)
                unit[j] = 1.0
                t_bar, y_bar, *_ = pulled(
                    jump.field, t, event.before, model.arrays, unit.reshape(event.before.shape)
                )
                J[j], J_t[j] = y_bar.ravel(), t_bar
        return J + np.outer(f_after - J @ f_before - J_t, slope.y.ravel()) / event.rate

    # -- values between ----------------------------------------------------------------------------------

    def at(self, t) -> np.ndarray:
        """States at any times of the run, by a step from the last whole one; at an event, just after it.

        Parameters
        ----------
        t : float or array (M,)
        """
        times = np.atleast_1d(np.asarray(t, float))
        if times.ndim > 1:
            raise ShapeError(f"t is a time or an array of times (M,), got shape {np.shape(t)}")
        low, high = self.t[0], self.end[0]
        if not ((times >= low - self.resolution) & (times <= high + self.resolution)).all():
            raise DataError(f"t = {t} lies outside the run, {low:g} to {high:g}")
        begins = np.array([s.t for s in self.segments])
        found = np.empty((len(times), *self.y.shape[1:]))
        for m, time in enumerate(times):
            i = max(0, int(np.searchsorted(begins, time, side="right")) - 1)
            found[m] = self._within(self.segments[i], float(time))
        return found if np.ndim(t) else found[0]

    def _within(self, segment: Segment, time: float) -> np.ndarray:
        if segment.event is not None and time >= segment.event.t and segment is self.segments[-1]:
            return segment.event.after
        ends = [segment.t, *segment.ends]
        k = max(0, int(np.searchsorted(ends, time, side="right")) - 1)
        y = segment.y if k == 0 else segment.states[k - 1]
        h = time - ends[k]
        if abs(h) <= self.resolution:
            return y
        return np.asarray(self.model.step(segment.mode)(y, ends[k], h, self.model.params))

    @cached_property
    def _fine(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """A smooth curve a segment, from just after one event to just before the next."""
        found, span = [], self.end[0] - self.t[0]
        for segment in self.segments:
            end = segment.event.t if segment.event is not None else segment.last[0]
            times = np.linspace(
                segment.t, end, max(3, int(400 * (end - segment.t) / span) + 2) if span else 3
            )
            states = [self._within(segment, float(s)) for s in times[:-1]]
            states.append(segment.event.before if segment.event is not None else segment.last[1])
            found.append((times, np.stack(states)))
        return found

    def plot(self, ax=None, names=None):
        """Every number of the state over time, with its jumps; returns the axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
        names : list of str, optional
        """
        from rnn.ode.events.plot import plot_curves

        return plot_curves(self._fine, self.times(), ax, names, "y")

    def __repr__(self) -> str:
        count: dict[str, Any] = {}
        for e in self.events:
            count[e.name] = count.get(e.name, 0) + 1
        told = ", ".join(f"{n} {name}" for name, n in count.items()) or "none"
        return (
            f"HybridSolution({self.model.tableau.name}, t = {self.t[0]:g} … {self.end[0]:g}, "
            f"{len(self.t)} saves of {self.y.shape[1:]}; events: {told}; {self.stats.accepted} steps)"
        )
