"""The estimator that all models share.

What it is lies in ``core.py``, how it learns in ``learner.py``, how it infers in ``reader.py``.
"""

from __future__ import annotations

import numpy as np

from hmm.chain import Chain
from hmm.learner import Learner
from hmm.reader import Reader
from hmm.sequences import end_to_end
from hmm.starting import check_settings, free_parameters
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
    prior_rows, prior_weight : array (n, D), float
        A prior for any emission, beside those that it has: rows as X has them that every state has seen
        before the fit, each ``prior_weight`` times.
    """

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

    def check_complete(self) -> None:
        check_settings(self)
        chain = self.chain()
        width = chain.emission.n_features + chain.transition.n_inputs
        if vars(self).get("n_features_in_", width) != width:
            raise DataError("n_features_in_ contradicts the parameters")

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
