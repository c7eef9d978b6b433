"""``SwitchingLinearGaussianSSM``: regimes that pick the matrices of a linear-Gaussian state space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.sequences import is_list_of_sequences
from hmm.state_space.expectation import finite
from hmm.state_space.switching import inference
from hmm.state_space.switching.graph import make_graph
from hmm.state_space.switching.learner import SwitchingLearner
from hmm.state_space.switching.results import SwitchingForecast, SwitchingStates
from hmm.validation import generator, whole
from msgpass import ForwardOnly, run


@dataclass(eq=False, repr=False)
class SwitchingLinearGaussianSSM(SwitchingLearner):
    """Switching linear dynamical system: a Markov chain of regimes s_t over a linear-Gaussian state space.

        x_t = F[s_t] x_{t−1} + b[s_t] + N(0, Q[s_t])        y_t = H[s_t] x_t + d[s_t] + N(0, R[s_t])

    X is (T, p), or (T,) for one output; NaN cells are missing, whole rows too. Inference is **approximate**:
    the exact posterior has one normal for every path of regimes, and Kim's filter and smoother keep one a
    regime, with the same moments (Kim 1994; Kim & Nelson 1999, ch. 5). That is exact for one regime, or for
    regimes that differ in nothing. Scores are those of the filter.

    Parameters
    ----------
    n_components : int
        Regimes K.
    n_states : int
        Numbers n in a state.
    startprob, transmat : array, optional
        (K,) and (K, K), row = from: where a fit starts, or what the model is if it is not fitted.
    transition_matrix, transition_covariance, transition_offset : array, optional
        F (n, n), Q (n, n), b (n,), or with a regime axis in front.
    observation_matrix, observation_covariance, observation_offset : array, optional
        H (p, n), R (p, p), d (p,), likewise.
    initial_mean, initial_covariance : array, optional
        (n,), (n, n), likewise; variances are finite.
    shared : list of str, optional
        Parameters that are one for all regimes; by default those of the observation and of the first state.
        Their attributes have no regime axis, those of all others have.
    learned : list of str, optional
        Parameters that a fit moves. By default all but the observation's offset, which stays at the level of
        the data, and, of too few sequences, the first state's covariance.
    frozen : list of str or dict, optional
        What a fit leaves as it is: names, or name → True or a mask of the entries that are held.
    transition_covariance_type, observation_covariance_type, initial_covariance_type : str
        "full"; "diag"; "spherical"; or "scaled", a multiple of the matrix that the fit starts from.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood. More on the diagonal of
        ``transmat_prior`` makes regimes last.
    n_init : int
        Starts, of which the best is kept, for the likelihood has many maxima: the first from an
        autoregression with regimes, others from other such, and from random stretches of the data.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        Approximate EM may lose likelihood. It stops after ``n_iter`` iterations, when one changes less than
        ``tol``, or when five find none that is better by ``tol``; the best is kept.
    verbose : bool
        Whether every iteration prints a line.

    Attributes
    ----------
    startprob_, transmat_ : array, (K,), (K, K)
    transition_matrix_, transition_covariance_, transition_offset_ : array
        (K, n, n), (K, n, n), (K, n); without the regime axis where shared.
    observation_matrix_, observation_covariance_, observation_offset_ : array
        (p, n), (p, p), (p,); with a regime axis in front where not shared.
    initial_mean_, initial_covariance_ : array
    monitor_ : ConvergenceMonitor

    Notes
    -----
    Regimes are known up to their order. If F, Q and H are learned without restriction, states are known up to
    an invertible change of basis only.

    Examples
    --------
    >>> model = SwitchingLinearGaussianSSM(
    ...     2,
    ...     startprob=[0.5, 0.5],
    ...     transmat=[[0.95, 0.05], [0.05, 0.95]],
    ...     transition_matrix=[0.95, -0.8],
    ...     transition_covariance=0.3,
    ...     observation_matrix=1,
    ...     observation_covariance=0.1,
    ...     initial_mean=0,
    ...     initial_covariance=1,
    ... )
    >>> X, states, regimes = model.sample(300, random_state=0)
    >>> bool(np.mean(model.predict(X) == regimes) > 0.9)
    True
    """

    n_components: int = 2
    n_states: int = 1
    startprob: Any = None
    transmat: Any = None
    transition_matrix: Any = None
    transition_covariance: Any = None
    transition_offset: Any = None
    observation_matrix: Any = None
    observation_covariance: Any = None
    observation_offset: Any = None
    initial_mean: Any = None
    initial_covariance: Any = None
    shared: Any = None
    learned: Any = None
    frozen: Any = None
    transition_covariance_type: str = "full"
    observation_covariance_type: str = "full"
    initial_covariance_type: str = "full"
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    n_init: int = 3
    random_state: Any = None
    n_iter: int = 300
    tol: float = 1e-3
    verbose: bool = False

    def score(self, X, y=None, lengths=None) -> float:
        """Approximate log-likelihood log p(X), summed over sequences; ``y`` is ignored, or lengths."""
        space, series = self._ready(X, y, lengths)
        return finite(run(make_graph(space, series), schedule=ForwardOnly()).total)

    def score_sequences(self, X, lengths=None) -> np.ndarray:
        """Approximate log-likelihood of every sequence, (N,)."""
        space, series = self._ready(X, None, lengths)
        return run(make_graph(space, series), schedule=ForwardOnly()).totals("x")

    def filter(self, X, lengths=None) -> SwitchingStates:
        """States and regimes given the rows up to each."""
        return inference.states(*self._ready(X, None, lengths), filtered=True)

    def smooth(self, X, lengths=None) -> SwitchingStates:
        """States and regimes given all of X."""
        return inference.states(*self._ready(X, None, lengths), filtered=False)

    def predict_proba(self, X, lengths=None) -> np.ndarray:
        """Probability of each regime at every step given all of X, (T, K)."""
        return self.smooth(X, lengths).regimes

    def predict(self, X, lengths=None) -> np.ndarray:
        """Most probable regime at every step given all of X, (T,)."""
        return self.predict_proba(X, lengths).argmax(axis=1)

    def fit_predict(self, X, y=None, lengths=None) -> np.ndarray:
        """``fit``, then ``predict``."""
        return self.fit(X, y, lengths).predict(X, lengths)

    def forecast(self, X, lengths=None, steps: int = 1) -> SwitchingForecast:
        """Moments of the states and observations of the next ``steps`` steps, and probabilities of regimes.

        Given what the filter says of the last row, moments are exact; the distribution is a mixture, and
        intervals take it for normal.

        Parameters
        ----------
        X, lengths
        steps : int
            How far ahead, h.

        Returns
        -------
        SwitchingForecast
            With ``lengths``, or a list of sequences, each array with the sequences in front.
        """
        single = lengths is None and not is_list_of_sequences(X, flat=True)
        space, series = self._ready(X, None, lengths)
        found = inference.forecast(space, series, whole("steps", steps, 1))
        if not single:
            return found
        return SwitchingForecast(*(getattr(found, name)[0] for name in vars(found)))

    def sample(self, n_samples: int = 1, random_state=None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Draw one sequence from the model: observations (T, p), states (T, n), regimes (T,)."""
        rng = generator(self.random_state if random_state is None else random_state)
        return inference.simulate(self.space(), whole("n_samples", n_samples, 1), rng)
