"""One HMM as a value: initial distribution, transition and emission, and the factor graph that they make over
evidence.

    p(z, x) = π[z_0] Π_t A[z_{t−1}, z_t] Π_t p(x_t | z_t)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.emissions.base import Emission, attach_densities, blank, table
from hmm.sample import Sample
from hmm.simplex import dirichlet_log_density, draw, log, normalised
from hmm.transitions.base import Transition
from msgpass import FactorGraph, Messages, Table, run

MOST_LABELS = 512
"""States up to which a table of labels, that many squared, is less than one a step."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """A sample prepared for one chain.

    Parameters
    ----------
    data, inputs
        Observations as the emission, inputs as the transition prepared them.
    lengths : list of int
    labels : array of int, (T,), optional
        Known states, −1 where unknown.
    """

    data: Any
    inputs: Any
    lengths: list[int]
    labels: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Pseudo:
    """Rows that every state has seen before any data, a prior for any emission: log p(θ) = w Σ_n Σ_k
    log p(x_n | θ_k) up to a constant. It is conjugate where there is a conjugate prior.

    Parameters
    ----------
    X : array, (n, D)
    data
        The same as the emission prepared it.
    weight : float
        How often each row counts, w.
    """

    X: np.ndarray
    data: Any
    weight: float

    def counts(self, n_states: int) -> np.ndarray:
        """Weights of the rows in an M-step, (n, K)."""
        return np.full((len(self.X), n_states), self.weight)


@dataclass(frozen=True, eq=False)
class Chain:
    """Parameters of an HMM.

    Parameters
    ----------
    initial : array, (K,)
    transition : Transition
    emission : Emission
    concentration : float or array that broadcasts to (K,)
        Of a Dirichlet prior on the initial distribution; 1 is flat.
    pseudo : Pseudo, optional
        Prior of the emission beside its own.
    """

    initial: np.ndarray
    transition: Transition
    emission: Emission
    concentration: Any = 1.0
    pseudo: Pseudo | None = None

    def evidence(self, sample: Sample) -> Evidence:
        """Observations and inputs, prepared."""
        inputs = None if sample.U is None else self.transition.prepare(sample.U, sample.lengths)
        return Evidence(self.emission.prepare(sample.X), inputs, sample.lengths, sample.labels)

    def run(self, evidence: Evidence, algebra=None, schedule=None) -> Messages:
        """Messages over the evidence; densities live no longer than they do."""
        values = self.values(evidence)
        return run(self.graph(evidence, values), algebra, schedule, values)

    def graph(self, evidence: Evidence, values: dict[str, np.ndarray] | None = None) -> FactorGraph:
        """Factor graph over the evidence: states "z", parameters "initial", "transition", …

        ``values`` are those that each run is going to be given: densities then stay out of the graph.
        """
        g = FactorGraph()
        initial, lengths = self.log_initial(), evidence.lengths
        z = g.sequence("z", length=lengths if len(lengths) > 1 else lengths[0], states=len(initial))
        g.factor(Table(g.parameter("initial", initial)), z[0])
        self.transition.attach(g, z, evidence.inputs)
        if values is not None and "log_density" in values:
            attach_densities(g, z, blank(values["log_density"].shape), self.transition.groups)
        else:
            self.emission.attach(g, z, evidence.data, self.transition.groups)
        if evidence.labels is not None:
            self._clamp(g, z, evidence.labels)
        return g

    def _clamp(self, g: FactorGraph, z, labels: np.ndarray) -> None:
        """Known states, as an observed label or, of many states, as a table a step."""
        K, regimes = len(self.initial), self.transition.regimes
        if K <= MOST_LABELS:
            known = np.where(np.eye(K, dtype=bool), 0.0, -np.inf)
            g.factor(table(known, regimes), z[:], g.observe("label", labels, states=K)[:])
            return
        known = np.full((len(labels), K), -np.inf)
        known[labels < 0] = 0.0
        known[np.arange(len(labels)), labels] = 0.0
        g.factor(table(known, regimes), z[:])

    def values(self, evidence: Evidence) -> dict[str, np.ndarray]:
        """Values that make a graph built for this evidence, by whatever chain, a graph of this one."""
        return {
            "initial": self.log_initial(),
            **self.transition.values(evidence.inputs),
            **self.emission.values(evidence.data),
        }

    def log_initial(self) -> np.ndarray:
        """Log initial distribution over the graph's states, (S,)."""
        return log(self.transition.initial(self.initial))

    def learn_initial(self, counts: np.ndarray, frozen: np.ndarray | None = None) -> np.ndarray:
        """M-step of ``initial`` from expected starts; entries that ``frozen`` marks keep their values."""
        return normalised(counts, self.concentration, self.initial, frozen)

    def regimes(self, values: np.ndarray) -> np.ndarray:
        """Probabilities over the graph's states, (…, S), as probabilities over the model's, (…, K)."""
        groups = self.transition.regimes
        if groups is None:
            return values
        return values @ (groups[:, None] == np.arange(len(self.initial))).astype(values.dtype)

    def weights(self, m: Messages) -> np.ndarray:
        """Posteriors of what the emission sees of the state, which its M-step wants as weights."""
        if "log_density" in m.parameters:  # what arrives there, without a detour by logarithms
            return m.parameters["log_density"]
        posterior, groups = np.exp(m.belief["z"]), self.transition.groups
        return posterior if groups is None else self.regimes(posterior)

    @property
    def n_seen(self) -> int:
        """States that the emission tells apart."""
        return len(self.initial) if self.transition.groups is not None else len(self.log_initial())

    def regime_of(self, states: np.ndarray) -> np.ndarray:
        """The graph's states as the model's; −1 stays."""
        groups = self.transition.regimes
        return states if groups is None else np.where(states < 0, -1, groups[states])

    def visits(self, m: Messages, evidence: Evidence) -> np.ndarray:
        """Expected number of separate visits to each of the model's states, (K,)."""
        arrived = m.parameters["transition"]
        return self.regimes(m.parameters["initial"]) + self.transition.entries(arrived, evidence.inputs)

    def log_prior(self) -> float:
        """Log prior of all parameters, up to a constant."""
        return (
            dirichlet_log_density(self.initial, self.concentration)
            + self.transition.log_prior()
            + self.emission.log_prior()
            + self._log_pseudo()
        )

    def _log_pseudo(self) -> float:
        if self.pseudo is None:
            return 0.0
        return self.pseudo.weight * float(self.emission.log_density(self.pseudo.data).sum())

    def emission_prior_gradient(self) -> dict[str, np.ndarray]:
        """Of all that ``log_prior`` says of the emission, by field."""
        slopes = dict(self.emission.prior_gradient())
        if self.pseudo is not None:
            seen = self.emission.gradient(self.pseudo.data, self.pseudo.counts(self.n_seen))
            slopes = {name: slope + slopes.get(name, 0.0) for name, slope in seen.items()}
        return slopes

    def sample(
        self, n: int, rng: np.random.Generator, first: int | None = None, inputs=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """(observations (n, D), states (n,)) of one sequence, from the model's state ``first`` if it is
        given."""
        initial = self.initial if first is None else np.equal(np.arange(len(self.initial)), first) * 1.0
        start = draw(np.cumsum(self.transition.initial(initial)).tolist(), rng.random())
        path = self.regime_of(self.transition.path(start, n, inputs, rng))
        return self.emission.sample(path, rng), path

    def stationary(self) -> np.ndarray:
        """π with π A = π; of a chain with several, a mixture of all."""
        return self.transition.stationary()
