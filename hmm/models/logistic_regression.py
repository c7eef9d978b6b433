"""``LogisticRegressionHMM``: states that are logistic regressions on covariates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.emissions.logistic_regression import LogisticRegression
from hmm.models.regression import RegressionHMM
from msgpass.errors import DataError


@dataclass(eq=False, repr=False)
class LogisticRegressionHMM(RegressionHMM):
    """Hidden Markov model of switching logistic regressions.

    A row of X is [response, covariates]: ``np.column_stack([y, U])``, y 0 or 1. A response that is NaN is
    missing; covariates are needed wherever there is a response. Likelihoods are of responses given
    covariates.

    Parameters
    ----------
    n_components : int
        States K.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    l2 : float
        Precision of a normal prior on the coefficients; 0, the default, is maximum likelihood, which has no
        finite maximum where a covariate separates a state's zeros from its ones.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "b" coef, "i" intercept.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    coef_ : array, (K, P)
    intercept_ : array, (K,)
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> u = rng.normal(size=600)
    >>> logit = np.where(np.arange(600) < 300, 4, -4) * u
    >>> y = rng.random(600) < 1 / (1 + np.exp(-logit))
    >>> model = LogisticRegressionHMM(n_components=2, random_state=0).fit(np.column_stack([y, u]))
    >>> np.sign(np.sort(model.coef_.ravel()))
    array([-1.,  1.])
    """

    EMISSION = LogisticRegression

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    l2: float = 0.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stbi"
    init_params: str = "stbi"
    implementation: str = "log"

    def emission(self, X: np.ndarray | None = None) -> LogisticRegression:
        return LogisticRegression(self.coef_, self.intercept_, self.l2, inputs=self.__dict__.get("_inputs"))

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> LogisticRegression:
        return LogisticRegression.start(X, self.n_components, rng)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        self.check_covariates(X, 1)
        wrong = (X[:, 0] != 0) & (X[:, 0] != 1) & ~np.isnan(X[:, 0])
        if wrong.any():
            t = int(wrong.argmax())
            raise DataError(
                f"X holds the response {X[t, 0]} at row {t}; it is 0 or 1, and a missing one is NaN"
            )
        return X
