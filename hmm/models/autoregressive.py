"""``AutoregressiveHMM``: states that are autoregressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.autoregressive import Autoregressive, with_lags
from hmm.validation import whole


@dataclass(eq=False, repr=False)
class AutoregressiveHMM(BaseHMM):
    """Markov-switching autoregression: x_t | k ~ N(a_k + Σ_i A_ki x_{t−i}, diag σ²_k).

    X is (T, D), or (T,) for one feature. Likelihoods are conditional on the first ``order`` rows of each
    sequence. NaN is missing; the row itself loses the missing cell, and rows that need it as their past are
    conditioned on, too.

    Parameters
    ----------
    n_components : int
        States K.
    order : int
        Lags p.
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
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "b" coef, "i" intercept,
        "c" covars.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    coef_ : array, (K, D, D·order)
        Columns D·(i − 1) to D·i belong to lag i.
    intercept_ : array, (K, D)
    covars_ : array, (K, D)
        Variances of the noise.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.zeros(1000)
    >>> for t in range(1, 1000):
    ...     x[t] = (0.9 if t < 500 else -0.9) * x[t - 1] + rng.normal()
    >>> model = AutoregressiveHMM(n_components=2, random_state=0).fit(x)
    >>> np.sort(model.coef_.ravel()).round(1)
    array([-0.9,  0.9])
    """

    EMISSION = Autoregressive
    FLAT = True

    n_components: int = 1
    order: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stbic"
    init_params: str = "stbic"
    implementation: str = "log"

    @property
    def n_features(self) -> int:
        """Numbers D in an observation."""
        return self.chain().emission.n_features

    @property
    def memory(self) -> int:  # type: ignore[override]
        """Earlier rows that the density of an observation reads: ``order``."""
        return whole("order", self.order, 1)

    def arranged(self, X: np.ndarray, lengths: list[int]) -> np.ndarray:
        return with_lags(X, lengths, self.memory)

    def emission(self, X: np.ndarray | None = None) -> Autoregressive:
        return Autoregressive(self.coef_, self.intercept_, self.covars_)

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Autoregressive:
        return Autoregressive.start(X, self.n_components, X.shape[1] // (self.memory + 1), rng)
