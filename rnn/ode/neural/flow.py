"""``flow``: some equal solver steps over an interval, as one factor (y, t, Δt, θ…) → y(t + Δt).

It is straight-line code over rows: y (…, B, D), t and Δt (…, B, 1), so that each row has its own times, and
all intervals are differentiated in one call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass import Step
from msgpass.errors import UnsupportedError
from msgpass.sweeps.recurrence import LINEARISED_STATE
from rnn.ode.field import Field
from rnn.ode.implicit import reversed_step
from rnn.ode.steps import tableau_of
from rnn.ode.tableau import Tableau


def explicit(method) -> Tableau:
    """A method by name, refused where its stages are equations."""
    tableau = tableau_of(method)
    if tableau.implicit:
        raise UnsupportedError(
            f"{tableau.name} is implicit; a network takes an explicit method, such as 'rk4', and "
            f"net.solve(y0, t, method={tableau.name!r}) integrates it by this one"
        )
    return tableau


LINEARISED = 12
"""Numbers a state up to which the engine may linearise all steps at once, a VJP of all of them a number: with
two numbers that takes half the time of one VJP a step, with 20 about as much, with 60 four times as much."""


def flow(tableau: Tableau, field: Field, count: int = 1, size: int = 0) -> Step:
    """``count`` steps of a state of ``size`` numbers in all. Where the factors of this room are made."""
    many = not LINEARISED < size <= LINEARISED_STATE  # beyond it the engine goes step by step anyway
    one = reversed_step(tableau, field)
    pull: Any = one.vjp
    if count == 1:
        return Step(one.f, pull, vectorized=many)

    def starts(y, t, dt, arrays):
        h, found = dt / count, [y]
        for i in range(count - 1):
            found.append(one.f(found[-1], t + i * h, h, *arrays))
        return h, found

    def steps(y, t, dt, *arrays):
        h, found = starts(y, t, dt, arrays)
        return one.f(found[-1], t + (count - 1) * h, h, *arrays)

    def vjp(inputs, cotangent):
        y, t, dt, *arrays = inputs
        h, found = starts(y, t, dt, arrays)
        at_t, at_dt = np.zeros_like(t), np.zeros_like(dt)
        at_arrays: list = [0.0] * len(arrays)
        for i in reversed(range(count)):
            cotangent, t_bar, h_bar, *bars = pull((found[i], t + i * h, h, *arrays), cotangent)
            at_t = at_t + t_bar
            at_dt = at_dt + (h_bar + i * t_bar) / count
            at_arrays = [a + b for a, b in zip(at_arrays, bars, strict=True)]
        return cotangent, at_t, at_dt, *at_arrays

    steps.__name__ = f"{count}_{tableau.name}"
    return Step(steps, vjp, vectorized=many)
