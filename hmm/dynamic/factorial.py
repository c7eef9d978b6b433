"""``FactorialHMM``: several independent chains whose states together say what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hmm.dynamic.base import DynamicModel
from hmm.dynamic.network import Network, Relation, Seen, bounded
from hmm.emissions.additive import COVARIANCE_TYPES, Additive
from hmm.emissions.categorical import Categorical
from hmm.emissions.covariance import variance_floor
from hmm.validation import NotFittedError, one_of, prior, probabilities, whole
from msgpass.errors import DataError, ShapeError


@dataclass(eq=False, repr=False)
class FactorialHMM(DynamicModel):
    """Factorial hidden Markov model: M chains of their own dynamics, one observation of them all.

        z_t^m ~ A_m[z_{t−1}^m]
        x_t ~ N(Σ_m means_m[z_t^m], covars), or x_t ~ emissionprob[z_t^1, …, z_t^M]

    X is (T, D), or (T,) for one feature, and NaN is missing; symbols are (T,) or (T, 1). Inference is exact:
    a step costs M·K^(M+1) for M chains of K states, where one chain of all combinations would cost K^(2M).

    Parameters
    ----------
    n_components : tuple of int
        States of every chain.
    emission : {"gaussian", "categorical"}
        Means that add up with one covariance, or one table over all chains.
    covariance_type : {"full", "diag", "spherical"}
        Of the one covariance of all states.
    min_covar : float, optional
        Least variance; by default a millionth of the feature's own.
    n_features : int, optional
        Symbols of a categorical emission, if more than those in the data.
    startprob_prior, transmat_prior, emissionprob_prior : float
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "m" means, "c" covars,
        "e" emissionprob.
    n_init : int
        Starts, of which the best is kept: the likelihood has many maxima.
    random_state : int, numpy.random.Generator or None
    n_iter, tol : int, float
        EM stops after ``n_iter`` iterations, or when one gains less than ``tol``.
    verbose : bool

    Attributes
    ----------
    startprob_ : list of arrays, (K_m,)
    transmat_ : list of arrays, (K_m, K_m), row = from
    means_ : list of arrays, (K_m, D)
        Contributions; a constant may move from one chain's to another's.
    covars_ : array, (D, D)
    emissionprob_ : array, (K_1, …, K_M, symbols)
    monitor_ : ConvergenceMonitor

    Notes
    -----
    Ghahramani & Jordan 1997. Chains are known up to their order, and states up to theirs.

    Examples
    --------
    >>> model = FactorialHMM((2, 2))
    >>> model.startprob_ = [[0.5, 0.5], [0.5, 0.5]]
    >>> model.transmat_ = [[[0.95, 0.05], [0.05, 0.95]], [[0.8, 0.2], [0.2, 0.8]]]
    >>> model.means_, model.covars_ = [[[0.0], [10.0]], [[0.0], [3.0]]], [[0.25]]
    >>> X, states = model.sample(500, random_state=0)
    >>> bool((model.predict(X) == states).mean() > 0.99)
    True
    """

    n_components: Any = (2, 2)
    emission: str = "gaussian"
    covariance_type: str = "full"
    min_covar: Any = None
    n_features: Any = None
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    emissionprob_prior: Any = 1.0
    params: str = "stmce"
    init_params: str = "stmce"

    LETTERS: ClassVar[dict[str, str]] = {
        "s": "startprob",
        "t": "transmat",
        "m": "means",
        "c": "covars",
        "e": "emissionprob",
    }

    @property
    def sizes(self) -> tuple[int, ...]:
        """States of every chain."""
        given = np.atleast_1d(np.asarray(self.n_components, dtype=object))
        return tuple(whole("n_components", k, 1) for k in given.tolist())

    def nodes(self) -> list[str]:
        return [f"z{m}" for m in range(len(self.sizes))]

    def check_settings(self) -> None:
        if not self.sizes:
            raise DataError("n_components names at least one chain, such as (2, 2)")
        bounded("one step of all chains", self.sizes)
        one_of("emission", self.emission, ("gaussian", "categorical"))
        one_of("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        for name in ("startprob_prior", "transmat_prior", "emissionprob_prior"):
            prior(name, getattr(self, name), (), positive=True)
        self._check_common()

    def check_data(self, X: np.ndarray) -> np.ndarray:
        return np.asarray(X, np.float64) if self.emission == "gaussian" else symbols(X)

    # -- parameters -------------------------------------------------------------------------------------

    def network(self, X: np.ndarray | None = None) -> Network:
        names = ["startprob", "transmat"]
        names += ["means", "covars"] if self.emission == "gaussian" else ["emissionprob"]
        absent = [f"{n}_" for n in names if not self.has(n)]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(absent)} yet; call fit(X), or set them"
            )
        starts = each("startprob_", self.startprob_, len(self.sizes))
        transitions = each("transmat_", self.transmat_, len(self.sizes))
        held: dict[str, np.ndarray] = {}
        for m, K in enumerate(self.sizes):
            held[f"s{m}"] = probabilities(f"startprob_[{m}]", starts[m], (K,))
            held[f"t{m}"] = probabilities(f"transmat_[{m}]", transitions[m], (K, K))
        return self._made(held, self._emission(X))

    def _made(self, held: dict[str, np.ndarray], emission) -> Network:
        relations = []
        for m, name in enumerate(self.nodes()):
            relations.append(Relation(f"s{m}", ((name, 0),), "first"))
            relations.append(Relation(f"t{m}", ((name, 1), (name, 0)), "later"))
        columns = tuple(range(emission.n_features))
        kind = "mc" if self.emission == "gaussian" else "e"
        own = "".join(c for c in kind if c in self.params)
        seen = Seen(emission, tuple(self.nodes()), columns, own or "-")
        priors = {n: self.startprob_prior if n[0] == "s" else self.transmat_prior for n in held}
        return Network(
            dict(zip(self.nodes(), self.sizes, strict=True)), tuple(relations), held, (seen,), priors
        )

    def _emission(self, X: np.ndarray | None = None):
        joint = int(np.prod(self.sizes))
        if self.emission == "categorical":
            table = np.asarray(self.emissionprob_, np.float64)
            if table.ndim != len(self.sizes) + 1:
                raise ShapeError(f"emissionprob_ has shape {table.shape}, wanted {(*self.sizes, 'symbols')}")
            table = probabilities("emissionprob_", table, (*self.sizes, table.shape[-1]))
            return Categorical(table.reshape(joint, -1), self.emissionprob_prior).check(joint)
        means = [np.asarray(w, np.float64) for w in each("means_", self.means_, len(self.sizes))]
        if any(w.ndim != 2 or len(w) != K for w, K in zip(means, self.sizes, strict=True)):
            raise ShapeError(
                f"means_ has shapes {[w.shape for w in means]}, wanted (K, D) for K in {self.sizes}"
            )
        floor = 0.0 if X is None else variance_floor(X, self.min_covar)
        made = Additive(np.concatenate(means), self.covars_, self.sizes, self.covariance_type, floor)
        return made.check(joint)

    def _store(self, network: Network) -> None:
        M = len(self.sizes)
        self.startprob_ = [network.probabilities[f"s{m}"] for m in range(M)]
        self.transmat_ = [network.probabilities[f"t{m}"] for m in range(M)]
        emission: Any = network.seen[0].emission
        if self.emission == "categorical":
            self.emissionprob_ = emission.emissionprob.reshape(*self.sizes, -1)
            return
        self.means_ = np.split(emission.means, np.cumsum(self.sizes)[:-1])
        self.covars_ = emission.covars

    # -- where EM starts --------------------------------------------------------------------------------

    def start(self, X: np.ndarray, lengths: list[int], rng: np.random.Generator) -> Network:
        held = {}
        for m, K in enumerate(self.sizes):
            held[f"s{m}"] = self._kept("s", m, lambda K=K: np.full(K, 1 / K))
            held[f"t{m}"] = self._kept(
                "t", m, lambda K=K: 0.5 * np.eye(K) + 0.5 * rng.dirichlet(np.ones(K), K)
            )
        return self._made(held, self._start_emission(X, rng))

    def _kept(self, letter: str, m: int, fresh) -> np.ndarray:
        name = self.LETTERS[letter]
        if letter in self.init_params or not self.has(name):
            return fresh()
        shape = (self.sizes[m],) * (1 if letter == "s" else 2)
        return probabilities(f"{name}_[{m}]", getattr(self, f"{name}_")[m], shape)

    def _start_emission(self, X: np.ndarray, rng: np.random.Generator):
        joint = int(np.prod(self.sizes))
        if self.emission == "categorical":
            if "e" not in self.init_params and self.has("emissionprob"):
                return self._emission(X)
            found = int(X.max()) + 1
            if not found and self.n_features is None:
                raise DataError("all symbols are missing, so their number is unknown; give n_features")
            S = found if self.n_features is None else whole("n_features", self.n_features, max(found, 1))
            return Categorical(rng.dirichlet(np.ones(S), joint), self.emissionprob_prior).check(joint)
        seen = np.isfinite(X)
        count = np.maximum(seen.sum(axis=0), 1)
        centre = np.where(seen, X, 0).sum(axis=0) / count
        gap = np.where(seen, X - centre, 0.0)
        floor = variance_floor(X, self.min_covar)
        covars = np.diag(np.maximum((gap**2).sum(axis=0) / count, floor))
        if self.covariance_type == "full":
            covars = gap.T @ gap / max(len(X), 1) + np.diag(floor)
        # Differences of rows say what one chain's step moves: contributions start as some of them.
        means = []
        for K in self.sizes:
            rows = gap[rng.integers(len(gap), size=(2, K))]
            means.append(centre / len(self.sizes) + (rows[0] - rows[1]) / np.sqrt(2 * len(self.sizes)))
        made = Additive(np.concatenate(means), covars, self.sizes, self.covariance_type, floor)
        if "m" not in self.init_params and self.has("means"):
            made = Additive(
                np.concatenate([np.asarray(w) for w in self.means_]),
                covars,
                self.sizes,
                self.covariance_type,
                floor,
            )
        if "c" not in self.init_params and self.has("covars"):
            made = Additive(made.means, self.covars_, self.sizes, self.covariance_type, floor)
        return made.check(joint)


def each(name: str, values, n: int) -> list:
    """A list with one entry a chain."""
    if not isinstance(values, list | tuple | np.ndarray) or len(values) != n:
        raise ShapeError(f"{name} is a list with one array for each of the {n} chains")
    return list(values)


def symbols(X: np.ndarray) -> np.ndarray:
    """(T, 1) symbols, −1 where missing."""
    if X.shape[1] != 1:
        raise ShapeError(f"X has {X.shape[1]} columns; symbols are (T,) or (T, 1)")
    gone = ~np.isfinite(X) if X.dtype.kind == "f" else np.zeros(X.shape, bool)
    filled = np.where(gone, -1, X)
    if (filled != np.floor(filled)).any() or (filled < -1).any():
        raise DataError("X holds symbols 0, 1, …, and −1 or NaN where they are missing")
    return filled.astype(np.int64)
