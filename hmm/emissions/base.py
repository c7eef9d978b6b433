"""The contract of an emission: what a state says about an observation.

An emission is a frozen dataclass of arrays with one row a state. To add one, subclass :class:`Emission` and
write

- ``log_density(data)`` → (T, K), log p(x_t | z_t = k), 0 where x_t is missing;
- ``sample(states, rng)`` → (n, D), one draw for each state;
- ``fit(data, weights, params)`` → the emission that maximises Σ_tk weights[t, k] log p(x_t | k) + log prior;
- ``n_parameters()``, ``n_features``, ``check()`` and ``LETTERS``;
- ``prepare(X)`` where something is worth computing once a data set;
- ``gradient(data, weights)`` where a formula is better than the differences that every emission inherits;
- ``domains(data)``, where a field's numbers live, if not every real number will do; and where there is a
  prior, ``log_prior()``, and ``prior_gradient()`` if it has a formula.
- ``statistics(data, weights)`` and ``from_statistics(statistics, params)`` where the M-step looks at the data
  through sums only: batches then add up, for data that do not fit into memory and for online EM.

Where features are independent given the state, :class:`hmm.emissions.independent.Independent` asks for less.

It then works in every model: the log densities enter the graph as one parameter, and what arrives there,
∂log Z/∂log p(x_t | k), is the posterior γ_t(k) that ``fit`` wants as weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Self, cast

import numpy as np

from hmm.coordinates import Domain, Real
from hmm.emissions.statistics import Statistics
from msgpass import FactorGraph, Messages, Table
from msgpass.errors import UnsupportedError
from msgpass.potentials import GroupedTable

DIFFERENCE = 6e-6
"""Step of a central difference, relative to the number that moves: about the cube root of a rounding."""


class Emission(ABC):
    """Base of all emissions."""

    LETTERS: ClassVar[dict[str, str]] = {}
    """Letter in an estimator's ``params`` → field of the emission."""

    def prepare(self, X: np.ndarray) -> Any:
        """What ``log_density`` and ``fit`` need of (T, D) data, computed once; NaN is missing."""
        return X

    @abstractmethod
    def log_density(self, data) -> np.ndarray:
        """log p(x_t | z_t = k), (T, K)."""

    @abstractmethod
    def sample(self, states: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One observation for each of ``states``, (n, D)."""

    @abstractmethod
    def fit(self, data, weights: np.ndarray, params: str) -> Emission:
        """The emission that maximises the weighted log-likelihood plus log prior in the fields named by
        ``params``.

        A state without weight keeps its values.
        """

    @property
    def additive(self) -> bool:
        """Whether ``statistics`` and ``from_statistics`` are there."""
        return type(self).statistics is not Emission.statistics

    def statistics(self, data, weights: np.ndarray) -> Statistics:
        """What ``fit`` needs of data under (T, K) weights; those of batches add up to those of all.

        Conditional moments of what is latent beside the state (missing cells, components of a mixture) are
        taken under the emission's own parameters, which must be the same for all that an iteration adds up.
        """
        raise UnsupportedError(
            f"{type(self).__name__} emissions are fitted to all rows at once, and not to sums that batches "
            "add up to; call fit on all data, or on a sample of the sequences"
        )

    def from_statistics(self, statistics: Statistics, params: str) -> Self:
        """The M-step: what ``fit`` gives for the data that the statistics are of.

        ``fit(data, weights, params)`` is ``from_statistics(statistics(data, weights), params)`` to rounding.
        Student t emissions alone take another step upwards, for their own has no finite statistics.
        """
        raise UnsupportedError(f"{type(self).__name__} emissions have no additive statistics; call fit")

    @abstractmethod
    def n_parameters(self) -> dict[str, int]:
        """Free numbers by letter."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Columns D of X."""

    @abstractmethod
    def check(self, n_components: int) -> Emission:
        """Itself with arrays made of what the user set, or a typed error."""

    def log_prior(self) -> float:
        """Log prior density of the parameters, up to a constant; 0 under maximum likelihood."""
        return 0.0

    def prior_gradient(self) -> dict[str, np.ndarray]:
        """∂ log prior/∂θ by field, as ``gradient`` has it; fields without a prior may be left out.

        By central differences here, where ``log_prior`` is written at all.
        """
        if type(self).log_prior is Emission.log_prior:
            return {}
        return differences(lambda fields: self.with_fields(fields).log_prior(), self.fields())

    def gradient(self, data, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Σ_tk weights[t, k] ∂log p(x_t | k)/∂θ for each field θ, in the field's own shape.

        With posteriors as weights this is ∂log Z/∂θ (Fisher's identity). The numbers of a field are moved one
        by one, without regard to what they sum to. A symmetric matrix moves symmetrically: its gradient G is
        the symmetric one with d log p = tr(G dΣ).

        By central differences here; an emission with a formula overrides it.
        """

        def level(fields: dict[str, np.ndarray]) -> float:
            return float(weighted(weights, self.with_fields(fields).log_density(data)).sum())

        return differences(level, self.fields())

    # -- its numbers, for fits by gradients -------------------------------------------------------------

    def fields(self) -> dict[str, np.ndarray]:
        """Arrays that may be estimated, by the names that ``gradient`` has for them."""
        return {name: np.asarray(getattr(self, name), np.float64) for name in self.LETTERS.values()}

    def with_fields(self, fields: Mapping[str, np.ndarray]) -> Self:
        """Itself with some of its ``fields`` replaced."""
        return replace(cast(Any, self), **fields)

    def estimated(self, params: str) -> dict[str, str]:
        """Names of the fields that ``params`` has a fit estimate → their letter."""
        return {name: letter for letter, name in self.LETTERS.items() if letter in params}

    def domains(self, data) -> dict[str, Domain]:
        """Where the numbers of each field live, with the bounds that ``fit`` to these data keeps to."""
        return {name: Real() for name in self.LETTERS.values()}

    def by_state(self, letter: str) -> bool:
        """Whether a field has one row a state, and not one for all."""
        return True

    def with_states(
        self, letter: str, other: Emission, states: np.ndarray, sources: np.ndarray | None = None
    ) -> Self:
        """Itself with a field's values in some states (a mask) as ``other`` has them in ``sources``, by
        default in the same states."""
        field = self.LETTERS[letter]
        value = np.array(getattr(self, field))
        rows = np.flatnonzero(states)
        value[rows] = getattr(other, field)[rows if sources is None else sources[rows]]
        return replace(cast(Any, self), **{field: value})

    # -- its place in the graph -------------------------------------------------------------------------

    def attach(self, graph: FactorGraph, z, data, groups: np.ndarray | None = None) -> None:
        """Add the emission's factors over the states ``z``; of several graph states in one group each says
        the same."""
        attach_densities(graph, z, _frozen(self.log_density(data)), groups)

    def values(self, data) -> dict[str, np.ndarray]:
        """Values of the graph's parameters under this emission."""
        return {"log_density": _frozen(self.log_density(data))}

    def learn(self, data, messages: Messages, params: str) -> Emission:
        """M-step: ``fit`` with the posteriors that arrived at the graph's parameter."""
        return self.fit(data, messages.lent("log_density"), params)


def _frozen(density: np.ndarray) -> np.ndarray:
    """The array itself, read only: then a graph takes it without a copy."""
    density.flags.writeable = False
    return density


def attach_densities(graph: FactorGraph, z, densities: np.ndarray, groups: np.ndarray | None) -> None:
    """Add log densities, (T, K), as one parameter."""
    graph.factor(table(graph.parameter("log_density", densities), groups), z[:])


def blank(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros that take no memory, in place of densities that each run is given anew.

    A graph and its nodes point at each other, so what it holds stays until Python's collector comes by.
    """
    zero = np.zeros(())
    zero.flags.writeable = False
    return np.broadcast_to(zero, shape)


def table(values, groups: np.ndarray | None) -> Table | GroupedTable:
    """A table over the graph's states that says the same of all states of a group."""
    return Table(values) if groups is None else Table.grouped(values, groups)


def differences(
    level: Callable[[dict[str, np.ndarray]], float], fields: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Central differences of a function of some arrays, one number at a time."""
    slopes = {}
    for name, value in fields.items():
        slopes[name] = np.empty(value.shape)
        for index in np.ndindex(value.shape):
            step = DIFFERENCE * max(0.01, abs(float(value[index])))
            up, down = value.copy(), value.copy()
            up[index] += step
            down[index] -= step
            slopes[name][index] = (level({name: up}) - level({name: down})) / (2 * step)
    return slopes


def weighted(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """``weights · values``, where no weight times −∞ is nothing."""
    return np.multiply(weights, values, out=np.zeros(np.broadcast(weights, values).shape), where=weights > 0)


def observed_cells(X: np.ndarray) -> np.ndarray | None:
    """1.0 where a cell is observed and 0.0 where it is NaN, (D, T); None if nothing is missing."""
    missing = np.isnan(X.T)
    return (~missing).astype(np.float64) if missing.any() else None
