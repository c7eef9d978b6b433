"""Single numbers: real, on the circle, above zero, between 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from hmm.coordinates.base import Domain

AT_END = 1e-6
"""Relative distance from a bound within which a number counts as being at it."""


class Number(Domain):
    """Base of domains that treat every entry alike and alone: u = ``link(v)``, v = ``unlink(u)``."""

    def link(self, value: np.ndarray) -> np.ndarray:
        """Coordinates, for entries that are free."""
        return value

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        """Values."""
        return coordinates

    def rate(self, value: np.ndarray) -> np.ndarray:
        """dv/du."""
        return np.ones(value.shape)

    def inside(self, value: np.ndarray) -> np.ndarray:
        """Where a coordinate is finite."""
        return np.ones(value.shape, bool)

    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        return self.inside(like) & ~held

    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.where(self.free(like, held), self.link(value), 0.0)

    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.where(self.free(like, held), self.unlink(coordinates, like), like)

    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        return np.where(self.free(like, held), slope * self.rate(value), 0.0)


@dataclass(frozen=True, eq=False)
class Real(Number):
    """Any number; its coordinate is in ``unit``, a number or an array that broadcasts to the field."""

    unit: float | np.ndarray = 1.0
    by_state: bool = True

    def link(self, value: np.ndarray) -> np.ndarray:
        return value / self.unit

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        return coordinates * self.unit

    def rate(self, value: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.unit, value.shape)


@dataclass(frozen=True, eq=False)
class Circular(Number):
    """An angle, in radians; values lie in [−π, π), intervals go on beyond."""

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        turned = np.mod(coordinates + np.pi, 2 * np.pi) - np.pi
        return np.where(np.abs(coordinates) <= np.pi, coordinates, turned)


@dataclass(frozen=True, eq=False)
class Positive(Number):
    """A number above zero, u = log v; one below zero keeps its sign.

    Parameters
    ----------
    low, high : float or array that broadcasts to the field
        Bounds that an estimate keeps to.
    least : float
        Below it an estimate counts as zero: at the edge.
    told : float or array that broadcasts to the field
        Information of one observation about log v.

    Examples
    --------
    >>> v, held = np.array([1.0, 0.0]), np.zeros(2, bool)
    >>> Positive().free(v, held), Positive().inward(np.array([2.0, 0.0]), v, held).round(2)
    (array([ True, False]), array([7.39, 0.  ]))
    """

    low: float | np.ndarray = 0.0
    high: float | np.ndarray = np.inf
    least: float = 0.0
    told: float | np.ndarray = 1.0
    by_state: bool = True

    def information(self, like: np.ndarray) -> np.ndarray:
        return self.told + np.zeros(like.shape)

    def link(self, value: np.ndarray) -> np.ndarray:
        return np.log(np.abs(value))

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        low, high = self._ends(like)
        return np.sign(like) * np.clip(np.exp(coordinates), low, high)

    def rate(self, value: np.ndarray) -> np.ndarray:
        return value

    def inside(self, value: np.ndarray) -> np.ndarray:
        return value != 0

    def _ends(self, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bounds, wide enough for where one starts."""
        return np.minimum(self.low, np.abs(like)), np.maximum(self.high, np.abs(like))

    def bounds(self, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        low, high = self._ends(like)
        with np.errstate(divide="ignore"):
            return np.log(low + np.zeros(like.shape)), np.log(high + np.zeros(like.shape))

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        size = np.abs(value)
        beyond = (size <= np.multiply(self.low, 1 + AT_END)) | (size >= np.multiply(self.high, 1 - AT_END))
        return beyond | (size < self.least)

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(all="ignore"):
            factor = np.exp(z * error / np.abs(value))
            ends = value / factor, value * factor
        return np.minimum(*ends), np.maximum(*ends)


@dataclass(frozen=True, eq=False)
class Share(Number):
    """A number between 0 and 1, u = log v/(1 − v); 0 and 1 themselves are held."""

    def link(self, value: np.ndarray) -> np.ndarray:
        return logit(value)

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        return expit(coordinates)

    def rate(self, value: np.ndarray) -> np.ndarray:
        return value * (1 - value)

    def inside(self, value: np.ndarray) -> np.ndarray:
        return (value > 0) & (value < 1)

    def information(self, like: np.ndarray) -> np.ndarray:
        return like * (1 - like)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return (value < AT_END) | (value > 1 - AT_END)

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        return on_logit_scale(value, error, z)


def on_logit_scale(value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """An interval of a probability, symmetric on the scale of log v/(1 − v)."""
    with np.errstate(all="ignore"):
        width = z * error / (value * (1 - value))
        return expit(logit(value) - width), expit(logit(value) + width)


@dataclass(frozen=True, eq=False)
class Choice(Number):
    """Numbers of several kinds in one field.

    Parameters
    ----------
    domains : tuple of domains of numbers
    which : array of int, like the field
        Which of them an entry belongs to; −1 is held.
    smooth : bool
        Whether densities are known to have second derivatives.
    """

    domains: tuple[Number, ...]
    which: np.ndarray
    smooth: bool = True

    def _chosen(self, arrays: list[np.ndarray], otherwise: np.ndarray) -> np.ndarray:
        cases = [self.which == i for i in range(len(arrays))]
        return np.select(cases, arrays, otherwise)

    def link(self, value: np.ndarray) -> np.ndarray:
        return self._chosen([d.link(value) for d in self.domains], value)

    def unlink(self, coordinates: np.ndarray, like: np.ndarray) -> np.ndarray:
        return self._chosen([d.unlink(coordinates, like) for d in self.domains], like)

    def rate(self, value: np.ndarray) -> np.ndarray:
        return self._chosen([d.rate(value) for d in self.domains], np.zeros(value.shape))

    def inside(self, value: np.ndarray) -> np.ndarray:
        return self._chosen([d.inside(value) for d in self.domains], np.zeros(value.shape, bool))

    def bounds(self, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lows, highs = zip(*(d.bounds(like) for d in self.domains), strict=True)
        return self._chosen(list(lows), like), self._chosen(list(highs), like)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return self._chosen([d.edge(value, slope) for d in self.domains], np.zeros(value.shape, bool))

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        lows, highs = zip(*(d.interval(value, error, z) for d in self.domains), strict=True)
        nothing = np.full(value.shape, np.nan)
        return self._chosen(list(lows), nothing), self._chosen(list(highs), nothing)
