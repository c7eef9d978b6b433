"""``Outcome``: what a loss may read of a hybrid run; and such a loss as a factor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from msgpass import Loss
from msgpass.errors import DataError, ShapeError
from msgpass.interop.differentiators import autograd_vjp
from rnn.ode.events.layout import Layout


class Outcome(NamedTuple):
    """What came out.

    Attributes
    ----------
    states : ndarray (S, *shape)
        At the save times.
    times : ndarray (E,)
        Of the events, in order.
    before, after : ndarray (E, *shape)
        States just before and just after each event.
    """

    states: np.ndarray
    times: np.ndarray
    before: np.ndarray
    after: np.ndarray


def value_and_gradient(loss: Callable, outcome: Outcome) -> tuple[float, Outcome]:
    """By autograd."""
    value, pull = autograd_vjp(lambda *parts: loss(Outcome(*parts)), list(outcome), [0, 1, 2, 3])
    if np.shape(value) != () or np.asarray(value).dtype.kind not in "iuf":
        got = np.asarray(value)
        raise ShapeError(f"loss(outcome) must return one number, got {got.dtype} of shape {got.shape}")
    found = [np.asarray(part) for part in pull(np.ones(()))]
    if not np.isfinite(value) or not all(np.isfinite(part).all() for part in found):
        raise DataError("the loss, or its gradient, is NaN or infinite at the outcome of this run")
    return float(value), Outcome(*found)


def attach_loss(layout: Layout, loss: Callable) -> None:
    """One factor over everything that an outcome reads."""
    if not callable(loss):
        raise DataError(f"loss is a function of an Outcome, got {type(loss).__name__}")
    graph = layout.graph
    nodes: list[Any] = []
    where: dict[str, int] = {}
    for node, row in layout.saved:
        if node.name not in where:
            where[node.name] = len(nodes)
            nodes.append(node if row is None else node.all)
    saves = [(where[node.name], row) for node, row in layout.saved]
    first = len(nodes)
    for parts in layout.events:
        nodes += parts
    count = len(layout.events)
    shape = layout.saved[0][0].shape

    def value_and_grad(*values):
        states = np.stack([values[k] if row is None else values[k][row] for k, row in saves])
        events = [values[first + j :: 3][:count] for j in range(3)]
        times = np.array([float(v) for v in events[0]])
        before, after = (np.stack(e) if count else np.zeros((0, *shape)) for e in events[1:])
        value, slope = value_and_gradient(loss, Outcome(states, times, before, after))
        found = [np.zeros_like(np.asarray(v, float)) for v in values]
        for (k, row), bar in zip(saves, slope.states, strict=True):
            found[k][() if row is None else row] += bar
        for i in range(count):
            for j, part in enumerate((slope.times, slope.before, slope.after)):
                found[first + 3 * i + j][...] = part[i]
        return value, tuple(found)

    graph.factor(Loss(value_and_grad), *nodes, name="loss")
