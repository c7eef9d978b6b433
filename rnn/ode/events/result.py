"""``HybridGradient``: what arrives at the start, the parameters and the event times, and the co-states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from msgpass import Messages
from rnn.ode.events.layout import Layout


@dataclass(frozen=True)
class HybridGradient:
    """What :meth:`HybridSolution.gradient` returns.

    Attributes
    ----------
    loss : float
    y0 : ndarray, like y0
        ∂L/∂y0.
    params : as ``params``
        ∂L/∂params: an array, a dict of arrays, or None.
    t : ndarray (S,)
        ∂L/∂t of every save time, other ends of steps held; t[0] is that of the start.
    times : ndarray (E,)
        ∂L/∂t* of every event with the state at it held: what arrives at the event's time.
    segments : list of (times, costates)
        λ = ∂L/∂(state) along each segment: at its start, at ends of whole steps, and where it ends in an
        event just before that.
    messages : Messages
    """

    loss: float
    y0: np.ndarray
    params: Any
    t: np.ndarray
    times: np.ndarray
    segments: list[tuple[np.ndarray, np.ndarray]] = field(repr=False)
    messages: Messages = field(repr=False)

    def plot(self, ax=None, names=None):
        """Every number of the co-state over time, with its jumps; returns the axes.

        Parameters
        ----------
        ax : matplotlib axes, optional
        names : list of str, optional
        """
        from rnn.ode.events.plot import plot_curves

        starts = [float(times[0]) for times, _ in self.segments[1:]]
        return plot_curves(self.segments, np.array(starts), ax, names, "λ")


def gradient_of(solution, layout: Layout, m: Messages) -> HybridGradient:
    """Read from a run of the layout's graph."""
    model = solution.model
    t = np.array([float(m.gradient[n] if row is None else m.gradient[n][row]) for n, row in layout.ends])
    times = np.array([float(m.gradient[at]) for at, _, _ in layout.events])
    arrays = {name: m.parameters[name] for name in model.values}
    return HybridGradient(
        float(m.total),
        m.parameters["y0"],
        model.packing.user(arrays),
        t,
        times,
        _costates(solution, layout, m),
        m,
    )


def _costates(solution, layout: Layout, m: Messages) -> list[tuple[np.ndarray, np.ndarray]]:
    """Just before an event λ⁻ = λ(y⁻) − λ(t*) g_y / (dg/dt): a moved state moves the event, too."""
    found, model, nodes = [], solution.model, layout.graph.nodes
    for i, segment in enumerate(solution.segments):
        start = m.parameters["y0"] if i == 0 else m.gradient[f"y+ {i - 1}"]
        times, rows = [segment.t], [start]
        if f"saved {i}" in nodes:
            times.append(segment.ends[0])
            rows.append(m.gradient[f"saved {i}"])
        if f"y {i}" in nodes:
            times += segment.ends[len(times) - 1 :]
            rows += list(m.gradient[f"y {i}"])
        if segment.event is not None:
            event = segment.event
            slope = model.surfaces[event.k].gradient(event.t, event.before, model.arrays)
            times.append(event.t)
            rows.append(m.gradient[f"y- {i}"] - m.gradient[f"t* {i}"] * slope.y / event.rate)
        found.append((np.array(times), np.stack(rows)))
    return found
