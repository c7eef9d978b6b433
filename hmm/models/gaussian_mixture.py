"""``GMMHMM``: states that emit mixtures of normal vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.covariance import COVARIANCE_TYPES, variance_floor, variance_floor_of
from hmm.emissions.gaussian_mixture import GaussianMixture
from hmm.emissions.gaussian_prior import GaussianPrior
from hmm.validation import one_of, whole


@dataclass(eq=False, repr=False)
class GMMHMM(BaseHMM):
    """Hidden Markov model of real vectors, each state a mixture of normal distributions.

    X is (T, D); NaN cells are missing and are integrated out, whatever the covariance type.

    Parameters
    ----------
    n_components : int
        States K.
    n_mix : int
        Components M of each state.
    min_covar : float, optional
        Least variance of a component; by default a millionth of each feature's variance, which keeps a
        component from collapsing onto one row.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    weights_prior : float or array that broadcasts to (K, M)
        Concentrations of a Dirichlet prior on the weights; 1, the default, is maximum likelihood.
    means_prior, means_weight, covars_prior, covars_weight : float or array
        Priors as :class:`GaussianHMM` has them, on each component; arrays are for all components: (K, M, D),
        (K, M) and the shape of ``covars_``. The defaults are maximum likelihood.
    covariance_type : {"diag", "spherical", "full", "tied"}
        "tied" is one matrix for the components of a state.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "m" means, "c" covars,
        "w" weights.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    weights_ : array, (K, M)
    means_ : array, (K, M, D)
    covars_ : array
        (K, M) spherical, (K, M, D) diag, (K, M, D, D) full, (K, D, D) tied.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> two_humps = np.where(rng.random(200) < 0.5, -3.0, 3.0) + rng.normal(size=200)
    >>> X = np.concatenate([two_humps, rng.normal(20, 1, 200)]).reshape(-1, 1)
    >>> model = GMMHMM(n_components=2, n_mix=2, random_state=0).fit(X)
    >>> k = model.predict(X)[0]
    >>> np.sort(model.means_[k].ravel()).round()
    array([-3.,  3.])
    """

    EMISSION = GaussianMixture

    n_components: int = 1
    n_mix: int = 1
    min_covar: Any = None
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    weights_prior: Any = 1.0
    means_prior: Any = 0.0
    means_weight: Any = 0.0
    covars_prior: Any = None
    covars_weight: Any = None
    algorithm: str = "viterbi"
    covariance_type: str = "diag"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stmcw"
    init_params: str = "stmcw"
    implementation: str = "log"

    @property
    def n_features(self) -> int:
        """Numbers D in an observation."""
        return self.chain().emission.n_features

    def emission(self, X: np.ndarray | None = None) -> GaussianMixture:
        one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        prior = GaussianPrior(
            self.means_prior,
            self.means_weight,
            0.0 if self.covars_prior is None else self.covars_prior,
            1.0 if self.covars_weight is None else self.covars_weight,
        )
        floor = 0.0 if X is None else variance_floor(X, self.min_covar)
        return GaussianMixture(
            self.weights_, self.means_, self.covars_, self.covariance_type, floor, self.weights_prior, prior
        )

    def surveyed(self, emission, survey) -> GaussianMixture:
        return replace(emission, floor=variance_floor_of(survey.spread, self.min_covar))

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> GaussianMixture:
        one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        M, floor = whole("n_mix", self.n_mix, 1), variance_floor(X, self.min_covar)
        return GaussianMixture.start(X, self.n_components, M, rng, self.covariance_type, floor)
