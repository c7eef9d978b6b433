"""``BernoulliHMM``: states that emit zeros and ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.emissions.bernoulli import Bernoulli
from hmm.models.independent import IndependentHMM


@dataclass(eq=False, repr=False)
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

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    probs_prior: Any = (1.0, 1.0)
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stp"
    init_params: str = "stp"
    implementation: str = "log"

    def settings(self) -> dict[str, Any]:
        return {"prior": self.probs_prior}
