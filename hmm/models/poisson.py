"""``PoissonHMM``: states that emit counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.poisson import Poisson
from msgpass.errors import DataError


@dataclass(eq=False, repr=False)
class PoissonHMM(BaseHMM):
    """Hidden Markov model of counts.

    X is (T, D), or (T,) for one feature, of whole numbers ≥ 0; NaN is missing. Features are independent given
    the state.

    Parameters
    ----------
    n_components : int
        States K.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    lambdas_prior, lambdas_weight : float or array that broadcasts to (K, D)
        A gamma prior that counts as ``lambdas_weight`` more observations in each state, which sum to
        ``lambdas_prior``; 0, the default, is maximum likelihood.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "l" lambdas.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    lambdas_ : array, (K, D)
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> import msgpass.data
    >>> earthquakes = msgpass.data.load("earthquakes").values
    >>> model = PoissonHMM(n_components=2, random_state=0).fit(earthquakes)
    >>> np.sort(model.lambdas_.ravel()).round(1).tolist()
    [15.4, 26.0]
    """

    EMISSION = Poisson
    FLAT = True

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    lambdas_prior: Any = 0.0
    lambdas_weight: Any = 0.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stl"
    init_params: str = "stl"
    implementation: str = "log"

    @property
    def n_features(self) -> int:
        """Counts D in an observation."""
        return self.chain().emission.n_features

    def emission(self, X: np.ndarray | None = None) -> Poisson:
        return Poisson(self.lambdas_, self.lambdas_prior, self.lambdas_weight)

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Poisson:
        return Poisson.start(X, self.n_components, rng)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        wrong = (X < 0) | (np.floor(X) != X) & ~np.isnan(X)
        if wrong.any():
            t, d = np.argwhere(wrong)[0]
            raise DataError(
                f"X holds {X[t, d]} at row {t}, column {d}; "
                "counts are whole numbers ≥ 0, and a missing one is NaN"
            )
        return X
