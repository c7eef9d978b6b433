"""``VariationalCategoricalHMM``: states that emit one of M symbols, with a posterior of all parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.emissions.categorical import Categorical
from hmm.models.categorical import CategoricalHMM
from hmm.validation import prior
from hmm.variational.categorical import CategoricalPosterior
from hmm.variational.model import VariationalHMM


@dataclass(eq=False, repr=False)
class VariationalCategoricalHMM(VariationalHMM):
    """Hidden Markov model of symbols 0 … M−1, fitted by variational Bayes.

    ``fit`` climbs a lower bound on the log evidence; states that the data do not need are left with their
    prior. Inference (``score``, ``decode``, …) works on the posterior means of all probabilities. X is (T, 1)
    or (T,) of whole numbers; −1 or NaN is missing.

    Parameters
    ----------
    n_components : int
        States K, at most.
    startprob_prior, transmat_prior : float or array, optional
        Concentrations of Dirichlet priors; 1/K by default.
    emissionprob_prior : float or array, optional
        The same of symbols; 1/M by default.
    n_features : int, optional
        Symbols M; by default one more than the largest in the data of ``fit``.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        The fit stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        Whose posteriors ``fit`` updates and which it starts anew: "s" startprob, "t" transmat, "e"
        emissionprob.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_prior_, startprob_posterior_ : array, (K,)
        Concentrations.
    transmat_prior_, transmat_posterior_ : array, (K, K), row = from
    emissionprob_prior_, emissionprob_posterior_ : array, (K, M)
    startprob_, transmat_, emissionprob_ : array
        Posterior means.
    monitor_ : ConvergenceMonitor
        ``history`` holds the lower bounds.

    References
    ----------
    MacKay 1997, Ensemble learning for hidden Markov models; Beal 2003, Variational algorithms for approximate
    Bayesian inference, ch. 3.

    Examples
    --------
    Symbols that alternate need two states of the four:

    >>> model = VariationalCategoricalHMM(n_components=4, random_state=0).fit([0, 1] * 50)
    >>> model.predict_proba([0, 1] * 50).max(axis=0).round(2).tolist().count(1.0)
    2
    >>> bool(model.lower_bound([0, 1] * 50) >= model.monitor_.history[-1])
    True
    """

    EMISSION = Categorical
    POSTERIOR = CategoricalPosterior
    FLAT = True

    n_components: int = 1
    startprob_prior: Any = None
    transmat_prior: Any = None
    emissionprob_prior: Any = None
    n_features: Any = None
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-6
    verbose: bool = False
    params: str = "ste"
    init_params: str = "ste"
    implementation: str = "log"

    start_emission = CategoricalHMM.start_emission
    stickiness = CategoricalHMM.stickiness
    check_data = CategoricalHMM.check_data

    def emission(self, X: np.ndarray | None = None) -> Categorical:
        return Categorical(self.emissionprob_)

    def start_posterior(self, X: np.ndarray, rng: np.random.Generator) -> CategoricalPosterior:
        rows = self.start_emission(X, rng).emissionprob
        value = 1 / rows.shape[1] if self.emissionprob_prior is None else self.emissionprob_prior
        before = np.broadcast_to(prior("emissionprob_prior", value, rows.shape, positive=True), rows.shape)
        return CategoricalPosterior(before, before + len(X) / self.n_components * rows)
