"""Mixed features: groups of columns, each with an emission of its own, independent given the state:
log p(x_t | k) = Σ_i log p_i(x_t[columns_i] | k)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hmm.coordinates import Domain
from hmm.emissions.base import Emission
from hmm.emissions.statistics import Statistics


@dataclass(frozen=True, eq=False)
class Part:
    """An emission of some columns; ``params`` names which of its fields are estimated."""

    emission: Emission
    columns: tuple[int, ...]
    params: str

    def of(self, X: np.ndarray) -> np.ndarray:
        """Its columns of X."""
        return X[:, list(self.columns)]


@dataclass(frozen=True, eq=False)
class Mixed(Emission):
    """Emissions side by side.

    Parameters
    ----------
    parts : tuple of Part

    Examples
    --------
    >>> from hmm.emissions import Gaussian, Poisson
    >>> counts = Part(Poisson(np.array([[1.0]])), (0,), "l")
    >>> numbers = Part(Gaussian(np.array([[0.0]]), np.array([[1.0]])), (1,), "mc")
    >>> emission = Mixed((counts, numbers))
    >>> emission.log_density(emission.prepare(np.array([[0.0, 0.0], [0.0, np.nan]]))).round(4)
    array([[-1.9189],
           [-1.    ]])
    """

    parts: tuple[Part, ...]

    LETTERS: ClassVar[dict[str, str]] = {"e": "parts"}

    def check(self, n_components: int) -> Mixed:
        return Mixed(tuple(replace(part, emission=part.emission.check(n_components)) for part in self.parts))

    @property
    def n_features(self) -> int:
        return sum(len(part.columns) for part in self.parts)

    def prepare(self, X: np.ndarray) -> list[Any]:
        return [part.emission.prepare(part.of(X)) for part in self.parts]

    def log_density(self, data: list[Any]) -> np.ndarray:
        first, *others = (part.emission.log_density(own) for part, own in zip(self.parts, data, strict=True))
        return sum(others, start=first)

    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = [part.emission.sample(states, rng) for part in self.parts]
        X = np.empty((len(states), self.n_features), np.result_type(*drawn))
        for part, columns in zip(self.parts, drawn, strict=True):
            X[:, list(part.columns)] = columns
        return X

    def fit(self, data: list[Any], weights: np.ndarray, params: str) -> Mixed:
        if "e" not in params:
            return self
        return Mixed(
            tuple(
                replace(part, emission=part.emission.fit(own, weights, part.params))
                for part, own in zip(self.parts, data, strict=True)
            )
        )

    @property
    def additive(self) -> bool:
        return all(part.emission.additive for part in self.parts)

    def statistics(self, data: list[Any], weights: np.ndarray) -> Statistics:
        found = (part.emission.statistics(own, weights) for part, own in zip(self.parts, data, strict=True))
        return Statistics.joined({f"{i}/": own for i, own in enumerate(found)})

    def from_statistics(self, statistics: Statistics, params: str) -> Mixed:
        if "e" not in params:
            return self
        parts = []
        for i, part in enumerate(self.parts):
            found = part.emission.from_statistics(statistics.under(f"{i}/"), part.params)
            parts.append(replace(part, emission=found))
        return Mixed(tuple(parts))

    def gradient(self, data: list[Any], weights: np.ndarray) -> dict[str, np.ndarray]:
        """By the part's number and the field's name: "0.lambdas", "1.means", …"""
        own = zip(self.parts, data, strict=True)
        return self._named([part.emission.gradient(columns, weights) for part, columns in own])

    def with_states(self, letter, other, states, sources=None) -> Mixed:
        parts = []
        for part, others in zip(self.parts, other.parts, strict=True):
            emission = part.emission
            for own in emission.LETTERS:
                emission = emission.with_states(own, others.emission, states, sources)
            parts.append(replace(part, emission=emission))
        return Mixed(tuple(parts))

    def n_parameters(self) -> dict[str, int]:
        counts = [(part, part.emission.n_parameters()) for part in self.parts]
        return {"e": sum(n for part, own in counts for letter, n in own.items() if letter in part.params)}

    def log_prior(self) -> float:
        return sum(part.emission.log_prior() for part in self.parts)

    def prior_gradient(self) -> dict[str, np.ndarray]:
        return self._named([part.emission.prior_gradient() for part in self.parts])

    def fields(self) -> dict[str, np.ndarray]:
        return self._named([part.emission.fields() for part in self.parts])

    def with_fields(self, fields: Mapping[str, np.ndarray]) -> Mixed:
        parts = list(self.parts)
        for name, value in fields.items():
            i, _, field = name.partition(".")
            own = parts[int(i)]
            parts[int(i)] = replace(own, emission=own.emission.with_fields({field: value}))
        return Mixed(tuple(parts))

    def estimated(self, params: str) -> dict[str, str]:
        if "e" not in params:
            return {}
        return dict.fromkeys(self._named([part.emission.estimated(part.params) for part in self.parts]), "e")

    def domains(self, data: list[Any]) -> dict[str, Domain]:
        own = zip(self.parts, data, strict=True)
        return self._named([part.emission.domains(columns) for part, columns in own])

    @staticmethod
    def _named(parts: list[dict[str, Any]]) -> dict[str, Any]:
        """By the part's number and the field's name."""
        return {f"{i}.{name}": value for i, own in enumerate(parts) for name, value in own.items()}
