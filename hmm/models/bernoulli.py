"""``BernoulliHMM``: states that emit zeros and ones."""

from __future__ import annotations

from typing import Any

from hmm.emissions.bernoulli import Bernoulli
from hmm.models.independent import IndependentHMM


class BernoulliHMM(IndependentHMM):
    """Hidden Markov model of binary features.

    X is (T, D), or (T,) for one feature, of 0 and 1 (booleans go in as they are cast); NaN is missing.
    Features are independent given the state.

    Parameters
    ----------
    n_components : int
        States K.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    probs_prior : pair of floats or arrays that broadcast to (K, D)
        (a, b) of a beta prior on each probability; (1, 1), the default, is maximum likelihood.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "p" probs.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    probs_ : array, (K, D)
        Probability of a one.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = (rng.random((200, 3)) < np.repeat([[0.9], [0.1]], 100, axis=0)).astype(int)
    >>> model = BernoulliHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort(model.probs_, axis=0).round(1)
    array([[0.1, 0.1, 0.1],
           [0.9, 0.9, 0.9]])
    """

    EMISSION = Bernoulli

    def __init__(
        self,
        n_components=1,
        startprob_prior=1.0,
        transmat_prior=1.0,
        probs_prior=(1.0, 1.0),
        algorithm="viterbi",
        random_state=None,
        n_iter=1000,
        tol=1e-4,
        verbose=False,
        params="stp",
        init_params="stp",
        implementation="log",
    ):
        self.n_components = n_components
        self.startprob_prior = startprob_prior
        self.transmat_prior = transmat_prior
        self.probs_prior = probs_prior
        self.algorithm = algorithm
        self.random_state = random_state
        self.n_iter = n_iter
        self.tol = tol
        self.verbose = verbose
        self.params = params
        self.init_params = init_params
        self.implementation = implementation

    def settings(self) -> dict[str, Any]:
        return {"prior": self.probs_prior}
