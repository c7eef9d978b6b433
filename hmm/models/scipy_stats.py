"""``ScipyHMM``: states that emit any distribution of scipy.stats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.emissions.scipy_family import Family
from hmm.emissions.scipy_stats import ScipyStats
from hmm.models.independent import IndependentHMM
from msgpass.errors import DataError


@dataclass(eq=False, repr=False)
class ScipyHMM(IndependentHMM):
    """Hidden Markov model whose states emit a distribution of scipy.stats, by name.

    X is (T, D), or (T,) for one feature, within the distribution's support; NaN is missing. Features are
    independent given the state. The weighted maximum has a formula for norm, laplace, expon, lognorm,
    rayleigh, halfnorm, poisson, geom, bernoulli and binom (with what is held by default); others are climbed
    by BFGS, which raises the likelihood at every iteration of EM and takes longer.

    Parameters
    ----------
    n_components : int
        States K.
    distribution : str
        Name in scipy.stats, continuous or discrete: "weibull_min", "skewnorm", "zipf", …
    fixed : dict of str to float, optional
        Parameters that keep a value, such as {"n": 10}. By default loc is held at 0 where the support has an
        end, and scale at 1 where it has two; {} estimates everything.
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
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "p" parameters.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    parameters_ : array, (K, D, P)
        In the order of ``parameter_names``.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.weibull(2, 200), 10 * rng.weibull(2, 200)])
    >>> model = ScipyHMM(n_components=2, distribution="weibull_min", random_state=0).fit(X)
    >>> model.parameter_names
    ('c', 'loc', 'scale')
    >>> np.sort(model.parameters_[:, 0, 2]).round()
    array([ 1., 11.])
    """

    EMISSION = ScipyStats

    n_components: int = 1
    distribution: Any = "norm"
    fixed: Any = None
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stp"
    init_params: str = "stp"
    implementation: str = "log"

    @property
    def family(self) -> Family:
        """The distribution, and which of its parameters are estimated."""
        if self.fixed is not None and not isinstance(self.fixed, dict):
            raise DataError(f"fixed must be a dict of parameter names and numbers, got {self.fixed!r}")
        held = None if self.fixed is None else tuple((name, float(v)) for name, v in self.fixed.items())
        return Family(self.distribution, held)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """What the last axis of ``parameters_`` holds."""
        return self.family.names

    def settings(self) -> dict[str, Any]:
        return {"family": self.family}

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> ScipyStats:
        return ScipyStats.start(X, self.n_components, rng, family=self.family)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        if self.family.discrete and (wrong := (np.floor(X) != X) & ~np.isnan(X)).any():
            t, d = np.argwhere(wrong)[0]
            raise DataError(
                f"X holds {X[t, d]} at row {t}, column {d}; {self.distribution} is on whole numbers, "
                "and a missing one is NaN"
            )
        return X
