"""``ExponentialHMM``: states that emit waiting times."""

from __future__ import annotations

from typing import Any

from hmm.emissions.exponential import Exponential
from hmm.models.independent import IndependentHMM


class ExponentialHMM(IndependentHMM):
    """Hidden Markov model of waiting times.

    X is (T, D), or (T,) for one feature, of numbers that are not negative; NaN is missing. Features are
    independent given the state.

    Parameters
    ----------
    n_components : int
        States K.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    rates_prior, rates_weight : float or array that broadcasts to (K, D)
        A gamma prior that counts as ``rates_weight`` more waiting times in each state, which sum to
        ``rates_prior``; 0, the default, is maximum likelihood.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "r" rates.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    rates_ : array, (K, D)
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.exponential(1, 200), rng.exponential(20, 200)])
    >>> model = ExponentialHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort(1 / model.rates_.ravel()).round(1)
    array([ 1.1, 22.5])
    """

    EMISSION = Exponential

    def __init__(
        self,
        n_components=1,
        startprob_prior=1.0,
        transmat_prior=1.0,
        rates_prior=0.0,
        rates_weight=0.0,
        algorithm="viterbi",
        random_state=None,
        n_iter=1000,
        tol=1e-4,
        verbose=False,
        params="str",
        init_params="str",
        implementation="log",
    ):
        self.n_components = n_components
        self.startprob_prior = startprob_prior
        self.transmat_prior = transmat_prior
        self.rates_prior = rates_prior
        self.rates_weight = rates_weight
        self.algorithm = algorithm
        self.random_state = random_state
        self.n_iter = n_iter
        self.tol = tol
        self.verbose = verbose
        self.params = params
        self.init_params = init_params
        self.implementation = implementation

    def settings(self) -> dict[str, Any]:
        return {"total": self.rates_prior, "weight": self.rates_weight}
