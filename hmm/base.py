"""The estimator that all models share.

What it is lies in ``core.py``, how it learns in ``learner.py``, how it infers in ``reader.py``.
"""

from __future__ import annotations

import numpy as np

from hmm.chain import Chain
from hmm.keeping import save
from hmm.learner import Learner
from hmm.reader import Reader
from hmm.sequences import end_to_end
from hmm.starting import free_parameters
from hmm.validation import generator, rows_of_numbers, same_width, whole
from msgpass.errors import DataError


class BaseHMM(Learner, Reader):
    """Base of the models; a model adds its constructor, its emission, and what data it takes.

    A subclass writes ``EMISSION``, ``emission`` and ``start_emission``, and ``check_data`` where not every
    number will do. Where it is a dataclass (``@dataclass(eq=False, repr=False)``) whose fields are its
    settings, it takes the following by keyword, too.

    Parameters
    ----------
    n_init : int
        Starts; the fit keeps the best.
    method : {"em", "lbfgs"}
        Baum-Welch, or L-BFGS on the same likelihood, whose gradient is read from the same messages.
    transitions : hmm.transitions.Transition, optional
        How states follow each other; one matrix for all steps by default. ``ByGroup`` has a matrix for each
        kind of step, ``Logistic`` is driven by inputs, ``SemiMarkov`` has explicit durations.
    topology : None, str, int or array (K, K)
        Which transitions there may be: "ergodic" (the default), "left-right", "linear", "cyclic", a whole
        number b (states at most b apart), or a mask. See :func:`hmm.topology.allowed_transitions`. Under a
        sparse mask (scipy.sparse), or a narrow band of 512 states or more, ``transmat_`` is a sparse array.
    frozen : dict, optional
        What a fit leaves as it is set: "startprob", "transmat", a parameter of the emission or "emission" →
        states, or a mask. ``params`` freezes whole parameters.
    tied : dict, optional
        "transmat" or "emission" → lists of states that share their row, or what they emit.
    """

    n_init: int = field(default=1, kw_only=True)
    method: str = field(default="em", kw_only=True)
    transitions: Any = field(default=None, kw_only=True)
    topology: Any = field(default=None, kw_only=True)
    frozen: Any = field(default=None, kw_only=True)
    tied: Any = field(default=None, kw_only=True)

    EMISSION: ClassVar[type[Emission]]
    FLAT: ClassVar[bool] = False
    """Whether X of shape (T,) stands for (T, 1)."""
    PRIORS_BY_DEFAULT: ClassVar[bool] = False
    """Whether a prior of None stands for one of the model's own."""
    memory: ClassVar[int] = 0
    """Earlier rows that the density of an observation reads."""

    # -- what a model adds ------------------------------------------------------------------------------

    def emission(self, X: np.ndarray | None = None) -> Emission:
        """The emission that the attributes hold, unchecked; with data, ready to be fitted to them."""
        raise TypeError(f"{type(self).__name__} has no emission; use one of hmm's models")

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Emission:
        """Where EM starts."""
        raise TypeError(f"{type(self).__name__} has no emission; use one of hmm's models")

    def stickiness(self, X: np.ndarray) -> float:
        """Mass that goes to staying where one is before the rest of a transition matrix is drawn."""
        return 0.0

    def store_emission(self, emission: Emission) -> None:
        """Keep an emission's fields as attributes."""
        for name in emission.LETTERS.values():
            setattr(self, f"{name}_", getattr(emission, name))

    def surveyed(self, emission: Emission, survey: Survey) -> Emission:
        """An emission ready to be fitted to all data that a survey has seen, where ``emission(X)`` saw some
        of them only."""
        return emission

    def check_data(self, X: np.ndarray) -> np.ndarray:
        """(T, D) data of the kind that the emission wants."""
        return X

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def arranged(self, X: np.ndarray, lengths: list[int]) -> np.ndarray:
        """Checked observations as the emission takes them."""
        return X

    # -- learning ---------------------------------------------------------------------------------------

    def fit(self, X, y=None, lengths=None, *, weights=None, labels=None, checkpoint=None):
        """Estimate the parameters by Baum-Welch, or by the climb that ``method`` names.

        Parameters
        ----------
        X : array-like or frame, (T, D), or a list of these
            Sequences end to end, or a list with one array a sequence; NaN is missing. Inputs of the
            transitions, if they take some, are the last columns.
        y : ignored, or lengths
            scikit-learn's place for a target, and hmmlearn's for ``lengths``: whole numbers ≥ 1 that sum to T
            are lengths; anything else with T entries is ignored.
        lengths : array-like of int, optional
            Lengths of the sequences, summing to T; one sequence by default.
        weights : array-like, (N,), optional
            How often each sequence counts: 2 is worth the sequence twice.
        labels : array-like of int, (T,), optional
            States that are known, −1 (or NaN) where they are not: what is maximised is log p(x, labels).
        checkpoint : str or path, optional
            A file that the fit is kept in while it runs, and from which the same call goes on after it was
            cut short, to the bit. With ``n_iter`` raised the best goes on from where it ended. L-BFGS goes on
            from the same parameters without its memory of the curvature, so not by the same steps.

        Returns
        -------
        self

        Raises
        ------
        DataError, ShapeError, ProbabilityError
            Where an argument, the data or an attribute that the fit starts from cannot be used.
        ImpossibleEvidenceError
            If the start gives some observation probability zero.
        KeyboardInterrupt
            When it is interrupted; the model then holds the best parameters so far.

        Warns
        -----
        ConvergenceWarning
            If ``n_iter`` iterations were not enough to gain less than ``tol > 0`` in one.
        """
        check_settings(self)
        names = column_names(X)
        sample, width = self._sample(X, y, lengths, weights, labels)
        kept = None
        if checkpoint is not None:
            kept = Checkpoint(checkpoint, self, digest(self, sample), lambda draft: draft._learned(sample.X))
        fitting = self._fitting(
            lambda origin, rng: origin._start(sample, rng),
            lambda chain: Expectation(sample, chain, model_restrictions(self)),
            kept,
        )
        self._seen(width, names)
        return self._concluded(fitting, kept)

    def partial_fit(
        self,
        X,
        y=None,
        lengths=None,
        *,
        weights=None,
        labels=None,
        learning_decay: float = 0.6,
        learning_offset: float = 0.0,
    ):
        """Learn from one more batch of whole sequences, by online EM, and forget old ones little by little.

        Running means of the sufficient statistics are moved towards those of the batch, s ← (1 − γ) s + γ ŝ,
        and the parameters maximise what s says (Cappé & Moulines 2009). The step is γ_n = (n +
        learning_offset)^−learning_decay, with n the rows so far in units of this batch's: the number of
        batches, if they are alike. The first call starts the parameters from its batch as ``fit`` does; a
        model that has been fitted goes on from what it has, with a fresh memory. Parameters move as soon as
        five numbers have come for each free one, and the model can be used after every call. The running
        means are saved with it, so that a loaded model goes on.

        Parameters
        ----------
        X, y, lengths, weights, labels
            One batch, as ``fit`` takes them. Some hundred rows are better than a few.
        learning_decay : float
            κ in (½, 1]: 1 weighs all batches alike, less forgets the early ones, whose posteriors come from
            poor parameters.
        learning_offset : float
            n_0 ≥ 0; more damps the first steps.

        Returns
        -------
        self
            ``monitor_.history`` has the log-likelihood of each batch before it was learned from.

        Raises
        ------
        UnsupportedError
            If the M-step of the emission or of the transitions has no additive statistics.

        Examples
        --------
        >>> import hmm
        >>> model, rng = hmm.PoissonHMM(n_components=2, random_state=0), np.random.default_rng(0)
        >>> for _ in range(20):
        ...     model = model.partial_fit(rng.poisson(np.repeat([2, 20], 50)))
        >>> np.sort(model.lambdas_.ravel()).round()
        array([ 2., 20.])
        """
        return partial_fit(self, X, y, lengths, weights, labels, learning_decay, learning_offset)

    def fit_batches(self, batches, *, checkpoint=None):
        """Estimate the parameters as ``fit`` does, from data that come in batches, one at a time in memory.

        Every iteration of EM goes once through all batches and adds up their statistics, so the result is
        that of ``fit`` on all of them to rounding, from the same start. (Student t models rise by another
        step, to the same maximum.) The start comes from the first batch, or from what the attributes hold and
        ``init_params`` does not name. One pass more, before the first iteration, checks and measures the
        data.

        Parameters
        ----------
        batches : iterable or callable
            A list, an object that can be iterated over again (:func:`hmm.batches` cuts one out of a
            memory-mapped array), or a function that returns a new iterator each time, such as a generator
            function. Each item holds whole sequences: an array (T, D), one sequence; a list of these; a pair
            (X, lengths); or a dict with "X" and any of "lengths", "weights", "labels".
        checkpoint : str or path, optional
            As of ``fit``.

        Returns
        -------
        self

        Raises
        ------
        UnsupportedError
            If the M-step of the emission or of the transitions has no additive statistics.
        DataError
            If ``batches`` can be gone through only once, or differs from one time to the next.
        KeyboardInterrupt
            When it is interrupted; the model then holds the best parameters so far.

        Examples
        --------
        >>> import hmm
        >>> def days():
        ...     for seed in range(5):
        ...         yield np.random.default_rng(seed).poisson(np.repeat([2, 20], 50))
        >>> model = hmm.PoissonHMM(n_components=2, random_state=0).fit_batches(days)
        >>> np.sort(model.lambdas_.ravel()).round()
        array([ 2., 21.])
        """
        fitting, kept, source = by_batches.begun(self, batches, checkpoint)
        self._seen(source.width, source.names)
        return self._concluded(fitting, kept)

    def _seen(self, width: int, names: np.ndarray | None) -> None:
        """Keep what the columns of a fit were; what an earlier one left is void."""
        self.n_features_in_ = width
        if names is not None:
            self.feature_names_in_ = names
        else:
            self.__dict__.pop("feature_names_in_", None)
        self.__dict__.pop("_running_", None)

    def _concluded(self, fitting: Fitting, kept: Checkpoint | None):
        """Run a fit to its end, or to an interrupt."""
        monitor = fitting.monitor
        try:
            for best in fitting:
                self._store(best)
        except KeyboardInterrupt:
            fitting.settle()
            if kept is not None:
                kept.write(fitting.state)
            log.warning("The fit was interrupted; the model holds the best parameters so far")
            raise
        if monitor.iter > 1 and monitor.tol > 0 and not monitor.converged:
            warnings.warn(
                f"the fit stopped after n_iter={monitor.n_iter} iterations, the last of which gained "
                f"{monitor.history[-1] - monitor.history[-2]:.3g} ≥ tol={monitor.tol}; "
                "raise n_iter, or tol, or set tol=0",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self

    def _sample(self, X, y=None, lengths=None, weights=None, labels=None) -> tuple[Sample, int]:
        """Data of a fit, checked and arranged, and the columns of X."""
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        rows = rows_of_numbers(X, flat=self.FLAT)
        X, U = self._split(rows)
        X = self.check_data(X)
        sample = checked_sample(
            X, U, lengths_or_target(y, lengths, len(X)), labels, weights, self.n_components
        )
        return replace(sample, X=self.arranged(X, sample.lengths)), rows.shape[1]

    def _split(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(observations, inputs of the transitions)."""
        P = self.transition_kind().n_inputs
        if not P:
            return X, None
        if X.shape[1] <= P:
            raise ShapeError(
                f"X has {X.shape[1]} columns; wanted at least one of observations, and then {P} of inputs to "
                "the transitions"
            )
        return X[:, :-P], np.asarray(X[:, -P:], np.float64)

    def _fitting(
        self,
        start: Callable[[Any, np.random.Generator], Chain],
        expectation: Callable[[Chain], Any],
        kept: Checkpoint | None,
    ) -> Fitting:
        """The climbs, each from the attributes that were set before the first of them."""
        monitor, rng = self._fresh_monitor(), generator(self.random_state)
        state = None if kept is None else kept.load()
        origin = copy.copy(self) if kept is None else kept.origin
        expectations: dict[str, Any] = {}

        def climb(chain: Chain) -> Iterator[Chain]:
            if "of" not in expectations:
                expectations["of"] = expectation(chain)
            return self._climb(chain, expectations["of"], monitor)

        n_init = self.n_init
        if n_init > 1 and not set(self.init_params) and all(map(origin.has, _flat(attributes(origin)))):
            log.warning("n_init=%d starts would be alike, for init_params is empty; one is made", n_init)
            n_init = 1
        after: Callable = (lambda _: None) if kept is None else kept.after
        return Fitting(lambda rng: start(origin, rng), climb, monitor, rng, n_init, state, after)

    def _start(self, sample: Sample, rng: np.random.Generator) -> Chain:
        """Where a climb begins; the model stays as it is."""
        return starting_chain(self, sample, rng)

    def _climb(self, chain: Chain, expectation, monitor) -> Iterator[Chain]:
        climb: Callable = {"em": baum_welch, "lbfgs": gradient_ascent}[self.method]
        return climb(chain, expectation, self.params, monitor)

    def _store(self, chain: Chain) -> None:
        self.startprob_ = chain.initial
        for name in chain.transition.FIELDS:
            setattr(self, f"{name}_", getattr(chain.transition, name))
        self.store_emission(chain.emission)

    def _learned(self, X: np.ndarray) -> Chain:
        """What ``_store`` kept, to go on from."""
        return self.chain(X)

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
        kind = self.transition_kind()
        absent = [name for name in _flat(attributes(self)) if not self.has(name)]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(f'{n}_' for n in absent)} yet; "
                "call fit(X), or set these attributes"
            )
        held: dict[str, Any] = {name: getattr(self, f"{name}_") for name in kind.FIELDS}
        return Chain(
            probabilities("startprob_", self.startprob_, (K,)),
            replace(cast(Any, kind), **held).check(K),
            self.emission(X).check(K),
            self._concentration(K),
        )

    def _concentration(self, K: int) -> Any:
        """Prior of the initial distribution."""
        return prior("startprob_prior", self.startprob_prior, (K,), positive=True)

    def transition_kind(self) -> Transition:
        """The setting ``transitions``, without what is fitted."""
        kind = self.transitions
        if kind is None:
            sparse = issparse(self.__dict__.get("transmat_")) or is_sparse(self.topology, self.n_components)
            kind = Sparse() if sparse else Homogeneous()
        return kind.with_prior(self.transmat_prior)

    def has(self, field: str) -> bool:
        """Whether an attribute such as "startprob" has been fitted or set."""
        return f"{field}_" in self.__dict__ or f"_{field}_" in self.__dict__

    def _ready(self, X, lengths) -> tuple[Chain, Evidence]:
        """The chain, and data for it."""
        chain = self.chain()
        return chain, self._evidence(chain, X, lengths)

    def _evidence(self, chain: Chain, X, lengths) -> Evidence:
        """Data of inference, checked and prepared."""
        return chain.evidence(self._inference_sample(chain, X, lengths))

    def _inference_sample(self, chain: Chain, X, lengths, weights=None, labels=None) -> Sample:
        """Data of inference, checked and arranged."""
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        X = rows_of_numbers(X, flat=self.FLAT)
        same_width(X, chain.emission.n_features + chain.transition.n_inputs, type(self).__name__)
        X, U = self._split(X)
        X = self.check_data(X)
        sample = checked_sample(X, U, lengths, labels, weights, self.n_components)
        return replace(sample, X=self.arranged(X, sample.lengths))

    def graph(self, X, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on.

        States are the sequence "z", parameters are "initial", "transition" and "emission" (log probabilities
        of symbols) or "log_density" (T, K).
        """
        chain, evidence = self._ready(X, lengths)
        return chain.graph(evidence)

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

    # -- how well parameters are known ------------------------------------------------------------------

    def standard_errors(self, X, lengths=None, *, weights=None, labels=None) -> StandardErrors:
        """Standard errors of the estimates, from the observed information.

        The information is minus the matrix of second derivatives of log p(X) (plus log prior, if there is
        one) at the maximum, in coordinates without constraints; it takes two runs of the graph for each of
        them. Its inverse is the covariance of the estimates if there are many data; errors of the parameters
        themselves follow by the delta method.

        Parameters
        ----------
        X, lengths, weights, labels
            What the model was fitted to.

        Returns
        -------
        StandardErrors
            By attribute, ``errors["transmat_"]``, in its shape; what ``params`` names. NaN where there is
            none: zeros of the structure, frozen numbers, estimates at the edge of their range (probabilities
            that next to nothing speaks for, variances at the floor).

        Raises
        ------
        NumericalError
            If the information is not positive definite: the parameters are not at a maximum, or the data do
            not tell them apart.

        Warns
        -----
        ConvergenceWarning
            If the parameters are far from the maximum, compared with their errors.

        Examples
        --------
        >>> from hmm import PoissonHMM
        >>> X = np.random.default_rng(0).poisson(4, 400)
        >>> PoissonHMM().fit(X).standard_errors(X)
        StandardErrors
          lambdas_[0, 0]  3.9175 ± 0.099
        """
        return standard_errors(self, X, lengths, weights, labels)

    def confidence_intervals(
        self, X, lengths=None, level: float = 0.95, *, weights=None, labels=None
    ) -> ConfidenceIntervals:
        """Confidence intervals of the parameters, from the observed information.

        They are symmetric on a scale without ends (logarithms of what is above zero, log p/(1 − p) of
        probabilities), so that they stay in the parameter's range.

        Parameters
        ----------
        X, lengths, weights, labels
            What the model was fitted to.
        level : float
            Of confidence.

        Returns
        -------
        ConfidenceIntervals
            By attribute, ``lower, upper = intervals["transmat_"]``, in its shape; NaN as in
            ``standard_errors``.
        """
        return confidence_intervals(self, X, lengths, level, weights, labels)

    # -- the model itself -------------------------------------------------------------------------------

    def sample(
        self, n_samples: int = 1, random_state=None, currstate=None, inputs=None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one sequence.

        Parameters
        ----------
        n_samples : int
        random_state : optional
            The model's own by default.
        currstate : int, optional
            State of the first sample.
        inputs : array-like, (n_samples, P), optional
            Inputs of the transitions, where they take some.

        Returns
        -------
        X : array, (n_samples, D)
            Observations; inputs, if there are some, are the last columns.
        states : array of int, (n_samples,)
        """
        chain = self.chain()
        rng = generator(self.random_state if random_state is None else random_state)
        if currstate is not None and whole("currstate", currstate, 0) >= self.n_components:
            raise DataError(f"currstate is {currstate}, but states run from 0 to {self.n_components - 1}")
        U = self._inputs_of(chain, inputs, "sampling")
        n = whole("n_samples", n_samples, 1) if U is None else len(U)
        prepared = None if U is None else chain.transition.prepare(U, [n])
        X, states = chain.sample(n, rng, None if currstate is None else int(currstate), prepared)
        return (X if U is None else np.concatenate([X, U], axis=1)), states

    @staticmethod
    def _inputs_of(chain: Chain, inputs, what: str) -> np.ndarray | None:
        """Rows of inputs for transitions that take some."""
        P = chain.transition.n_inputs
        if not P:
            if inputs is not None:
                raise DataError(f"{what} was given inputs, but the transitions of this model take none")
            return None
        if inputs is None:
            raise DataError(f"{what} needs inputs=, one row of {P} for each step")
        U = np.asarray(rows_of_numbers(inputs, flat=True), np.float64)
        same_width(U, P, "the transitions")
        return U

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
        return -2 * self.score(X, lengths=lengths) + 2 * sum(free_parameters(self, self.chain()).values())

    def bic(self, X, lengths=None) -> float:
        """Schwarz's criterion, −2 log p(X) + log T·(free parameters); lower is better."""
        free = sum(free_parameters(self, self.chain()).values())
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        return -2 * self.score(X, lengths=lengths) + free * float(np.log(len(X)))
