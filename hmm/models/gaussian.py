"""``GaussianHMM``: states that emit normal vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.covariance import COVARIANCE_TYPES, check_covars, variance_floor, variance_floor_of
from hmm.emissions.gaussian import Gaussian
from hmm.emissions.gaussian_prior import GaussianPrior
from hmm.validation import one_of


@dataclass(eq=False, repr=False)
class GaussianHMM(BaseHMM):
    """Hidden Markov model of real vectors.

    X is (T, D); NaN cells are missing and are integrated out, whatever the covariance type.

    Parameters
    ----------
    n_components : int
        States K.
    covariance_type : {"diag", "spherical", "full", "tied"}
    min_covar : float, optional
        Least variance of a state (Σ_k − min_covar·I stays positive semi-definite); by default a millionth of
        each feature's variance, so that small units are no hazard.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    means_prior, means_weight, covars_prior, covars_weight : float or array
        Normal and inverse-gamma (spherical, diag) or inverse-Wishart (full, tied) priors as hmmlearn has
        them. The defaults are maximum likelihood; hmmlearn's ``covars_prior=1e-2`` is not.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "m" means, "c" covars.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    means_ : array, (K, D)
    covars_ : array, (K, D, D)
        Full matrices whatever the type. Set it in the type's own shape: (K,) spherical, (K, D) diag, (K, D,
        D) full, (D, D) tied.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, 50), rng.normal(8, 1, 50)]).reshape(-1, 1)
    >>> model = GaussianHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort(model.means_.ravel()).round().tolist()
    [0.0, 8.0]
    >>> model.covars_.shape
    (2, 1, 1)
    """

    EMISSION = Gaussian

    n_components: int = 1
    covariance_type: str = "diag"
    min_covar: Any = None
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    means_prior: Any = 0.0
    means_weight: Any = 0.0
    covars_prior: Any = 0.0
    covars_weight: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stmc"
    init_params: str = "stmc"
    implementation: str = "log"

    @property
    def n_features(self) -> int:
        """Numbers D in an observation."""
        return self.chain().emission.n_features

    @property
    def covars_(self) -> np.ndarray:
        """Covariance matrices of all states, (K, D, D)."""
        if "_covars_" not in self.__dict__:
            raise AttributeError("covars_ are not set yet; call fit(X), or set them")
        covars = self._covars_
        if self.covariance_type == "full":
            return covars
        if self.covariance_type == "tied":
            return np.repeat(covars[None], self.n_components, axis=0)
        D = covars.shape[1] if covars.ndim == 2 else np.shape(self.means_)[1]
        return (covars if covars.ndim == 2 else covars[:, None])[:, :, None] * np.eye(D)

    @covars_.setter
    def covars_(self, covars) -> None:
        one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        array = np.asarray(covars)
        D = array.shape[-1] if array.ndim and self.covariance_type != "spherical" else 1
        self._covars_ = check_covars(covars, self.covariance_type, self.n_components, D)

    def emission(self, X: np.ndarray | None = None) -> Gaussian:
        prior = GaussianPrior(self.means_prior, self.means_weight, self.covars_prior, self.covars_weight)
        floor = 0.0 if X is None else variance_floor(X, self.min_covar)
        return Gaussian(self.means_, self._covars_, self.covariance_type, floor, prior)

    def surveyed(self, emission, survey) -> Gaussian:
        return replace(emission, floor=variance_floor_of(survey.spread, self.min_covar))

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Gaussian:
        one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        return Gaussian.start(
            X, self.n_components, rng, self.covariance_type, variance_floor(X, self.min_covar)
        )

    def store_emission(self, emission) -> None:
        self.means_, self._covars_ = emission.means, emission.covars
