"""Emissions whose features are independent given the state: log p(x_t | k) = Σ_d log p(x_td | θ_kd).

Such an emission writes one column's density, slopes, weighted maximum and draws; adding up features, leaving
out missing cells, keeping states without weight, and starting points come from here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

import numpy as np

from hmm.clustering import cluster
from hmm.coordinates import Domain, Positive, Real, Share
from hmm.emissions.base import Emission, weighted
from hmm.emissions.columns import Columns
from hmm.emissions.statistics import Histogram, Part, Spread, Statistics, Sums
from hmm.simplex import NEGLIGIBLE
from hmm.validation import parameter
from msgpass.errors import DataError

Range = tuple[str, Callable[[np.ndarray], np.ndarray]]
"""What numbers are allowed, in words and as a test."""

REAL: Range = ("real", np.isfinite)
ABOVE_ZERO: Range = ("above zero", lambda v: v > 0)
NOT_NEGATIVE: Range = ("not negative", lambda v: v >= 0)
SHARE: Range = ("between 0 and 1", lambda v: (v >= 0) & (v <= 1))
COUNT: Range = ("whole and not negative", lambda v: (v >= 0) & (np.floor(v) == v))
BIT: Range = ("0 or 1", lambda v: (v == 0) | (v == 1))


class Independent(Emission):
    """Base of emissions of independent features; a subclass is a frozen dataclass of (K, D) arrays.

    It writes ``LETTERS``, ``RANGES``, ``SUPPORT``, ``cell``, ``slopes``, ``maximise``, ``draw`` and
    ``overall``. Where the maximum is a function of a few sums, :class:`hmm.emissions.summed.Summed` asks for
    these in place of ``maximise``.
    """

    RANGES: ClassVar[dict[str, Range]] = {}
    """Field → what its numbers may be."""

    SUPPORT: ClassVar[Range] = REAL
    """What observations may be."""

    DISCRETE: ClassVar[bool] = False
    """Whether values repeat, so that each distinct one is worth computing once."""

    # -- what a subclass writes, of one feature d -------------------------------------------------------

    @abstractmethod
    def cell(self, x: np.ndarray, d: int) -> np.ndarray:
        """log p(x | k), (K, n) for observed values (n,)."""

    @abstractmethod
    def slopes(self, x: np.ndarray, d: int) -> dict[str, np.ndarray]:
        """∂log p(x | k)/∂θ_kd by field, (K, n); (P, K, n) where θ_kd are P numbers."""

    @abstractmethod
    def maximise(self, x: np.ndarray, weights: np.ndarray, d: int, params: str) -> dict[str, np.ndarray]:
        """Fields (K,) that maximise Σ_n weights[k, n] log p(x_n | k) + log prior, or raise it. Every state
        has weight. Fields that ``params`` does not name stay fixed, and may be returned or not."""

    def summarise(self, x: np.ndarray, weights: np.ndarray, d: int) -> dict[str, Part]:
        """What ``maximum`` needs of observed values (n,) under weights (K, n), beside their "mass"; n may be
        0. The weight of each distinct value here, for emissions of values that repeat."""
        return {"values": Histogram(x, weights)}

    def maximum(self, found: Statistics, d: int, params: str) -> dict[str, np.ndarray]:
        """``maximise`` from statistics."""
        values = found["values"]
        return self.maximise(values.values, values.weights, d, params)

    @abstractmethod
    def draw(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One row for each of ``states``, (n, D)."""

    @classmethod
    @abstractmethod
    def overall(cls, X: np.ndarray, n_components: int, **settings: Any) -> Self:
        """All states alike, roughly as wide as the data."""

    @classmethod
    def coordinates(cls, X: np.ndarray) -> np.ndarray:
        """Where clusters of the data are looked for, (T, any)."""
        return X

    # -- what follows -----------------------------------------------------------------------------------

    @classmethod
    def start(cls, X: np.ndarray, n_components: int, rng: np.random.Generator, **settings: Any) -> Self:
        """Fitted to clusters, each blurred by a fifth of everything else, so that states reach all data."""
        X = np.asarray(X, np.float64)
        where = cls.coordinates(X)
        seen = np.isfinite(where)
        centre = np.where(seen, where, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        labels = cluster(np.where(seen, where, centre), n_components, rng)
        weights = 0.8 * (labels[:, None] == np.arange(n_components)) + 0.2 * rng.dirichlet(
            np.ones(n_components), len(X)
        )
        # Priors wait until the fit: they could make a start alike in all states.
        emission = cls.overall(X, n_components, **settings)
        return emission.fit(emission.prepare(X), weights, "".join(cls.LETTERS))

    def check(self, n_components: int) -> Self:
        fields: dict[str, np.ndarray] = {}
        n_features = 0
        for field, (words, allowed) in self.RANGES.items():
            value = np.asarray(getattr(self, field))
            if value.ndim == 1:
                value = value[:, None]
            n_features = n_features or (value.shape[-1] if value.ndim else 0)
            fields[field] = parameter(f"{field}_", value, (n_components, n_features))
            wrong = ~allowed(fields[field])
            if wrong.any():
                raise DataError(f"{field}_ holds {fields[field][wrong][0]:.6g}; it must be {words}")
        return replace(cast(Any, self), **fields)

    @property
    def n_features(self) -> int:
        return getattr(self, next(iter(self.RANGES))).shape[1]

    @property
    def n_states(self) -> int:
        """K."""
        return len(getattr(self, next(iter(self.LETTERS.values()))))

    @property
    def repeated(self) -> bool:
        """``DISCRETE``, where that depends on more than the class."""
        return self.DISCRETE

    def prepare(self, X: np.ndarray) -> Columns:
        return Columns.of(X, self.repeated)

    def log_density(self, data: Columns) -> np.ndarray:
        total = np.zeros((self.n_states, data.n_rows))
        for d, column in enumerate(data.columns):
            column.add(total, self.cell(column.values, d))
        return total.T

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.draw(states, rng)

    def fit(self, data: Columns, weights: np.ndarray, params: str) -> Self:
        named = [field for letter, field in self.LETTERS.items() if letter in params]
        if not named:
            return self
        fields = {field: np.array(getattr(self, field)) for field in named}
        for d, column in enumerate(data.columns):
            own = column.weights(weights)
            known = own.sum(axis=1) > NEGLIGIBLE
            if not known.any():
                continue
            found = self.maximise(column.values, np.where(known[:, None], own, 1.0), d, params)
            for field in named:
                fields[field][known, d] = found[field][known]
        return replace(cast(Any, self), **fields)

    @property
    def additive(self) -> bool:
        return self.repeated or type(self).summarise is not Independent.summarise

    def statistics(self, data: Columns, weights: np.ndarray) -> Statistics:
        if not self.additive:
            return super().statistics(data, weights)
        found = {}
        for d, column in enumerate(data.columns):
            found[f"{d}."] = self.summary(column.values, column.weights(weights), d)
        return Statistics.joined(found)

    def summary(self, x: np.ndarray, weights: np.ndarray, d: int) -> Statistics:
        """All statistics of one feature."""
        return Statistics({"mass": Sums(weights.sum(axis=1)), **self.summarise(x, weights, d)})

    def from_statistics(self, statistics: Statistics, params: str) -> Self:
        named = [field for letter, field in self.LETTERS.items() if letter in params]
        if not named:
            return self
        fields = {field: np.array(getattr(self, field)) for field in named}
        for d in range(self.n_features):
            own = statistics.under(f"{d}.")
            known = own["mass"].values > NEGLIGIBLE
            if not known.any():
                continue
            rows = np.where(
                known, np.arange(len(known)), known.argmax()
            )  # any state stands for those without
            found = self.maximum(own.states(rows), d, params)
            for field in named:
                fields[field][known, d] = found[field][known]
        return replace(cast(Any, self), **fields)

    def gradient(self, data: Columns, weights: np.ndarray) -> dict[str, np.ndarray]:
        gradient = {field: np.zeros_like(getattr(self, field)) for field in self.LETTERS.values()}
        for d, column in enumerate(data.columns):
            own = column.weights(weights)
            for field, slope in self.slopes(column.values, d).items():
                gradient[field][:, d] = weighted(own, slope).sum(axis=-1).T
        return gradient

    def n_parameters(self) -> dict[str, int]:
        return {letter: getattr(self, field).size for letter, field in self.LETTERS.items()}

    def domains(self, data: Columns) -> dict[str, Domain]:
        """By ``RANGES``; a subclass adds bounds."""
        kinds = {ABOVE_ZERO: Positive(), NOT_NEGATIVE: Positive(), SHARE: Share()}
        return {field: kinds.get(allowed, Real()) for field, allowed in self.RANGES.items()}


def column_means(X: np.ndarray, n_components: int, otherwise: float = 1.0) -> np.ndarray:
    """Mean of each feature's observed values, the same for all states, (K, D)."""
    seen = np.isfinite(X)
    n = seen.sum(axis=0)
    means = np.where(n > 0, np.where(seen, X, 0).sum(axis=0) / np.maximum(n, 1), otherwise)
    return np.repeat(means[None], n_components, axis=0)


def least_variances(data: Columns) -> np.ndarray:
    """``least_variance`` of each feature, (D,); of one without values, 0."""
    return np.array([least_variance(c.values) if len(c.values) else 0.0 for c in data.columns])


def least_variance(x: np.ndarray) -> float:
    """A millionth of the variance of all values of a feature, a state's floor; where they are all one value,
    of that value squared."""
    return least_variance_of(Spread.of(x[:, None]))


def least_variance_of(spread: Spread) -> float:
    """``least_variance`` of the values of one column."""
    variance, largest = float(spread.variance[0]), float(spread.largest[0])
    return 1e-6 * (variance if variance > float(spread.rounding[0]) ** 2 else max(largest, 1.0) ** 2)
