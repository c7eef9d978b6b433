"""``GammaHMM``: states that emit gamma variables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.emissions.gamma import Gamma
from hmm.models.independent import IndependentHMM


@dataclass(eq=False, repr=False)
class GammaHMM(IndependentHMM):
    """Hidden Markov model of positive numbers with gamma distributions.

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
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "a" shapes, "b" scales.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    shapes_, scales_ : array, (K, D)
        The mean is shape·scale.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.gamma(2, 1, 300), rng.gamma(9, 3, 300)])
    >>> model = GammaHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort((model.shapes_ * model.scales_).ravel()).round(1)
    array([ 1.9, 26.5])
    """

    EMISSION = Gamma

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stab"
    init_params: str = "stab"
    implementation: str = "log"
