"""``SwitchingMeanHMM``: an autoregression around a mean that switches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.autoregressive import with_lags
from hmm.emissions.switching_mean import SwitchingMean
from hmm.transitions.history import History
from hmm.validation import whole
from msgpass.errors import ShapeError, UnsupportedError


@dataclass(eq=False, repr=False)
class SwitchingMeanHMM(BaseHMM):
    """Markov-switching autoregression with a switching mean (Hamilton 1989; MSM(K)-AR(p) in Krolzig's terms):

        x_t − μ(z_t) = Σ_i φ_i (x_{t−i} − μ(z_{t−i})) + ε_t,   ε_t ~ N(0, σ²)

    After a switch the old mean lingers through the lags, unlike in :class:`AutoregressiveHMM`, whose
    intercept switches at once. X is (T,) or (T, 1); the likelihood is conditional on the first ``order`` rows
    of each sequence. A row that is missing, or has a missing one among the ``order`` rows before it, says
    nothing. The graph's states are the K^{order + 1} tuples (z_t, …, z_{t−order}); what methods return are
    states z_t.

    Parameters
    ----------
    n_components : int
        States K.
    order : int
        Lags p.
    switching_variance : bool
        Whether each state has a σ² of its own.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        The fit stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "m" means, "b" coef,
        "c" covars.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    means_ : array, (K,)
    coef_ : array, (order,)
    covars_ : array, (1,), or (K,) with ``switching_variance``
        Variance of the noise.
    monitor_ : ConvergenceMonitor

    References
    ----------
    J. D. Hamilton, A new approach to the economic analysis of nonstationary time series and the business
    cycle, Econometrica 57 (1989).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> gap = np.zeros(600)
    >>> for t in range(1, 600):
    ...     gap[t] = 0.6 * gap[t - 1] + 0.5 * rng.normal()
    >>> x = gap + np.where(np.arange(600) // 100 % 2, 14, 10)
    >>> model = SwitchingMeanHMM(2, order=1, random_state=0).fit(x)
    >>> np.sort(model.means_).round().tolist(), model.coef_.round(1).tolist()
    ([10.0, 14.0], [0.6])
    """

    EMISSION = SwitchingMean
    FLAT = True

    n_components: int = 2
    order: int = 1
    switching_variance: bool = False
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "stmbc"
    init_params: str = "stmbc"
    implementation: str = "log"

    @property
    def n_features(self) -> int:
        """One."""
        return 1

    @property
    def memory(self) -> int:  # type: ignore[override]
        """Earlier rows that the density of an observation reads: ``order``."""
        return whole("order", self.order, 1)

    def transition_kind(self) -> History:
        if self.transitions is not None:
            raise UnsupportedError(
                "the states of SwitchingMeanHMM remember those before them, under one transition "
                "matrix; leave "
                "transitions out"
            )
        return History(concentration=self.transmat_prior, order=self.memory)

    def check_data(self, X: np.ndarray) -> np.ndarray:
        if X.shape[1] != 1:
            raise ShapeError(f"X has {X.shape[1]} columns; SwitchingMeanHMM takes one series, (T,) or (T, 1)")
        return X

    def arranged(self, X: np.ndarray, lengths: list[int]) -> np.ndarray:
        return with_lags(X, lengths, self.memory)

    def stickiness(self, X: np.ndarray) -> float:
        """Means that switch all the time are noise."""
        return 0.7

    def emission(self, X: np.ndarray | None = None) -> SwitchingMean:
        return SwitchingMean(self.means_, self.coef_, self.covars_)

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> SwitchingMean:
        return SwitchingMean.start(X, self.n_components, bool(self.switching_variance), rng)
