"""How all models learn: ``fit`` and its kin, what a fit tells, and how well parameters are known."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hmm.chain import Chain
from hmm.core import Core, flat
from hmm.learning import batches as by_batches
from hmm.learning.baum_welch import baum_welch
from hmm.learning.checkpoint import Checkpoint, digest
from hmm.learning.expectation import Expectation
from hmm.learning.fitting import Fitting
from hmm.learning.gradient_ascent import gradient_ascent
from hmm.learning.online import partial_fit
from hmm.monitor import log
from hmm.sample import Sample
from hmm.sequences import column_names
from hmm.starting import attributes, check_settings, model_restrictions, starting_chain
from hmm.uncertainty import ConfidenceIntervals, StandardErrors, confidence_intervals, standard_errors
from hmm.validation import generator


class Learner(Core):
    """Methods that estimate."""

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
        labels : array-like of int, (T,), or a list with one a sequence, optional
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
            lambda chain: Expectation(sample, chain, model_restrictions(self), keep=self.method != "em"),
            kept,
        )
        self._seen(width, names)
        return self._concluded(fitting, self._store, kept)

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
        return self._concluded(fitting, self._store, kept)

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
        if n_init > 1 and not set(self.init_params) and all(map(origin.has, flat(attributes(origin)))):
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
