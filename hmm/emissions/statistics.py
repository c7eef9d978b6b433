"""Sums over data that an M-step needs, so that batches add up and old ones fade.

A :class:`Statistics` is a few named parts, each with one row a state. Parts add up in a way of their own:
moments around their own mean are merged pair by pair (Chan, Golub & LeVeque 1983), least squares keep the
triangular factor of their weighted rows and never its square, counts keep a weight for each distinct value.
So nothing cancels where data lie far from zero. ``2.0 * statistics`` is what the same data would give twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, cast

import numpy as np

from hmm.simplex import NEGLIGIBLE
from msgpass.errors import DataError, UnsupportedError

Factor = float | np.ndarray
"""A number, or one for each state, (K,)."""

MOST_VALUES = 100_000
"""Distinct counts that a histogram keeps."""


class Part(ABC):
    """One statistic: a frozen dataclass of arrays with a row a state."""

    @abstractmethod
    def __add__(self, other: Self) -> Self:
        """That of both data sets together."""

    @abstractmethod
    def scaled(self, factor: Factor) -> Self:
        """That of data which count ``factor`` times."""

    def states(self, rows: np.ndarray) -> Self:
        """Its rows, in an order; a row may come more than once."""
        return type(self)(*(array[rows] for array in self.arrays().values()))

    def pooled(self, groups: np.ndarray) -> Self:
        """Each state's replaced by the mean over its group."""
        members = [np.flatnonzero(groups == group) for group in groups]
        sizes = np.array([len(own) for own in members])
        total = self.states(np.array([own[0] for own in members])).scaled(1 / sizes)
        for r in range(1, int(sizes.max())):
            rows = np.array([own[min(r, len(own) - 1)] for own in members])
            total = total + self.states(rows).scaled(np.where(sizes > r, 1 / sizes, 0.0))
        return total

    def arrays(self) -> dict[str, np.ndarray]:
        """Its arrays by name."""
        return {f.name: getattr(self, f.name) for f in fields(cast(Any, self))}


@dataclass(frozen=True, eq=False)
class Sums(Part):
    """Σ_t w_tk f(x_t), (K, …)."""

    values: np.ndarray

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.values + other.values)

    def scaled(self, factor: Factor) -> Sums:
        return Sums(self.values * _like(factor, self.values))


@dataclass(frozen=True, eq=False)
class Moments(Part):
    """Mass Σ w, mean Σ w x / Σ w and scatter Σ w (x − mean)² or Σ w (x − mean)(x − mean)ᵀ.

    All three (K, …, D), or mass (K, …), mean (K, …, D) and scatter (K, …, D, D). Where there is no mass the
    mean is any number.

    >>> one, two = (Moments.of(np.array(x), np.ones((1, 2))) for x in ([0.0, 2.0], [10.0, 10.0]))
    >>> both = one + two
    >>> both.mass.item(), both.mean.item(), both.scatter.item()
    (4.0, 5.5, 83.0)
    """

    mass: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray

    @classmethod
    def of(cls, x: np.ndarray, weights: np.ndarray) -> Moments:
        """Of numbers (n,) under weights (K, n), all (K,)."""
        mass = weights.sum(axis=1)
        mean = weights @ x / np.where(mass > NEGLIGIBLE, mass, 1)
        return cls(mass, mean, np.einsum("kn,kn->k", weights, (x - mean[:, None]) ** 2))

    @property
    def matrices(self) -> bool:
        """Whether scatter holds matrices."""
        return self.scatter.ndim > self.mean.ndim

    def _spread(self, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A mass in the shape of mean, and in that of scatter."""
        return (mass[..., None], mass[..., None, None]) if self.matrices else (mass, mass)

    def about(self, centre: np.ndarray) -> np.ndarray:
        """Scatter around another point."""
        return self.scatter + self._spread(self.mass)[1] * self._square(self.mean - centre)

    def _square(self, gap: np.ndarray) -> np.ndarray:
        return gap[..., :, None] * gap[..., None, :] if self.matrices else gap**2

    def __add__(self, other: Moments) -> Moments:
        mass = self.mass + other.mass
        share = other.mass / np.where(mass > 0, mass, 1)
        gap = other.mean - self.mean
        mean = np.where(self._spread(self.mass)[0] > 0, self.mean + self._spread(share)[0] * gap, other.mean)
        between = self._spread(self.mass * share)[1] * self._square(gap)
        return Moments(mass, mean, self.scatter + other.scatter + between)

    def scaled(self, factor: Factor) -> Moments:
        mass = self.mass * _like(factor, self.mass)
        return Moments(mass, self.mean, self.scatter * _like(factor, self.scatter))


@dataclass(frozen=True, eq=False)
class Histogram(Part):
    """Weights (K, n) of distinct values (n,), in rising order."""

    values: np.ndarray
    weights: np.ndarray

    def __add__(self, other: Histogram) -> Histogram:
        values = np.union1d(self.values, other.values)
        if len(values) > MOST_VALUES:
            raise UnsupportedError(
                f"the data hold more than {MOST_VALUES} distinct counts, too many to keep a weight for each; "
                "call fit on all data"
            )
        weights = np.zeros((len(self.weights), len(values)))
        for one in (self, other):
            weights[:, np.searchsorted(values, one.values)] += one.weights
        return Histogram(values, weights)

    def scaled(self, factor: Factor) -> Histogram:
        return Histogram(self.values, self.weights * _like(factor, self.weights))

    def states(self, rows: np.ndarray) -> Histogram:
        return Histogram(self.values, self.weights[rows])


@dataclass(frozen=True, eq=False)
class Triangle(Part):
    """R of the QR factorisation of rows √w_tk·a_t, (K, …, n, n): ‖R v‖² = Σ_t w_tk (a_t · v)²."""

    factor: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, weights: np.ndarray) -> Triangle:
        """Of rows (T, n) under weights (K, T)."""
        n = rows.shape[1]
        factors = np.zeros((len(weights), n, n))
        for k, own in enumerate(weights):
            found = np.linalg.qr(np.sqrt(own)[:, None] * rows, mode="r")
            factors[k, : len(found)] = found
        return cls(factors)

    def __add__(self, other: Triangle) -> Triangle:
        rows = np.concatenate([self.factor, other.factor], axis=-2)
        return Triangle(np.asarray(np.linalg.qr(rows, mode="r")))

    def scaled(self, factor: Factor) -> Triangle:
        return Triangle(self.factor * np.sqrt(_like(factor, self.factor)))


@dataclass(frozen=True, eq=False)
class Spread(Part):
    """Number, mean, scatter and largest absolute value of all that is observed in columns, (D,) each,
    whatever the state. Floors are relative to it."""

    count: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray
    largest: np.ndarray

    @classmethod
    def of(cls, X: np.ndarray) -> Spread:
        """Of the columns of (T, D), NaN left out."""
        columns = np.ascontiguousarray(X.T, np.float64)  # sums over short rows are ten times as slow
        seen = ~np.isnan(columns)
        count = np.count_nonzero(seen, axis=1)
        whole = count.min(initial=len(X)) == len(X)
        filled = columns if whole else np.where(seen, columns, 0.0)
        mean = filled.sum(axis=1) / np.maximum(count, 1)
        gaps = filled - mean[:, None]
        scatter = np.square(gaps if whole else np.where(seen, gaps, 0.0)).sum(axis=1)
        largest = np.maximum(filled.max(axis=1, initial=0.0), -filled.min(axis=1, initial=0.0))
        return cls(count.astype(np.float64), mean, scatter, largest)

    @property
    def variance(self) -> np.ndarray:
        """(D,)."""
        return self.scatter / np.where(self.count > 0, self.count, 1)

    @property
    def rounding(self) -> np.ndarray:
        """A standard deviation below which numbers are one value, (D,)."""
        return 1e3 * np.finfo(float).eps * self.largest

    def __add__(self, other: Spread) -> Spread:
        both = Moments(self.count, self.mean, self.scatter) + Moments(other.count, other.mean, other.scatter)
        return Spread(both.mass, both.mean, both.scatter, np.maximum(self.largest, other.largest))

    def scaled(self, factor: Factor) -> Spread:
        return Spread(self.count * factor, self.mean, self.scatter * factor, self.largest)

    def states(self, rows: np.ndarray) -> Spread:
        return self

    def pooled(self, groups: np.ndarray) -> Spread:
        return self


KINDS: dict[str, type[Part]] = {c.__name__: c for c in (Sums, Moments, Histogram, Triangle, Spread)}


@dataclass(frozen=True, eq=False)
class Statistics:
    """Parts by name.

    Examples
    --------
    >>> batches = [
    ...     Statistics({"n": Sums(np.array([1.0, 2.0]))}),
    ...     Statistics({"n": Sums(np.array([3.0, 0.0]))}),
    ... ]
    >>> (0.5 * (batches[0] + batches[1]))["n"].values
    array([2., 1.])
    """

    parts: Mapping[str, Part]

    def __getitem__(self, name: str) -> Any:
        return self.parts[name]

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics({name: part + other.parts[name] for name, part in self.parts.items()})

    def __mul__(self, factor: float) -> Statistics:
        return Statistics({name: part.scaled(factor) for name, part in self.parts.items()})

    __rmul__ = __mul__

    def states(self, rows: np.ndarray) -> Statistics:
        """Those of some states, in an order."""
        return Statistics({name: part.states(rows) for name, part in self.parts.items()})

    def pooled(self, groups: np.ndarray) -> Statistics:
        """Those of each state replaced by the mean over its group, (K,) of labels."""
        return Statistics({name: part.pooled(groups) for name, part in self.parts.items()})

    def under(self, prefix: str) -> Statistics:
        """The parts whose names begin so, without it."""
        n = len(prefix)
        return Statistics({name[n:]: part for name, part in self.parts.items() if name.startswith(prefix)})

    @staticmethod
    def joined(prefixed: Mapping[str, Statistics]) -> Statistics:
        """The inverse of ``under``, for all prefixes."""
        return Statistics({a + b: part for a, own in prefixed.items() for b, part in own.parts.items()})

    @staticmethod
    def stacked(rows: Sequence[Statistics]) -> Statistics:
        """Statistics of one kind as one with an axis more in front."""
        made: dict[str, Part] = {}
        for name, part in rows[0].parts.items():
            each = [row.parts[name].arrays() for row in rows]
            made[name] = type(part)(*(np.stack([own[field] for own in each]) for field in each[0]))
        return Statistics(made)

    def row(self, k: int) -> Statistics:
        """The inverse of ``stacked``, for one row."""
        return Statistics(
            {n: type(p)(*(array[k] for array in p.arrays().values())) for n, p in self.parts.items()}
        )

    def plain(self) -> dict[str, dict[str, Any]]:
        """Strings and arrays."""
        return {name: {"kind": type(part).__name__, **part.arrays()} for name, part in self.parts.items()}

    @staticmethod
    def of_plain(plain: Mapping[str, Mapping[str, Any]]) -> Statistics:
        """The inverse of ``plain``."""
        made = {}
        for name, own in plain.items():
            if own.get("kind") not in KINDS:
                raise DataError(f"{name} is no statistic: {own.get('kind')!r}")
            made[name] = KINDS[own["kind"]](
                **{field: np.asarray(v) for field, v in own.items() if field != "kind"}
            )
        return Statistics(made)


def _like(factor: Factor, array: np.ndarray) -> Factor:
    """One factor a row of ``array``."""
    return np.reshape(factor, (-1, *(1,) * (array.ndim - 1))) if np.ndim(factor) else factor
