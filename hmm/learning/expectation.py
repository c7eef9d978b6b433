"""The E-step: the graphs of some evidence, built once and run with the values of each chain.

Sequences that count differently (``weights``) and share one transition matrix lie in a graph for each weight,
for what arrives at a parameter is a sum over the sequences of a graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from hmm.chain import Chain, Evidence
from hmm.emissions.statistics import Statistics
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
    statistics : Statistics, optional
        What the emission's M-step needs, in place of ``gamma`` and ``messages``: such expectations add up.
    """

    log_likelihood: float
    initial: np.ndarray
    transition: np.ndarray
    gamma: np.ndarray | None
    messages: Messages | None
    statistics: Statistics | None = None

    def __add__(self, other: Expected) -> Expected:
        both = None
        if self.statistics is not None and other.statistics is not None:
            both = self.statistics + other.statistics
        return Expected(
            self.log_likelihood + other.log_likelihood,
            self.initial + other.initial,
            self.transition + other.transition,
            None,
            None,
            both,
        )

    def __mul__(self, factor: float) -> Expected:
        own = None if self.statistics is None else factor * self.statistics
        return Expected(
            factor * self.log_likelihood, factor * self.initial, factor * self.transition, None, None, own
        )

    __rmul__ = __mul__


class Expectation:
    """E-steps over one sample.

    Parameters
    ----------
    sample : Sample
    chain : Chain
        The first of those that will be asked for; it prepares the data.
    restrictions : Restrictions, optional
        Of the M-steps that follow.
    keep : bool
        Whether ``posteriors`` will be asked for each time, as a gradient does.
    """

    def __init__(
        self, sample: Sample, chain: Chain, restrictions: Restrictions = UNRESTRICTED, keep: bool = False
    ):
        self.sample, self.restrictions, self.keep = sample, restrictions, keep
        self.evidence = chain.evidence(sample)
        self._with_pseudo: Any = None
        if chain.pseudo is not None:
            self._with_pseudo = chain.emission.prepare(np.concatenate([sample.X, chain.pseudo.X]))
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
        evidence = self.evidence
        if chain.pseudo is not None:
            gamma = self.posteriors(chain, expected)
            seen = np.concatenate([gamma, chain.pseudo.counts(gamma.shape[1])])
            expected, evidence = replace(expected, gamma=seen), replace(evidence, data=self._with_pseudo)
        return maximised(chain, expected, params, self.restrictions, evidence)

    def summed(self, chain: Chain, params: str) -> Expected:
        """As a call, but as sums that those of other samples can be added to."""
        expected, statistics = self(chain), None
        # What arrives at some transitions has a row for each step, and no sum that would be of use.
        arrived = expected.transition if "t" in params else np.zeros(1)
        if set(params) - {"s", "t"}:
            gamma = expected.gamma
            if gamma is None:
                gamma = chain.weights(cast(Messages, expected.messages))
            statistics = chain.emission.statistics(self.evidence.data, gamma)
        return replace(expected, transition=arrived, gamma=None, messages=None, statistics=statistics)

    def release(self) -> None:
        """Let go of the graphs, where there is no run to come.

        A graph and its nodes point at each other: its arrays would stay until Python's collector comes by,
        and to call it takes 0.2 s once compiled kernels are loaded.
        """
        for own in (self, *(part for _, _, part in self._parts)):
            if own._graph is not None:
                vars(own._graph).clear()
                own._graph = None

    def posteriors(self, chain: Chain, expected: Expected) -> np.ndarray:
        """Posteriors of what the emission sees of the state, times weights, (T, K)."""
        if expected.gamma is not None:
            return expected.gamma
        return chain.weights(cast(Messages, expected.messages))

    def messages(self, chain: Chain) -> Messages:
        """The graph over all sequences, each counting once, run with the values of ``chain``."""
        values = chain.values(self.evidence)
        if self._graph is None:
            self._graph = chain.graph(self.evidence, values)
        return run(self._graph, values=values)

    def _wants_gamma(self, chain: Chain, m: Messages) -> bool:
        """Whether posteriors must be read for the M-step. With states finer than the model's, what arrived at
        the densities is folded; symbols, some of which may be missing, are counted by posteriors. They are
        read before anything else, for a sweep that has summed them up has not kept them."""
        return (
            self.keep
            or self.restrictions.restrict_emission
            or chain.pseudo is not None
            or (chain.transition.groups is not None and "log_density" not in m.parameters)
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


def maximised(
    chain: Chain,
    expected: Expected,
    params: str,
    restrictions: Restrictions,
    evidence: Evidence | None = None,
) -> Chain:
    """M-step; the evidence is needed where ``expected`` holds posteriors and no statistics."""
    initial, transition, emission = chain.initial, chain.transition, chain.emission
    data, inputs = (None, None) if evidence is None else (evidence.data, evidence.inputs)
    if "s" in params:
        initial = chain.learn_initial(expected.initial, restrictions.initial)
    if "t" in params:
        transition = transition.learn(expected.transition, inputs, restrictions)
    if expected.statistics is not None:
        sums = expected.statistics
        if chain.pseudo is not None:
            seen = chain.pseudo.counts(chain.n_seen)
            sums = sums + emission.statistics(chain.pseudo.data, seen)
        emission = restrictions.emission_from(emission, sums, params)
    elif expected.gamma is not None:
        emission = restrictions.fit_emission(emission, data, expected.gamma, params)
    elif expected.messages is not None:
        emission = emission.learn(data, expected.messages, params)
    return replace(chain, initial=initial, transition=transition, emission=emission)
