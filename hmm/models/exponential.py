"""``ExponentialHMM``: states that emit waiting times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hmm.emissions.exponential import Exponential
from hmm.models.independent import IndependentHMM


@dataclass(eq=False, repr=False)
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

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    rates_prior: Any = 0.0
    rates_weight: Any = 0.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "str"
    init_params: str = "str"
    implementation: str = "log"

    def settings(self) -> dict[str, Any]:
        return {"total": self.rates_prior, "weight": self.rates_weight}
