"""``CategoricalHMM``: states that emit one of M symbols."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.emissions.categorical import Categorical
from hmm.validation import whole
from msgpass.errors import DataError, ShapeError

LARGEST = 2**53
"""Up to which every whole number is a float."""

MOST_ENTRIES = 2**26
"""Of a table of emissions whose width is guessed from the data, half a gigabyte."""


@dataclass(eq=False, repr=False)
class CategoricalHMM(BaseHMM):
    """Hidden Markov model of symbols 0 … M−1.

    X is (T, 1) or (T,) of whole numbers; −1 or NaN is missing.

    Parameters
    ----------
    n_components : int
        States K.
    startprob_prior, transmat_prior, emissionprob_prior : float or array
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    n_features : int, optional
        Symbols M; by default one more than the largest in the data of ``fit``.
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
    emissionprob_ : array, (K, M)
    monitor_ : ConvergenceMonitor

    Examples
    --------
    Rain and umbrellas (Russell & Norvig):

    >>> model = CategoricalHMM(n_components=2)
    >>> model.startprob_ = [0.5, 0.5]
    >>> model.transmat_ = [[0.7, 0.3], [0.3, 0.7]]
    >>> model.emissionprob_ = [[0.1, 0.9], [0.8, 0.2]]
    >>> round(model.score([1, 1, 0, 1, 1]), 6)
    -3.372502
    >>> model.predict([1, 1, 0, 1, 1]).tolist()
    [0, 0, 1, 0, 0]
    """

    EMISSION = Categorical
    FLAT = True

    n_components: int = 1
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    _: KW_ONLY
    emissionprob_prior: Any = 1.0
    n_features: Any = None
    algorithm: str = "viterbi"
    random_state: Any = None
    n_iter: int = 1000
    tol: float = 1e-4
    verbose: bool = False
    params: str = "ste"
    init_params: str = "ste"
    implementation: str = "log"

    def emission(self, X: np.ndarray | None = None) -> Categorical:
        return Categorical(self.emissionprob_, self.emissionprob_prior)

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Categorical:
        if self.n_features is not None:
            return Categorical.start(self.n_components, whole("n_features", self.n_features, 1), rng)
        largest = int(X.max())
        if largest < 0:
            raise DataError("all symbols are missing, so their number is unknown; give n_features")
        if self.n_components * (largest + 1) > MOST_ENTRIES:
            raise DataError(
                f"X holds the symbol {largest}, so that the table of emissions would have {largest + 1} "
                "columns; "
                "number symbols from 0 without gaps (sklearn.preprocessing.LabelEncoder does), or give "
                "n_features"
            )
        return Categorical.start(self.n_components, largest + 1, rng)

    def stickiness(self, X: np.ndarray) -> float:
        """Half, if symbols repeat more often than by chance.

        Emissions say nothing about symbols' states at the start, so that near a uniform transition EM crawls:
        eight starts on sticky chains of 4 states ended 30 nats below (on average) those that began sticky,
        and on English letters, which alternate, sticky starts ended 150 nats below the others.
        """
        known = X[X[:, 0] >= 0, 0]
        repeats = np.mean(known[1:] == known[:-1]) if len(known) > 1 else 0.0
        chance = np.sum((np.bincount(known) / max(len(known), 1)) ** 2)
        return 0.5 if repeats > chance else 0.0

    def check_data(self, X: np.ndarray) -> np.ndarray:
        """Whole numbers, −1 where missing."""
        if X.shape[1] != 1:
            raise ShapeError(
                f"X has shape {X.shape}; symbols are (T, 1) or (T,): one column, "
                "sequences end to end with lengths="
            )
        if X.dtype.kind == "f":
            X = np.where(np.isnan(X), -1, X)
            if (np.floor(X) != X).any():
                t = int(np.argmax((np.floor(X) != X)[:, 0]))
                raise DataError(
                    f"X holds {X[t, 0]} at row {t}; symbols are whole numbers from 0 "
                    "(sklearn.preprocessing.LabelEncoder makes them)"
                )
            if X.max() > LARGEST:
                raise DataError(f"X holds the symbol {X.max():g}, which is too large to be one")
        symbols = X.astype(np.int64)
        if symbols.min() < -1:
            raise DataError(
                f"X holds {symbols.min()} at row {int(symbols.argmin())}; "
                "symbols run from 0, and −1 or NaN is missing"
            )
        return symbols
