"""``MixedHMM``: states that emit features of several kinds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import clone

from hmm.base import BaseHMM
from hmm.clustering import cluster
from hmm.emissions.base import Emission
from hmm.emissions.categorical import Categorical
from hmm.emissions.independent import Independent
from hmm.emissions.mixed import Mixed, Part
from hmm.models.autoregressive import AutoregressiveHMM
from hmm.variational.model import VariationalHMM
from msgpass.errors import DataError, ShapeError

ROUNDS = 3
"""M-steps at the start: parts that have no closed form get nearer with each."""


@dataclass(eq=False, repr=False)
class MixedHMM(BaseHMM):
    """Hidden Markov model of columns of different kinds, independent given the state.

    X is (T, D); each model takes the columns that are given with it, and says of them what it says alone:
    what they may hold, priors, what is missing, what is estimated (its ``params``). Its own states, initial
    and transition settings are not used.

    Parameters
    ----------
    n_components : int
        States K.
    models : list of (model, columns)
        Any models of this package but MixedHMM and AutoregressiveHMM, each with the columns of X that are its
        observations. Every column belongs to one model.
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
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "e" the emissions of all
        parts.
    implementation : {"log", "scaling"}
        Taken for hmmlearn's sake; the engine is scaled, and turns to logarithms where that would underflow.

    Attributes
    ----------
    startprob_ : array, (K,)
    transmat_ : array, (K, K), row = from
    parts_ : list of models
        The parts with what was fitted, as ``parts_[0].lambdas_``; each is a model of its own columns.
    monitor_ : ConvergenceMonitor

    Examples
    --------
    >>> from hmm import GaussianHMM, PoissonHMM
    >>> rng = np.random.default_rng(0)
    >>> counts = np.concatenate([rng.poisson(2, 100), rng.poisson(9, 100)])
    >>> numbers = np.concatenate([rng.normal(0, 1, 100), rng.normal(5, 1, 100)])
    >>> model = MixedHMM(2, models=[(PoissonHMM(), [0]), (GaussianHMM(), [1])], random_state=0)
    >>> model = model.fit(np.column_stack([counts, numbers]))
    >>> order = np.argsort(model.parts_[0].lambdas_.ravel())
    >>> model.parts_[1].means_[order].ravel().round()
    array([0., 5.])
    """

    EMISSION = Mixed

    n_components: int = 1
    models: Any = ()
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

    @property
    def parts_(self) -> list[BaseHMM]:
        """Fitted models of the parts, in the order of ``models``."""
        if "_parts_" not in self.__dict__:
            raise AttributeError("parts_ are not set yet; call fit(X), or set them")
        return self._parts_

    @parts_.setter
    def parts_(self, parts) -> None:
        pairs = self._pairs()
        if len(parts) != len(pairs):
            raise DataError(f"parts_ has {len(parts)} entries, but models has {len(pairs)}")
        self._parts_ = [
            part if isinstance(part, BaseHMM) else self._holding(model, part.emission)
            for part, (model, _) in zip(parts, pairs, strict=True)
        ]

    def _holding(self, model: BaseHMM, emission: Emission) -> BaseHMM:
        """A model of the whole chain that sees one part only."""
        part = self._fresh(model)
        part.store_emission(emission)
        for name in ("startprob_", "transmat_"):
            if name in self.__dict__:
                setattr(part, name, getattr(self, name))
        return part

    def _fresh(self, model: BaseHMM) -> BaseHMM:
        return clone(model).set_params(n_components=self.n_components)

    def _pairs(self) -> list[tuple[BaseHMM, tuple[int, ...]]]:
        """Models with their columns, checked: every column belongs to one model."""
        try:
            pairs = [(model, tuple(int(d) for d in np.atleast_1d(columns))) for model, columns in self.models]
        except (TypeError, ValueError) as problem:
            raise DataError(f"models must be pairs of a model and its columns of X ({problem})") from None
        taken = sorted(d for _, columns in pairs for d in columns)
        if not pairs or taken != list(range(len(taken))):
            raise DataError(f"models must take each column of X once, from 0 on; they take {taken}")
        for model, _ in pairs:
            if not isinstance(model, BaseHMM) or isinstance(
                model, MixedHMM | AutoregressiveHMM | VariationalHMM
            ):
                raise DataError(
                    f"{type(model).__name__} cannot be a part; parts are models that look at one row and are "
                    "fitted to a point"
                )
        return pairs

    def _mixed(self, emissions: list[Emission]) -> Mixed:
        pairs = self._pairs()
        parts = zip(emissions, pairs, strict=True)
        return Mixed(tuple(Part(emission, columns, model.params) for emission, (model, columns) in parts))

    def emission(self, X: np.ndarray | None = None) -> Mixed:
        pairs = zip(self.parts_, self._pairs(), strict=True)
        return self._mixed(
            [part.emission(None if X is None else X[:, list(columns)]) for part, (_, columns) in pairs]
        )

    def surveyed(self, emission, survey) -> Mixed:
        parts = zip(self._pairs(), emission.parts, strict=True)
        return Mixed(
            tuple(
                replace(part, emission=model.surveyed(part.emission, survey.of_columns(columns)))
                for (model, columns), part in parts
            )
        )

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Mixed:
        """Parts as their models start, then fitted to clusters of whole rows: states mean the same in all."""
        emissions, coordinates = [], []
        for model, columns in self._pairs():
            own = X[:, list(columns)]
            emissions.append(self._fresh(model).start_emission(own, rng).check(self.n_components))
            coordinates.append(_coordinates(emissions[-1], own))
        where = np.concatenate(coordinates, axis=1)
        seen = np.isfinite(where)
        centre = np.where(seen, where, 0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
        labels = cluster(np.where(seen, where, centre), self.n_components, rng)
        blur = rng.dirichlet(np.ones(self.n_components), len(X))
        weights = 0.8 * (labels[:, None] == np.arange(self.n_components)) + 0.2 * blur
        mixed = self._mixed(emissions)
        data = mixed.prepare(X)
        for _ in range(ROUNDS):
            mixed = mixed.fit(data, weights, "e")
        return mixed

    def store_emission(self, emission) -> None:
        self.parts_ = emission.parts

    def check_data(self, X: np.ndarray) -> np.ndarray:
        pairs = self._pairs()
        taken = sum(len(columns) for _, columns in pairs)
        if X.shape[1] != taken:
            raise ShapeError(f"X has {X.shape[1]} columns, but the models take {taken}")
        X = np.array(X, np.float64)
        for model, columns in pairs:
            X[:, list(columns)] = model.check_data(X[:, list(columns)])
        return X


def _coordinates(emission: Emission, X: np.ndarray) -> np.ndarray:
    """Where clusters of a part's columns are looked for."""
    if isinstance(emission, Categorical):
        symbols = np.arange(emission.emissionprob.shape[1])
        return np.where(X < 0, np.nan, np.equal(X, symbols).astype(np.float64))
    return emission.coordinates(X) if isinstance(emission, Independent) else X
