"""The estimator that all models share: hmmlearn's methods, each of them one run of the model's factor graph.

A model keeps what its user reads and sets (``startprob_``, ``means_``, …). For work these attributes become a
:class:`~hmm.chain.Chain`, which makes the graph; fitting turns a chain back into attributes.
"""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator

from hmm import inference
from hmm.chain import Chain
from hmm.emissions.base import Emission
from hmm.keeping import save
from hmm.learning import baum_welch
from hmm.monitor import ConvergenceMonitor
from hmm.online import OnlineFilter
from hmm.sequences import column_names, end_to_end, is_list_of_sequences, lengths_or_target, same_names
from hmm.starting import ALGORITHMS, check_settings, fields, free_parameters, starting_chain
from hmm.validation import (
    NotFittedError,
    generator,
    one_of,
    probabilities,
    rows_of_numbers,
    same_width,
    sequence_lengths,
    whole,
)
from msgpass import FactorGraph, FixedLag, ForwardOnly, MaxProduct, Messages, run
from msgpass.errors import ConvergenceWarning, DataError


class BaseHMM(BaseEstimator):
    """Base of the models; a model adds its constructor, its emission, and what data it takes.

    A subclass writes ``EMISSION``, ``emission`` and ``start_emission``, and ``check_data`` where not every
    number will do.
    """

    EMISSION: ClassVar[type[Emission]]
    FLAT: ClassVar[bool] = False
    """Whether X of shape (T,) stands for (T, 1)."""
    memory: ClassVar[int] = 0
    """Earlier rows that the density of an observation reads."""

    # -- what a model adds ------------------------------------------------------------------------------

    def emission(self, X: np.ndarray | None = None) -> Emission:
        """The emission that the attributes hold, unchecked; with data, ready to be fitted to them."""
        raise TypeError(f"{type(self).__name__} has no emission; use one of hmm's models")

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Emission:
        """Where EM starts."""
        raise TypeError(f"{type(self).__name__} has no emission; use one of hmm's models")

    def start_transition(self, X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Nearly uniform, so that the data decide; drawn, so that states differ even where emissions do
        not."""
        K = self.n_components
        return rng.dirichlet(np.full(K, 10.0), K) if K > 1 else np.ones((1, 1))

    def store_emission(self, emission: Emission) -> None:
        """Keep an emission's fields as attributes."""
        for field in emission.LETTERS.values():
            setattr(self, f"{field}_", getattr(emission, field))

    def check_data(self, X: np.ndarray) -> np.ndarray:
        """(T, D) data of the kind that the emission wants."""
        return X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    # -- learning ---------------------------------------------------------------------------------------

    def fit(self, X, y=None, lengths=None):
        """Estimate the parameters by Baum-Welch.

        Parameters
        ----------
        X : array-like or frame, (T, D), or a list of these
            Sequences end to end, or a list with one array a sequence; NaN is missing.
        y : ignored, or lengths
            scikit-learn's place for a target, and hmmlearn's for ``lengths``: whole numbers ≥ 1 that sum to T
            are lengths; anything else with T entries is ignored.
        lengths : array-like of int, optional
            Lengths of the sequences, summing to T; one sequence by default.

        Returns
        -------
        self

        Raises
        ------
        DataError, ShapeError, ProbabilityError
            Where an argument, the data or an attribute that the fit starts from cannot be used.
        ImpossibleEvidenceError
            If the start gives some observation probability zero.

        Warns
        -----
        ConvergenceWarning
            If ``n_iter`` iterations were not enough to gain less than ``tol > 0`` in one.
        """
        priors = check_settings(self)
        names = column_names(X)
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        X = self.check_data(rows_of_numbers(X, flat=self.FLAT))
        lengths = sequence_lengths(lengths_or_target(y, lengths, len(X)), len(X))
        chain = starting_chain(self, X)
        self.n_features_in_ = X.shape[1]
        if names is not None:
            self.feature_names_in_ = names
        else:
            self.__dict__.pop("feature_names_in_", None)
        monitor = self._fresh_monitor()
        self._store(chain)
        for better in baum_welch(chain, chain.emission.prepare(X), lengths, self.params, priors, monitor):
            self._store(better)
        if monitor.iter > 1 and monitor.tol > 0 and not monitor.converged:
            warnings.warn(
                f"EM stopped after n_iter={monitor.n_iter} iterations, the last of which gained "
                f"{monitor.history[-1] - monitor.history[-2]:.3g} ≥ tol={monitor.tol}; "
                "raise n_iter, or tol, or set tol=0",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _store(self, chain: Chain) -> None:
        self.startprob_, self.transmat_ = chain.initial, chain.transition
        self.store_emission(chain.emission)

    @property
    def monitor_(self) -> ConvergenceMonitor:
        """History of the last fit. Set one before a fit to stop by a rule of your own."""
        return self.__dict__.get("_monitor") or ConvergenceMonitor(self.tol, self.n_iter, self.verbose)

    @monitor_.setter
    def monitor_(self, monitor: ConvergenceMonitor) -> None:
        self._monitor, self._own_monitor = monitor, True

    def _fresh_monitor(self) -> ConvergenceMonitor:
        if self.__dict__.get("_own_monitor"):
            self._monitor.reset()
        else:
            self._monitor = ConvergenceMonitor(self.tol, self.n_iter, self.verbose)
        return self._monitor

    # -- the model as a graph ---------------------------------------------------------------------------

    def chain(self, X: np.ndarray | None = None) -> Chain:
        """The attributes as a chain, checked."""
        K = whole("n_components", self.n_components, 1)
        absent = [field for field in fields(self).values() if not self.has(field)]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(f'{n}_' for n in absent)} yet; "
                "call fit(X), or set these attributes"
            )
        return Chain(
            probabilities("startprob_", self.startprob_, (K,)),
            probabilities("transmat_", self.transmat_, (K, K)),
            self.emission(X).check(K),
        )

    def has(self, field: str) -> bool:
        """Whether an attribute such as "startprob" has been fitted or set."""
        return f"{field}_" in self.__dict__ or f"_{field}_" in self.__dict__

    def _ready(self, X, lengths) -> tuple[Chain, np.ndarray, list[int]]:
        chain = self.chain()
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        X = rows_of_numbers(X, flat=self.FLAT)
        same_width(X, chain.emission.n_features, type(self).__name__)
        return chain, self.check_data(X), sequence_lengths(lengths, len(X))

    def graph(self, X, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on.

        States are the sequence "z", parameters are "initial", "transition" and "emission" (log probabilities
        of symbols) or "log_density" (T, K).
        """
        chain, X, lengths = self._ready(X, lengths)
        return chain.graph(chain.emission.prepare(X), lengths)

    def messages(self, X, lengths=None, algebra=None, schedule=None) -> Messages:
        """Run the graph over ``X`` in an algebra under a schedule, as :func:`msgpass.run` does.

        ``forward["z"]`` and ``backward["z"]`` are log α and log β, ``belief["z"]`` log γ, ``total`` the
        log-likelihood, ``parameters["transition"]`` the expected transition counts.
        """
        return run(self.graph(X, lengths), algebra, schedule)

    # -- inference --------------------------------------------------------------------------------------

    def score(self, X, y=None, lengths=None) -> float:
        """Log-likelihood log p(X), summed over sequences; ``y`` is ignored, or lengths, as in ``fit``."""
        if y is not None:
            X, lengths = end_to_end(X, lengths, flat=self.FLAT)
            lengths = lengths_or_target(y, lengths, len(rows_of_numbers(X, flat=self.FLAT)))
        return self.messages(X, lengths, schedule=ForwardOnly()).total

    def score_sequences(self, X, lengths=None) -> np.ndarray:
        """Log-likelihood of every sequence, (N,)."""
        return self.messages(X, lengths, schedule=ForwardOnly()).totals("z")

    def predictive_log_density(self, X, lengths=None) -> np.ndarray:
        """log p(x_t | x_0 … x_{t−1}) of every observation given those before it, (T,).

        They sum to ``score``; missing observations have 0.
        """
        return inference.predictive_log_densities(self.messages(X, lengths, schedule=ForwardOnly()))

    def score_samples(self, X, lengths=None) -> tuple[float, np.ndarray]:
        """Log-likelihood and posteriors p(z_t | X), (T, K)."""
        m = self.messages(X, lengths)
        return m.total, np.exp(m.belief["z"])

    def predict_proba(self, X, lengths=None) -> np.ndarray:
        """Posteriors p(z_t | X), (T, K)."""
        return self.score_samples(X, lengths)[1]

    def filter(self, X, lengths=None) -> np.ndarray:
        """Causal posteriors p(z_t | x_0 … x_t), (T, K)."""
        return inference.filtered(self.messages(X, lengths, schedule=ForwardOnly()))

    def online(self) -> OnlineFilter:
        """A filter that takes one observation at a time, with constant memory; it gives what ``filter``
        gives."""
        return OnlineFilter(self, self.chain())

    def forecast(self, X, lengths=None, steps: int = 1) -> inference.Forecast:
        """Distributions of the states and observations of the next ``steps`` steps.

        Parameters
        ----------
        X, lengths
        steps : int
            How far ahead, h.

        Returns
        -------
        Forecast
            ``states`` (h, K), ``mean`` and ``variance`` (h, D) or ``probabilities`` (h, M); with ``lengths``,
            or a list of sequences, each with the sequences in front.
        """
        if is_list_of_sequences(X, flat=self.FLAT) or lengths is not None:
            X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        return inference.forecast(self, X, lengths, steps)

    def smooth(self, X, lengths=None, lag: int | None = None) -> np.ndarray:
        """Posteriors given all of X, or with a lag given what comes up to ``lag`` steps later, (T, K).

        p(z_t | x_0 … x_{t+lag}); lag 0 is ``filter``, None is ``predict_proba``.
        """
        schedule = None if lag is None else FixedLag(whole("lag", lag, 0))
        return np.exp(self.messages(X, lengths, schedule=schedule).belief["z"])

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
        graph = self.graph(X, lengths)
        if algorithm == "viterbi":
            m = run(graph, MaxProduct())
            return m.total, m.assignment["z"]
        path = run(graph).belief["z"].argmax(axis=1)
        return run(graph, schedule=ForwardOnly(), values={"z": path}).total, path

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
        best = self.messages(X, lengths, MaxProduct()).k_best("z", k)
        return (best.scores[0] if single else best.scores), best.states

    def sample_paths(self, X, n: int = 1, lengths=None, random_state=None) -> np.ndarray:
        """Draw paths of states from their posterior p(z | X), (n, T)."""
        rng = generator(self.random_state if random_state is None else random_state)
        return self.messages(X, lengths, schedule=ForwardOnly()).sample("z", rng, whole("n", n, 1))

    def posterior_entropy(self, X, lengths=None) -> float:
        """Entropy of the path given the data, H(z | X) in nats, summed over sequences; 0 is certainty."""
        return float(self.messages(X, lengths).entropy("z").sum())

    def expected_visits(self, X, lengths=None) -> np.ndarray:
        """Expected number of separate visits to each state given the data, (K,)."""
        return inference.expected_visits(self.messages(X, lengths))

    def expected_sojourn(self, X=None, lengths=None) -> np.ndarray:
        """Mean number of steps of a visit to each state, (K,).

        With data, expected steps there by expected visits; without, the model's own 1/(1 − a_kk), ∞ for a
        state that is never left.
        """
        if X is None:
            leaves = 1 - np.diagonal(self.chain().transition)
            return np.where(leaves > 0, 1 / np.where(leaves > 0, leaves, 1), np.inf)
        m = self.messages(X, lengths)
        visits = inference.expected_visits(m)
        return inference.expected_steps(m) / np.where(visits > 0, visits, 1)

    # -- the model itself -------------------------------------------------------------------------------

    def sample(self, n_samples: int = 1, random_state=None, currstate=None) -> tuple[np.ndarray, np.ndarray]:
        """Draw one sequence.

        Parameters
        ----------
        n_samples : int
        random_state : optional
            The model's own by default.
        currstate : int, optional
            State of the first sample.

        Returns
        -------
        X : array, (n_samples, D)
        states : array of int, (n_samples,)
        """
        chain = self.chain()
        rng = generator(self.random_state if random_state is None else random_state)
        if currstate is not None and whole("currstate", currstate, 0) >= self.n_components:
            raise DataError(f"currstate is {currstate}, but states run from 0 to {self.n_components - 1}")
        return chain.sample(
            whole("n_samples", n_samples, 1), rng, None if currstate is None else int(currstate)
        )

    def save(self, path) -> None:
        """Write the model to a safetensors file, atomically; :func:`hmm.load` reads it."""
        save(self, path)

    def plot_states(self, X, lengths=None, labels=None):
        """Figure of the data over the most likely states; see :func:`hmm.plot.plot_states`."""
        from hmm.plot import plot_states

        return plot_states(self, X, lengths, labels)

    def plot_posterior(self, X, lengths=None, labels=None):
        """Figure of the posteriors as a heat map; see :func:`hmm.plot.plot_posterior`."""
        from hmm.plot import plot_posterior

        return plot_posterior(self, X, lengths, labels)

    def plot_transitions(self, labels=None):
        """Figure of the transition graph; see :func:`hmm.plot.plot_transitions`."""
        from hmm.plot import plot_transitions

        return plot_transitions(self, labels)

    def get_stationary_distribution(self) -> np.ndarray:
        """The distribution π with π A = π, (K,)."""
        return self.chain().stationary()

    def aic(self, X, lengths=None) -> float:
        """Akaike's criterion, −2 log p(X) + 2·(free parameters); lower is better."""
        return -2 * self.score(X, lengths=lengths) + 2 * sum(free_parameters(self.chain()).values())

    def bic(self, X, lengths=None) -> float:
        """Schwarz's criterion, −2 log p(X) + log T·(free parameters); lower is better."""
        free = sum(free_parameters(self.chain()).values())
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        return -2 * self.score(X, lengths=lengths) + free * float(np.log(len(X)))
