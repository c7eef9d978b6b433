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
from dataclasses import dataclass

import numpy as np

from msgpass import Step
from rnn.ode.events.errors import GrazingError, NoEventError
from rnn.ode.events.surface import Surface
from rnn.ode.steps import SolverStep

WIDENINGS = 24
HALVINGS = 60
FLAT = 1e-13  # of |g_t| + |g_y|·|Φ_h|: less is cancellation


@dataclass(frozen=True)
class Bracket:
    """Step lengths between which g leaves ``side``."""

    low: float
    high: float
    side: int

    def root(self, g: Callable, resolution: float) -> float | None:
        """h*, by Brent's method; None where the ends do not lie on the two sides."""
        low, high = g(self.low) * self.side, g(self.high) * self.side
        if high == 0.0:
            return self.high
        if low <= 0.0 or high > 0.0:
            return None
        from scipy.optimize import brentq

        return float(brentq(g, self.low, self.high, xtol=resolution, rtol=4 * np.finfo(float).eps))

    def moved(self, k: int) -> Bracket:
        """Wider, and still after the start if it was."""
        width = (self.high - self.low) * 2.0**k
        low = self.low / 2.0**k if self.low > 0 else self.low - width
        return Bracket(low, self.high + width, self.side)


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
        if abs(D) <= FLAT * (abs(float(slope.t)) + abs(float(h_bar))) or D == 0.0:
            raise GrazingError(
                f"event {self.surface.name!r}: at t = {float(end):g} the path touches the surface g = 0 "
                "without crossing it (dg/dt = 0), so that the event's time has no derivative",
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

    def jvp(self, inputs, tangents):
        """The same, forward."""
        y, t, *arrays = inputs
        y_bar, t_bar, rest, D = self._slopes(y, t, arrays)
        moved = sum(
            (
                np.asarray(a * v).sum()
                for a, v in zip((y_bar, t_bar, *rest), tangents, strict=True)
                if v is not None
            ),
            start=np.zeros(()),
        )
        own = np.zeros(()) if tangents[1] is None else np.asarray(tangents[1])
        return own - moved / D
