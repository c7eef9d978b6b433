"""``LinearRegressionHMM``: states that are linear regressions on covariates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.emissions.linear_regression import LinearRegression
from hmm.models.regression import RegressionHMM
from hmm.validation import whole


@dataclass(eq=False, repr=False)
class LinearRegressionHMM(RegressionHMM):
    """Hidden Markov model of switching linear regressions.

    A row of X is [responses, covariates]: ``np.column_stack([y, U])``. A response that is NaN is missing;
    covariates are needed wherever there is a response. Likelihoods are of responses given covariates, with
    normal noise.

    Parameters
    ----------
    n_components : int
        States K.
    n_targets : int
        The first columns of X that are responses; the others are covariates.
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
    coef_ : array, (K, n_targets, P)
    intercept_ : array, (K, n_targets)
    covars_ : array, (K, n_targets)
        Variances of the noise.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> u = rng.normal(size=400)
    >>> y = np.where(np.arange(400) < 200, 2, -1) * u + 0.1 * rng.normal(size=400)
    >>> model = LinearRegressionHMM(n_components=2, random_state=0).fit(np.column_stack([y, u]))
    >>> np.sort(model.coef_.ravel()).round(1)
    array([-1.,  2.])
    """

    EMISSION = LinearRegression

    n_components: int = 1
    n_targets: int = 1
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

    def emission(self, X: np.ndarray | None = None) -> LinearRegression:
        return LinearRegression(
            self.coef_, self.intercept_, self.covars_, inputs=self.__dict__.get("_inputs")
        )

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> LinearRegression:
        return LinearRegression.start(X, self.n_components, self._targets(), rng)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        self.check_covariates(X, self._targets())
        return X

    def _targets(self) -> int:
        return whole("n_targets", self.n_targets, 1)
