"""``MultinomialHMM``: states that emit counts of D kinds in n trials."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.multinomial import Multinomial
from msgpass.errors import DataError


@dataclass(eq=False, repr=False)
class MultinomialHMM(BaseHMM):
    """Hidden Markov model of counts of D kinds, given how many there are.

    X is (T, D) of whole numbers ≥ 0; rows may sum to different numbers. NaN is missing: a row, or some cells
    of it if ``n_trials`` says what the row sums to. One symbol a step is :class:`CategoricalHMM`.

    Parameters
    ----------
    n_components : int
        States K.
    n_trials : int or array (T,), optional
        What rows sum to; by default whatever they do.
    startprob_prior, transmat_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    emissionprob_prior : float or array
        Concentration of a Dirichlet prior on each row; 1, the default, is maximum likelihood.
    algorithm : {"viterbi", "map"}
        What ``decode`` does.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool
        Whether every iteration prints a line.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "e" emissionprob.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    emissionprob_ : array, (K, D)
    n_trials_ : int or None
        What every row sums to, for ``sample``; None where rows of ``fit`` differed.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.multinomial(9, [0.8, 0.1, 0.1], 50), rng.multinomial(9, [0.1, 0.1, 0.8], 50)])
    >>> model = MultinomialHMM(n_components=2, random_state=0).fit(X)
    >>> np.sort(model.emissionprob_, axis=0).round(1)
    array([[0.1, 0.1, 0.1],
           [0.8, 0.1, 0.8]])
    """

    EMISSION = Multinomial

    n_components: int = 1
    n_trials: Any = None
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "ste"
    init_params: str = "ste"
    implementation: str = "log"
    _: KW_ONLY
    emissionprob_prior: Any = 1.0

    @property
    def n_features(self) -> int:
        """Kinds D."""
        return self.chain().emission.n_features

    def emission(self, X: np.ndarray | None = None) -> Multinomial:
        trials = self._trials() if X is None else self._trials_of(X)
        return Multinomial(self.emissionprob_, self.emissionprob_prior, trials)

    def surveyed(self, emission, survey) -> Multinomial:
        if self.n_trials is not None and np.ndim(self.n_trials):
            raise DataError("n_trials has a number for each row, but rows come in batches; give one number")
        if self.n_trials is not None:
            return emission
        alike = survey.lowest == survey.highest  # NaN, where a count is missing, is no number's equal
        return replace(emission, n_trials=int(survey.lowest) if alike else None)

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Multinomial:
        return Multinomial.start(X, self.n_components, rng)

    def store_emission(self, emission) -> None:
        self.emissionprob_ = emission.emissionprob
        one = emission.n_trials is not None and np.ndim(emission.n_trials) == 0
        self.n_trials_ = int(emission.n_trials) if one else None

    def _trials(self) -> Any:
        """What the user said, or what the rows of the last fit had in common."""
        if self.n_trials is None:
            return self.__dict__.get("n_trials_")
        trials = np.asarray(self.n_trials)
        if trials.dtype.kind not in "iu" or trials.ndim > 1 or trials.size == 0 or trials.min() < 0:
            raise DataError(
                f"n_trials must be a whole number ≥ 0, or one for each row, got {self.n_trials!r}"
            )
        return trials if trials.ndim else int(trials)

    def _trials_of(self, X: np.ndarray) -> Any:
        """Trials of rows to be fitted: one number if all are alike."""
        if self.n_trials is not None and np.ndim(self.n_trials) == 0:
            return self._trials()
        if self.n_trials is not None:
            told = self._trials()
            return int(told[0]) if len(told) == len(X) and (told == told[0]).all() else told
        sums = np.unique(X.sum(axis=1))
        return int(sums[0]) if len(sums) == 1 and not np.isnan(sums[0]) else None

    def check_data(self, X: np.ndarray) -> np.ndarray:
        wrong = (X < 0) | (np.floor(X) != X) & ~np.isnan(X)
        if wrong.any():
            t, d = np.argwhere(wrong)[0]
            raise DataError(
                f"X holds {X[t, d]} at row {t}, column {d}; "
                "counts are whole numbers ≥ 0, and a missing one is NaN"
            )
        if self.n_trials is not None and np.shape(self._trials()) in ((), (len(X),)):
            gap = X.sum(axis=1) - self._trials()  # NaN where a count is missing: then the trials tell it
            if (np.nan_to_num(gap) != 0).any():
                t = int(np.argmax(np.nan_to_num(gap) != 0))
                wanted = np.broadcast_to(self.n_trials, len(X))[t]
                raise DataError(f"row {t} of X sums to {X[t].sum():g}, but n_trials is {wanted}")
        return X
