"""``HybridSystem``: continuous dynamics, events, jumps; and its runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from msgpass import Step
from msgpass.errors import DataError, ShapeError
from rnn.ode.adaptive import Stats, Tolerance
from rnn.ode.controller import Controller
from rnn.ode.events.event import Event
from rnn.ode.events.model import Model
from rnn.ode.events.search import Search
from rnn.ode.events.solution import HybridSolution
from rnn.ode.events.walk import Walk
from rnn.ode.field import rate_at_start
from rnn.ode.grid import check_times
from rnn.ode.parameters import real
from rnn.ode.steps import tableau_of
from rnn.validation import flag, positive


class HybridSystem:
    """dy/dt = f(t, y, params) between events, y⁺ = jump(t, y⁻, params) at them.

    Parameters
    ----------
    f : callable or Step, or a dict of them by mode
        ``f(t, y, params)`` → dy/dt, an array like y; ``f(t, y)`` where params is None.
    events : Event, or a list of them
        Where several come at one time, they are taken in this order.

    Examples
    --------
    >>> ball = HybridSystem(
    ...     lambda t, y, p: np.stack([y[1], -p["g"]]),
    ...     Event(
    ...         lambda t, y, p: y[0], lambda t, y, p: np.stack([y[0], -p["e"] * y[1]]), "down", name="bounce"
    ...     ),
    ... )
    >>> run = ball.solve([5.0, -0.1], [0.0, 1.9], {"g": 10.0, "e": 0.8})
    >>> run.times().round(5), run.y[-1, 0].round(5)
    (array([0.99005]), np.float64(3.13992))
    >>> found = run.gradient(lambda outcome: outcome.states[-1, 0])
    >>> found.y0.round(4), float(found.params["e"].round(4))
    (array([0.8378, 0.1015]), 9.1)
    """

    def __init__(self, f: Callable | Step | Mapping[Hashable, Callable], events: Event | Sequence[Event]):
        fields: dict[Hashable, Any] = dict(f) if isinstance(f, Mapping) else {None: f}
        if not fields:
            raise DataError("HybridSystem: f is an empty dict; give a function for every mode")
        for mode, own in fields.items():
            if not callable(own) and not isinstance(own, Step):
                where = "" if mode is None else f" of mode {mode!r}"
                raise DataError(f"HybridSystem: f{where} must be a function, got {type(own).__name__}")
        self.f = f
        if not isinstance(events, Event | Sequence):
            raise DataError(f"HybridSystem: events are Event objects, got {type(events).__name__}")
        given: tuple[Any, ...] = (events,) if isinstance(events, Event) else tuple(events)
        for event in given:
            if not isinstance(event, Event):
                raise DataError(f"HybridSystem: events are Event objects, got {type(event).__name__}")
        self.events: tuple[Event, ...] = tuple(given)
        names = [e.called(k) for k, e in enumerate(self.events)]
        for k, event in enumerate(self.events):
            if names.index(names[k]) != k:
                raise DataError(f"HybridSystem: two events are called {names[k]!r}; give each a name=")
            for mode in (event.mode, None if callable(event.to) else event.to):
                if mode is not None and mode not in fields:
                    raise DataError(
                        f"event {names[k]!r} names the mode {mode!r}; f has {', '.join(map(repr, fields))}"
                    )

    def solve(
        self,
        y0,
        t,
        params=None,
        method="dopri5",
        *,
        mode: Hashable = None,
        step: float | None = None,
        rtol: float = 1e-8,
        atol=1e-10,
        samples: int = 3,
        max_events: int = 10_000,
        events_at_start: bool = True,
        controller: Controller = Controller(),  # noqa: B008
        first_step: float | None = None,
        min_step: float = 0.0,
        max_step: float = np.inf,
        max_steps: int = 100_000,
    ) -> HybridSolution:
        """Run from t[0] to t[-1], or to a terminal event.

        Parameters
        ----------
        y0 : array
            Of any shape.
        t : array (S,)
            Start, and times at which the state is saved; increasing. A step ends at each.
        params : array or dict of arrays, optional
            Handed to f, g, jump.
        method : str or Tableau
            As for :func:`~rnn.ode.odeint`.
        mode : hashable, optional
            The first mode where f has several; by default the first.
        step : float, optional
            Fixed steps on one grid from t[0]; otherwise by ``rtol`` and ``atol``, or from save to save where
            the method has no error estimate.
        samples : int
            Places within a step at which g is looked at besides its ends, so that one that goes through zero
            and back within a step is seen.
        max_events : int
        events_at_start : bool
            An event happens at t[0] where g = 0 there and the path goes in its direction.

        Returns
        -------
        HybridSolution

        Raises
        ------
        ZenoError, NoEventError, GrazingError, MaxEventsError
            Of events, with the time ``t`` and the event's name.
        BlowUpError, StepSizeError, MaxStepsError
            Of the integration, with the time.
        """
        start = real("y0", y0, float)
        if not start.size:
            raise ShapeError(f"y0 holds no number: its shape is {start.shape}")
        times, tableau = check_times(t), tableau_of(method)
        if times[-1] < times[0]:
            raise DataError("a hybrid run goes forward: t must increase, for a jump has no inverse")
        for name, value, least in (("samples", samples, 0), ("max_events", max_events, 1)):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise DataError(f"{name} is a whole number ≥ {least}, got {value!r}")
        flag("events_at_start", events_at_start)
        step = None if step is None else positive("step", step)
        model = Model(self.f, self.events, params, tableau)
        first = next(iter(model.f)) if mode is None else mode
        if first not in model.f:
            there = ", ".join(map(repr, model.f)) if model.modal else "none: f is one function, not a dict"
            raise DataError(f"no mode is called {mode!r}; there are {there}")
        rate_at_start(model.rate(first), start, float(times[0]))
        tolerance = Tolerance(rtol, atol, controller, first_step, min_step, max_step, max_steps)
        tolerance.check(start)
        walk = Walk(
            float(times[0]), float(times[-1]), float(np.abs(start).max()), tolerance, step, tableau.adaptive
        )
        search = Search(model, times, walk, samples=samples, max_events=max_events, at_start=events_at_start)
        segments = search.run(start, first)
        return _solution(model, segments, times, walk, search.resolution)

    def __repr__(self) -> str:
        modes = f"{len(self.f)} modes, " if isinstance(self.f, Mapping) else ""
        names = ", ".join(e.called(k) for k, e in enumerate(self.events))
        return f"HybridSystem({modes}events: {names or 'none'})"


def _solution(model: Model, segments, times, walk: Walk, resolution: float) -> HybridSolution:
    """What the search found, in order of the saves."""
    rows = {0: segments[0].y}
    for segment in segments:
        rows.update({save: segment.states[row] for save, row in segment.saved.items()})
    reached = sorted(rows)
    stats = Stats(walk.accepted, walk.rejected, model.calls)
    events = tuple(s.event for s in segments if s.event is not None)
    saved = np.stack([rows[k] for k in reached])
    return HybridSolution(times[reached], saved, events, stats, segments, model, resolution)
