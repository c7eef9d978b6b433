"""``VonMisesHMM``: states that emit directions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.emissions.von_mises import VonMises
from hmm.models.independent import IndependentHMM


@dataclass(eq=False, repr=False)
class VonMisesHMM(IndependentHMM):
    """Hidden Markov model of angles with von Mises distributions.

    X is (T, D), or (T,) for one feature, in radians; NaN is missing. Features are independent given the
    state.

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
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "l" locs, "k" kappas.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    locs_, kappas_ : array, (K, D)
        Mean direction and concentration.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.vonmises(3.1, 5, 300), rng.vonmises(0, 5, 300)])
    >>> model = VonMisesHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort(np.cos(model.locs_.ravel())).round(1)  # across ±π, too
    array([-1.,  1.])
    """

    EMISSION = VonMises

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stlk"
    init_params: str = "stlk"
    implementation: str = "log"
