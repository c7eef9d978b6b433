"""``Grid``: where the steps go, and where among them the save times lie.

With saves by steps every save time is the end of a step. A change of a save time then moves the steps beside
it in proportion: a step's place between its two save times is held. With dense saves the steps run from the
first time to the last, and a save time is a place θ within a step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from msgpass.errors import DataError, ShapeError
from rnn.ode.parameters import real

ROUND = 1e-9  # part of a step that a fixed step may be longer, so that 0.3 / 0.1 are three steps


@dataclass(frozen=True)
class Grid:
    """Step ends ``times`` (N + 1,) and save times ``t`` (S,).

    ``at`` (S,) is the step that a save lies in, ``theta`` (S,) its place there; by steps, save i is the
    state ``at[i]`` itself, of N + 1.
    """

    times: np.ndarray
    t: np.ndarray
    at: np.ndarray
    theta: np.ndarray | None

    @property
    def steps(self) -> int:
        """N."""
        return len(self.times) - 1

    @property
    def dense(self) -> bool:
        """Saves lie within steps."""
        return self.theta is not None

    @classmethod
    def of(cls, times: np.ndarray, t: np.ndarray, dense: bool) -> Grid:
        """Save times put among step ends."""
        sign = 1.0 if t[-1] > t[0] else -1.0
        if not dense:
            at = np.searchsorted(sign * times, sign * t)
            at = np.minimum(at, len(times) - 1)
            if not np.array_equal(times[at], t):
                missing = t[times[at] != t][0]
                raise DataError(
                    f"grid has no step end at the save time {missing:g}; add it, or use saves='dense'"
                )
            return cls(times, t, at, None)
        at, theta = locate(times, t)
        return cls(times, t, at, theta)

    @classmethod
    def fixed(cls, t: np.ndarray, step: float | None, dense: bool) -> Grid:
        """Steps of (at most) ``step``, equal between save times; None: one step between two save times."""
        ends = t[[0, -1]] if dense else t
        parts = [ends[:1]]
        for a, b in pairwise(ends):
            n = 1 if step is None else max(1, int(np.ceil(abs(b - a) / step * (1 - ROUND))))
            parts.append(a + (b - a) * np.arange(1, n + 1) / n)
            parts[-1][-1] = b
        return cls.of(np.concatenate(parts), t, dense)

    def moved(self, gradient_t: np.ndarray, gradient_h: np.ndarray) -> np.ndarray:
        """∂/∂(save times), from ∂/∂(t, h) of every step; by steps only."""
        ends = np.zeros(len(self.times))
        ends[:-1] += gradient_t - gradient_h
        ends[1:] += gradient_h
        found = np.zeros(len(self.t))
        found[0] = ends[0]
        for i, (a, b) in enumerate(zip(self.at[:-1], self.at[1:], strict=True)):
            span = self.t[i + 1] - self.t[i]
            place = (self.times[a + 1 : b + 1] - self.t[i]) / span
            found[i] += ((1 - place) * ends[a + 1 : b + 1]).sum()
            found[i + 1] += (place * ends[a + 1 : b + 1]).sum()
        return found

    def at_times(self, t: np.ndarray) -> Grid:
        """The same places between other save times."""
        times = np.interp(np.arange(len(self.times)), self.at, t)
        for i, (a, b) in enumerate(zip(self.at[:-1], self.at[1:], strict=True)):
            place = (self.times[a : b + 1] - self.t[i]) / (self.t[i + 1] - self.t[i])
            times[a : b + 1] = t[i] + place * (t[i + 1] - t[i])
        times[self.at] = t
        return replace(self, times=times, t=t)


def locate(times: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(step, place θ within it) of times."""
    sign = 1.0 if times[-1] >= times[0] else -1.0
    at = np.clip(np.searchsorted(sign * times, sign * t, side="left") - 1, 0, len(times) - 2)
    return at, (t - times[at]) / (times[at + 1] - times[at])


def check_times(t) -> np.ndarray:
    """At least two times, strictly increasing or strictly decreasing."""
    array = real("t", t, float)
    if array.ndim != 1 or len(array) < 2:
        raise ShapeError(
            f"t is an array of times, from the start's on, at least two; got shape {array.shape}"
        )
    steps = np.diff(array)
    if not ((steps > 0).all() or (steps < 0).all()):
        sign = np.sign(steps[np.flatnonzero(steps)[0]]) if steps.any() else 1.0
        k = int(np.flatnonzero(steps * sign <= 0)[0])
        raise DataError(
            f"t must be strictly increasing or strictly decreasing, but t[{k}] = {array[k]:g} is followed by "
            f"t[{k + 1}] = {array[k + 1]:g}; sort the times and take each once"
        )
    return array


def check_grid(grid, t: np.ndarray, dense: bool) -> Grid:
    """A grid of the user's."""
    times = check_times(grid)
    if times[0] != t[0] or times[-1] != t[-1]:
        raise DataError(
            f"grid must run from t[0] = {t[0]:g} to t[-1] = {t[-1]:g}, got {times[0]:g} to {times[-1]:g}"
        )
    return Grid.of(times, t, dense)
