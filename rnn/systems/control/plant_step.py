"""The plant as a step of a graph, δ(x_{t+1} − f(x_t, u_t, t, θ)): the one place where that step is made.

Where the plant's function can be traced, forward and backward sweep are compiled once enough work has come
by. Several starts under the same controls are a leading axis of the state, (S, n); one step moves them all.
"""

from __future__ import annotations

import numpy as np

from msgpass import Step
from msgpass.errors import ShapeError
from rnn.systems.control import derivatives
from rnn.systems.control.plant import Plant


def plant_step(plant: Plant, lanes: int | None = None) -> Step:
    """Of rows x (N, n), or (N, S, n) with S lanes, u (N, m), t (N,) and the plant's parameters."""
    name, n = f"plant {plant.name!r}", plant.states

    def forward(x, u, t, *values):
        t = getattr(t, "_value", t)  # autograd boxes all that is real; step numbers are for looking up
        rows = in_rows(x, u, t, lanes)
        found = derivatives.guarded(name, plant.valued, *rows, *values)
        shape = getattr(found, "shape", ())  # np.shape would be traced
        if shape != rows[0].shape:
            raise ShapeError(wrong_shape(plant, shape, rows[0].shape))
        return found if lanes is None else found.reshape(x.shape)

    def backward(inputs, cotangent):
        x, u, t, *values = inputs
        rows = in_rows(x, u, t, lanes)
        pulled, shared = plant.pulled_apart(*rows, np.reshape(cotangent, (-1, n)), *values)
        at_u = pulled[:, n:] if lanes is None else pulled[:, n:].reshape(len(x), lanes, -1).sum(axis=1)
        return pulled[:, :n].reshape(np.shape(x)), at_u, None, *shared

    return Step(forward, None if plant.vjp is None else backward, vectorized=True, kernel="auto")


def in_rows(x, u, t, lanes: int | None):
    """x (N·S, n), u (N·S, m), t (N·S,) with one row for every step and lane."""
    if lanes is None:
        return x, u, t
    return x.reshape(-1, x.shape[-1]), np.repeat(u, lanes, axis=0), np.repeat(t, lanes)


def wrong_shape(plant: Plant, found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """What is said where a plant returns something else than states."""
    return (
        f"plant {plant.name!r} returned shape {found} for states of shape {wanted}; it maps (x, u) to the "
        "next state" + ("" if plant.vectorized else ", one step at a time as vectorized is False")
    )
