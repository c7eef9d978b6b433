"""How all models infer: hmmlearn's methods and more, each of them one run of the model's factor graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hmm import inference
from hmm.core import Core
from hmm.online import OnlineFilter
from hmm.sequences import end_to_end, is_list_of_sequences, lengths_or_target
from hmm.starting import ALGORITHMS
from hmm.validation import generator, one_of, rows_of_numbers, whole
from msgpass import FixedLag, ForwardOnly, MaxProduct, Messages


class Reader(Core):
    """Methods that read messages."""

    # -- inference --------------------------------------------------------------------------------------

    def score(self, X, y=None, lengths=None) -> float:
        """Log-likelihood log p(X), summed over sequences; ``y`` is ignored, or lengths, as in ``fit``."""
        if y is not None:
            X, lengths = end_to_end(X, lengths, flat=self.FLAT)
            lengths = lengths_or_target(y, lengths, len(rows_of_numbers(X, flat=self.FLAT)))
        return self._filtering(X, lengths).total

    def score_sequences(self, X, lengths=None) -> np.ndarray:
        """Log-likelihood of every sequence, (N,)."""
        return self._filtering(X, lengths).totals("z")

    def predictive_log_density(self, X, lengths=None) -> np.ndarray:
        """log p(x_t | x_0 … x_{t−1}) of every observation given those before it, (T,).

        They sum to ``score``; missing observations have 0.
        """
        return inference.predictive_log_densities(self._filtering(X, lengths))

    def _filtering(self, X, lengths) -> Messages:
        chain, evidence = self._ready(X, lengths)
        return chain.run(evidence, schedule=ForwardOnly())

    def score_samples(self, X, lengths=None) -> tuple[float, np.ndarray]:
        """Log-likelihood and posteriors p(z_t | X), (T, K)."""
        chain, evidence = self._ready(X, lengths)
        m = chain.run(evidence)
        posterior = chain.regimes(np.exp(m.belief["z"]))  # read first: the total then comes with it
        return m.total, posterior

    def predict_proba(self, X, lengths=None) -> np.ndarray:
        """Posteriors p(z_t | X), (T, K)."""
        return self.score_samples(X, lengths)[1]

    def filter(self, X, lengths=None) -> np.ndarray:
        """Causal posteriors p(z_t | x_0 … x_t), (T, K)."""
        chain, evidence = self._ready(X, lengths)
        return chain.regimes(inference.filtered(chain.run(evidence, schedule=ForwardOnly())))

    def online(self) -> OnlineFilter:
        """A filter that takes one observation at a time, with constant memory; it gives what ``filter``
        gives."""
        return OnlineFilter(self, self.chain())

    def forecast(self, X, lengths=None, steps: int = 1, inputs=None) -> inference.Forecast:
        """Distributions of the states and observations of the next ``steps`` steps.

        Parameters
        ----------
        X, lengths
        steps : int
            How far ahead, h.
        inputs : array-like, (h, P), optional
            Inputs of the transitions for the steps to come, where they take some; (N, h, P) with several
            sequences.

        Returns
        -------
        Forecast
            ``states`` (h, K), ``mean`` and ``variance`` (h, D) or ``probabilities`` (h, M); with ``lengths``,
            or a list of sequences, each with the sequences in front.
        """
        if is_list_of_sequences(X, flat=self.FLAT) or lengths is not None:
            X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        return inference.forecast(self, X, lengths, steps, inputs)

    def smooth(self, X, lengths=None, lag: int | None = None) -> np.ndarray:
        """Posteriors given all of X, or with a lag given what comes up to ``lag`` steps later, (T, K).

        p(z_t | x_0 … x_{t+lag}); lag 0 is ``filter``, None is ``predict_proba``.
        """
        schedule = None if lag is None else FixedLag(whole("lag", lag, 0))
        chain, evidence = self._ready(X, lengths)
        return chain.regimes(np.exp(chain.run(evidence, schedule=schedule).belief["z"]))

    def decode(self, X, lengths=None, algorithm=None) -> tuple[float, np.ndarray]:
        """A path of states and its log-probability log p(X, path).

        Parameters
        ----------
        X, lengths
        algorithm : {"viterbi", "map"}, optional
            The most likely path (the default), or the most likely state at each step, which need not be a
            path that the model can take: its log-probability may be −∞. (hmmlearn returns a sum of posteriors
            there.)
        """
        algorithm = one_of("algorithm", self.algorithm if algorithm is None else algorithm, ALGORITHMS)
        chain, evidence = self._ready(X, lengths)
        if algorithm == "viterbi":
            m = chain.run(evidence, MaxProduct())
            return m.total, chain.regime_of(m.assignment["z"])
        path = chain.regimes(np.exp(chain.run(evidence).belief["z"])).argmax(axis=1)
        return chain.run(replace(evidence, labels=path), schedule=ForwardOnly()).total, path

    def predict(self, X, lengths=None) -> np.ndarray:
        """States by ``decode``, (T,)."""
        return self.decode(X, lengths)[1]

    def k_best_paths(self, X, k: int, lengths=None) -> tuple[np.ndarray, np.ndarray]:
        """The k most likely paths of every sequence, best first.

        Parameters
        ----------
        X
        k : int
        lengths

        Returns
        -------
        log_probs : array, (k,), or (N, k) with ``lengths`` or a list of sequences
            log p(X, path); −∞ where a sequence has fewer possible paths.
        paths : array of int, (k, T)
            −1 where a sequence has fewer.
        """
        single = lengths is None and not is_list_of_sequences(X, flat=self.FLAT)
        chain, evidence = self._ready(X, lengths)
        best = chain.run(evidence, MaxProduct()).k_best("z", k)
        return (best.scores[0] if single else best.scores), chain.regime_of(best.states)

    def sample_paths(self, X, n: int = 1, lengths=None, random_state=None) -> np.ndarray:
        """Draw paths of states from their posterior p(z | X), (n, T)."""
        rng = generator(self.random_state if random_state is None else random_state)
        chain, evidence = self._ready(X, lengths)
        m = chain.run(evidence, schedule=ForwardOnly())
        return chain.regime_of(m.sample("z", rng, whole("n", n, 1)))

    def posterior_entropy(self, X, lengths=None) -> float:
        """Entropy of the path given the data, H(z | X) in nats, summed over sequences; 0 is certainty."""
        return float(self.messages(X, lengths).entropy("z").sum())

    def expected_visits(self, X, lengths=None) -> np.ndarray:
        """Expected number of separate visits to each state given the data, (K,)."""
        chain, evidence = self._ready(X, lengths)
        return chain.visits(chain.run(evidence), evidence)

    def expected_sojourn(self, X=None, lengths=None) -> np.ndarray:
        """Mean number of steps of a visit to each state, (K,).

        With data, expected steps there by expected visits; without, the model's own: 1/(1 − a_kk) of one
        transition matrix, ∞ for a state that is never left.
        """
        if X is None:
            return self.chain().transition.sojourn()
        chain, evidence = self._ready(X, lengths)
        m = chain.run(evidence)
        visits = chain.visits(m, evidence)
        steps = chain.regimes(np.exp(m.belief["z"])).sum(axis=0)
        return steps / np.where(visits > 0, visits, 1)
