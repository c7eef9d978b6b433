"""``LogNormalHMM``: states that emit log-normal variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.emissions.log_normal import LogNormal
from hmm.models.independent import IndependentHMM


@dataclass(eq=False, repr=False)
class LogNormalHMM(IndependentHMM):
    """Hidden Markov model of positive numbers whose logarithms are normal.

    X is (T, D), or (T,) for one feature, of numbers above zero; NaN is missing. Features are independent
    given the state.

    Parameters
    ----------
    n_components : int
        States K.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "l" locs, "c" scales.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    locs_, scales_ : array, (K, D)
        Mean and standard deviation of log x.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.exp(np.concatenate([rng.normal(0, 1, 200), rng.normal(5, 1, 200)]))
    >>> model = LogNormalHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort(model.locs_.ravel()).round(1)
    array([0. , 4.9])
    """

    EMISSION = LogNormal

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stlc"
    init_params: str = "stlc"
    implementation: str = "log"
