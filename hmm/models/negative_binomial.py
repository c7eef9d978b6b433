"""``NegativeBinomialHMM``: states that emit counts more variable than Poisson's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.emissions.negative_binomial import NegativeBinomial
from hmm.models.independent import IndependentHMM


@dataclass(eq=False, repr=False)
class NegativeBinomialHMM(IndependentHMM):
    """Hidden Markov model of counts that vary more than Poisson's.

    X is (T, D), or (T,) for one feature, of whole numbers ≥ 0; NaN is missing. Features are independent given
    the state.

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
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "m" means, "r" sizes.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    means_, sizes_ : array, (K, D)
        Mean m and size r; the variance is m + m²/r.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.negative_binomial(3, 0.5, 300), rng.negative_binomial(8, 0.2, 300)])
    >>> model = NegativeBinomialHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort(model.means_.ravel()).round()
    array([ 3., 31.])
    """

    EMISSION = NegativeBinomial

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stmr"
    init_params: str = "stmr"
    implementation: str = "log"
