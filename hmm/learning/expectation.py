"""The E-step: the graphs of some evidence, built once and run with the values of each chain.

Sequences that count differently (``weights``) and share one transition matrix lie in a graph for each weight,
for what arrives at a parameter is a sum over the sequences of a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from hmm.chain import Chain
from hmm.learning.restrictions import UNRESTRICTED, Restrictions
from hmm.sample import Sample
from msgpass import Messages, run


@dataclass(frozen=True, eq=False)
class Expected:
    """What an E-step says of its chain.

    Attributes
    ----------
    log_likelihood : float
        log p(x), sequences weighed by their weights.
    initial : array, (K,)
        Expected starts.
    transition : array
        What arrived at the transition's parameter.
    gamma : array, (T, K), or None
        Posteriors times weights; None where ``messages`` have all that the M-step wants.
    messages : Messages or None
    """

    log_likelihood: float
    initial: np.ndarray
    transition: np.ndarray
    gamma: np.ndarray | None
    messages: Messages | None


class Expectation:
    """E-steps over one sample.

    Parameters
    ----------
    sample : Sample
    chain : Chain
        The first of those that will be asked for; it prepares the data.
    restrictions : Restrictions, optional
        Of the M-steps that follow.
    """

    def __init__(self, sample: Sample, chain: Chain, restrictions: Restrictions = UNRESTRICTED):
        self.sample, self.restrictions = sample, restrictions
        self.evidence = chain.evidence(sample)
        self._graph: Any = None
        self._parts: list[tuple[float, np.ndarray, Expectation]] = []
        if sample.weights is not None and not chain.transition.STEPWISE:
            for weight in np.unique(sample.weights):
                chosen = sample.weights == weight
                own = Expectation(sample.part(chosen), chain)
                self._parts.append((float(weight), np.repeat(chosen, sample.lengths), own))

    def __call__(self, chain: Chain) -> Expected:
        """Run the graph of ``chain``."""
        if self._parts:
            return self._weighted(chain)
        m = self.messages(chain)
        if self.sample.weights is not None:
            return self._weighted_steps(chain, m)
        gamma = chain.weights(m) if self._wants_gamma(chain, m) else None
        initial = chain.regimes(m.parameters["initial"])
        return Expected(m.total, initial, m.parameters["transition"], gamma, m)

    def maximise(self, chain: Chain, expected: Expected, params: str) -> Chain:
        """M-step."""
        initial, transition, emission = chain.initial, chain.transition, chain.emission
        if "s" in params:
            initial = chain.learn_initial(expected.initial, self.restrictions.initial)
        if "t" in params:
            transition = transition.learn(expected.transition, self.evidence.inputs, self.restrictions)
        if expected.gamma is not None:
            emission = self.restrictions.fit_emission(emission, self.evidence.data, expected.gamma, params)
        elif expected.messages is not None:
            emission = emission.learn(self.evidence.data, expected.messages, params)
        return replace(chain, initial=initial, transition=transition, emission=emission)

    def posteriors(self, chain: Chain, expected: Expected) -> np.ndarray:
        """Posteriors of what the emission sees of the state, times weights, (T, K)."""
        if expected.gamma is not None:
            return expected.gamma
        return chain.weights(cast(Messages, expected.messages))

    def messages(self, chain: Chain) -> Messages:
        """The graph over all sequences, each counting once, run with the values of ``chain``."""
        if self._graph is None:
            self._graph = chain.graph(self.evidence)
            return run(self._graph)
        return run(self._graph, values=chain.values(self.evidence))

    def _wants_gamma(self, chain: Chain, m: Messages) -> bool:
        """Whether posteriors must be read for the M-step. With states finer than the model's, what arrived at
        the densities is folded; symbols, some of which may be missing, are counted by posteriors."""
        return self.restrictions.restrict_emission or (
            chain.transition.groups is not None and "log_density" not in m.parameters
        )

    def _weighted(self, chain: Chain) -> Expected:
        """A graph for each weight."""
        total, initial, transition = 0.0, np.zeros(len(chain.initial)), None
        gamma: Any = None
        for weight, rows, part in self._parts:
            m = part.messages(chain)
            total += weight * m.total if weight else 0.0
            initial += weight * chain.regimes(m.parameters["initial"])
            arrived = weight * m.parameters["transition"]
            transition = arrived if transition is None else transition + arrived
            own = chain.weights(m)
            gamma = np.zeros((len(self.sample.X), own.shape[1])) if gamma is None else gamma
            gamma[rows] = weight * own
        return Expected(total, initial, cast(np.ndarray, transition), gamma, None)

    def _weighted_steps(self, chain: Chain, m: Messages) -> Expected:
        """What arrived has a row for each pair of neighbours, so that one graph will do."""
        weights, lengths = cast(np.ndarray, self.sample.weights), np.asarray(self.sample.lengths)
        gamma = np.repeat(weights, lengths)[:, None] * chain.weights(m)
        initial = gamma[np.cumsum(lengths) - lengths].sum(axis=0)
        arrived = m.parameters["transition"]
        pairs = np.repeat(weights, lengths - 1).reshape(-1, *(1,) * (arrived.ndim - 1))
        return Expected(float(weights @ m.totals("z")), initial, pairs * arrived, gamma, None)
