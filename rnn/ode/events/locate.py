"""Where within a step g becomes zero, as a factor: (y, t, θ) → t*.

The last step to an event has the length h* at which

    G(h, y, t, θ) = g(t + h, Φ(y, t, h, θ), θ) = 0

with Φ the solver's own step, taken anew for every h that is tried. So t* = t + h* is a function of what comes
before it, and by the implicit function theorem, with D = ∂G/∂h = g_t + g_y·Φ_h,

    t̄ += τ̄,     (ȳ, t̄, θ̄) −= τ̄/D · ∂G/∂(y, t, θ)

where τ̄ is what arrives at t*: from the step that lands there, from the jump, and from the first step after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from msgpass import Step
from rnn.ode.events.errors import GrazingError, NoEventError
from rnn.ode.events.surface import Surface
from rnn.ode.steps import SolverStep

WIDENINGS = 48  # each twice as wide, from the resolution of time on
HALVINGS = 60
BISECTIONS = 5000  # that Brent's method may need of a surface that is touched
RELATIVE = 4 * float(np.finfo(float).eps)
GRAZING = 1e-6
"""Of the mean slope of g in its bracket: below it the event time is ill conditioned."""


@dataclass(frozen=True)
class Bracket:
    """Step lengths between which g leaves ``side``; with other values it is looked for up to ``reach``."""

    low: float
    high: float
    side: int
    reach: float = 0.0

    def root(self, g: Callable, resolution: float) -> float | None:
        """h*, by Brent's method; None where the ends do not lie on the two sides."""
        low, high = g(self.low) * self.side, g(self.high) * self.side
        if high == 0.0:
            return self._first_zero(g, resolution)
        if low <= 0.0 or high > 0.0:
            return None
        from scipy.optimize import brentq

        return float(brentq(g, self.low, self.high, xtol=resolution, rtol=RELATIVE, maxiter=BISECTIONS))

    def _first_zero(self, g: Callable, resolution: float) -> float:
        """Where a g that is zero at ``high`` leaves its side: it may stay zero."""
        low, high = self.low, self.high
        while high - low > max(resolution, RELATIVE * abs(high)):
            middle = 0.5 * (low + high)
            if g(middle) * self.side > 0.0:
                low = middle
            else:
                high = middle
        return high

    def grazed(self, g: Callable, rate: float) -> bool:
        """Whether dg/dt = ``rate`` at the root is nothing beside the slope on the way there."""
        slope = (g(self.high) - g(self.low)) / (self.high - self.low)
        return abs(rate) <= GRAZING * abs(slope)

    def moved(self, k: int) -> Bracket:
        """Wider, and still after the start if it was."""
        width = (self.high - self.low) * 2.0**k
        low = self.low / 2.0**k if self.low > 0 else max(self.low - width, min(self.low, -self.reach))
        return replace(self, low=low, high=min(self.high + width, max(self.high, self.reach)))


def residual(step: SolverStep, surface: Surface, y, t, params, arrays) -> Callable:
    """h ↦ G(h)."""
    rate = step.rate(params)

    def g(h: float) -> float:
        state = step.stages(y, t, h, rate=rate)[0] if h else y
        return surface(t + h, state, arrays)

    return g


def solve(g: Callable, bracket: Bracket, t: float, name: str) -> float:
    """h*, in the bracket or near it."""
    resolution = max(np.spacing(abs(t)) / 4, 1e-300)
    found = bracket.root(g, resolution)
    for k in range(WIDENINGS):
        if found is not None:
            return found
        found = bracket.moved(k).root(g, resolution)
    raise NoEventError(
        f"event {name!r} does not come near t = {t + bracket.high:g} with these values: the order of events "
        "is another one. Solve anew, for a graph holds the order that its run had",
        t,
        name,
    )


class Locate:
    """The factor of one event that happened."""

    def __init__(self, step: SolverStep, potential: Step, surface: Surface, bracket: Bracket, user: Callable):
        self.step, self.potential, self.surface, self.bracket = step, potential, surface, bracket
        self.user = user  # arrays → params

    def __call__(self, y, t, *arrays):
        """t*."""
        t = float(t)
        g = residual(self.step, self.surface, y, t, self.user(arrays), arrays)
        return np.asarray(t + solve(g, self.bracket, t, self.surface.name))

    def _slopes(self, y, t, arrays):
        """∂G/∂(y, t, θ) with h held, and D."""
        from msgpass.interop.differentiators import autograd_vjp

        t = np.asarray(t, float)
        inputs = (y, t, self(y, t, *arrays) - t, *arrays)
        end = t + inputs[2]
        state = self.potential.f(*inputs)
        slope = self.surface.gradient(end, state, arrays)
        if self.potential.vjp is not None:
            found = self.potential.vjp(inputs, slope.y)
        else:
            found = autograd_vjp(self.potential.f, inputs, list(range(len(inputs))))[1](slope.y)
        y_bar, t_bar, h_bar, *rest = (
            np.zeros_like(x) if v is None else np.asarray(v) for x, v in zip(inputs, found, strict=True)
        )
        D = float(slope.t + h_bar)
        g = residual(self.step, self.surface, y, float(t), self.user(arrays), arrays)
        if self.bracket.grazed(g, D):
            raise GrazingError(
                f"event {self.surface.name!r}: at t = {float(end):g} the path touches the surface g = 0 "
                f"without crossing it (dg/dt = {D:.3g}), so that the event's time has no derivative",
                float(end),
                self.surface.name,
            )
        return y_bar, t_bar + slope.t, [a + b for a, b in zip(rest, slope.arrays, strict=True)], D

    def vjp(self, inputs, cotangent):
        """By the implicit function theorem."""
        y, t, *arrays = inputs
        y_bar, t_bar, rest, D = self._slopes(y, t, arrays)
        scale = -np.asarray(cotangent) / D
        return (scale * y_bar, cotangent + scale * t_bar, *(scale * a for a in rest))
