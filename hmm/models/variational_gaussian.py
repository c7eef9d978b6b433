"""``VariationalGaussianHMM``: states that emit normal vectors, with a posterior of all parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.emissions.covariance import COVARIANCE_TYPES, variance_floor
from hmm.emissions.gaussian import Gaussian
from hmm.models.gaussian import GaussianHMM
from hmm.validation import one_of
from hmm.variational.model import VariationalHMM
from hmm.variational.normal import NormalPosterior
from hmm.variational.normal_prior import checked_prior, default_prior


@dataclass(eq=False, repr=False)
class VariationalGaussianHMM(VariationalHMM):
    """Hidden Markov model of real vectors, fitted by variational Bayes.

    ``fit`` climbs a lower bound on the log evidence; states that the data do not need are left with their
    prior. Inference (``score``, ``decode``, …) works on the posterior means of probabilities and means, and
    on the inverses of the mean precisions. X is (T, D); NaN is missing: cells drop out with spherical and
    diagonal covariances, and are latent with full and tied ones (see :mod:`hmm.variational.normal`).

    The prior is μ_k | Λ_k ~ N(m, (βΛ_k)⁻¹), and Λ_k ~ Wishart(ν, S) (full, tied), Gamma(ν/2, S/2) a feature
    (diag) or Gamma(Dν/2, DS/2) (spherical); S/ν is a variance in all of them.

    Parameters
    ----------
    n_components : int
        States K, at most.
    covariance_type : {"full", "spherical", "diag", "tied"}
    startprob_prior, transmat_prior : float or array, optional
        Concentrations of Dirichlet priors; 1/K by default.
    means_prior : float or array that broadcasts to (K, D), optional
        m; the mean of the data by default.
    beta_prior : float or array, (K,), optional
        β, in observations; 1 by default.
    dof_prior : float or array, (K,), or a number (tied), optional
        ν, above D − 1 of matrices; D by default.
    scale_prior : float or array, optional
        S, in the shape of the type's covariances, a number s of matrices standing for s·I; by default a
        thousandth of each feature's variance, so that units do not matter.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        The fit stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        Whose posteriors ``fit`` updates and which it starts anew: "s" startprob, "t" transmat, "m" means and
        beta, "c" dof and scale.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_prior_, startprob_posterior_ : array, (K,)
        Concentrations.
    transmat_prior_, transmat_posterior_ : array, (K, K), row = from
    means_prior_, means_posterior_ : array, (K, D)
    beta_prior_, beta_posterior_ : array, (K,)
        The posterior's is (K, D) if diagonal or spherical emissions had rows with some cells missing.
    dof_prior_, dof_posterior_ : array, (K,), or a number (tied)
        The posterior's is (K, D) if diagonal emissions had such rows.
    scale_prior_, scale_posterior_ : array, (K,), (K, D), (K, D, D) or (D, D), by type
    startprob_, transmat_, means_ : array
        Posterior means.
    covars_ : array, (K, D, D)
        scale/dof, the inverses of the mean precisions, whatever the type.
    monitor_ : ConvergenceMonitor
        ``history`` holds the lower bounds.

    References ---------- Beal 2003, Variational algorithms for approximate Bayesian inference, ch. 3; Gruhl &
    Sick 2016, Variational Bayesian inference for hidden Markov models with multivariate Gaussian output
    distributions.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, 60), rng.normal(8, 1, 60)]).reshape(-1, 1)
    >>> model = VariationalGaussianHMM(n_components=4, random_state=0).fit(X)
    >>> used = model.predict_proba(X).sum(axis=0) > 1
    >>> np.sort(model.means_[used].ravel()).round().tolist()
    [0.0, 8.0]
    """

    EMISSION = Gaussian
    POSTERIOR = NormalPosterior

    n_components: int = 1
    covariance_type: str = "full"
    startprob_prior: Any = None
    transmat_prior: Any = None
    means_prior: Any = None
    beta_prior: Any = None
    dof_prior: Any = None
    scale_prior: Any = None
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-6
    verbose: bool = False
    params: str = "stmc"
    init_params: str = "stmc"
    implementation: str = "log"

    n_features = GaussianHMM.n_features
    covars_ = GaussianHMM.covars_
    store_emission = GaussianHMM.store_emission

    def emission(self, X: np.ndarray | None = None) -> Gaussian:
        return Gaussian(self.means_, self._covars_, self.covariance_type)

    def _settings(self) -> dict[str, Any]:
        return {"covariance_type": self.covariance_type}

    def start_posterior(self, X: np.ndarray, rng: np.random.Generator) -> NormalPosterior:
        """Means of clusters; the covariance of all data for every state, wide enough to reach everything."""
        kind, K, D = (
            one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES),
            self.n_components,
            X.shape[1],
        )
        given = {
            name: getattr(self, name) for name in ("means_prior", "beta_prior", "dof_prior", "scale_prior")
        }
        given = {**default_prior(X, kind, K), **{k: v for k, v in given.items() if v is not None}}
        before = checked_prior(
            given["means_prior"], given["beta_prior"], given["dof_prior"], given["scale_prior"], kind, K, D
        )
        begun = Gaussian.start(X, K, rng, kind, variance_floor(X, None))
        share = len(X) / K
        dof = before.dof + (len(X) if kind == "tied" else share)
        spread = {"full": dof[..., None, None], "diag": dof[..., None]}.get(kind, dof)
        return NormalPosterior(
            kind,
            before.means,
            begun.means,
            before.beta,
            before.beta + share,
            before.dof,
            dof,
            before.scale,
            begun.covars * spread,
        ).check(K)
