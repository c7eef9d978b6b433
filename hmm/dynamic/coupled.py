"""``CoupledHMM``: chains whose next states depend on each other's last ones, each with its own emission."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from sklearn.base import clone

from hmm.base import BaseHMM
from hmm.dynamic.base import DynamicModel
from hmm.dynamic.factorial import each
from hmm.dynamic.network import Network, Relation, Seen, bounded
from hmm.models.autoregressive import AutoregressiveHMM
from hmm.models.mixed import MixedHMM
from hmm.validation import NotFittedError, prior, probabilities
from hmm.variational.model import VariationalHMM
from msgpass.errors import DataError, ShapeError


@dataclass(eq=False, repr=False)
class CoupledHMM(DynamicModel):
    """Coupled hidden Markov model: M chains, each with its own observations, that drive each other.

        z_t^m ~ A_m[z_{t−1}^1, …, z_{t−1}^M]        x_t^m ~ emission of chain m in state z_t^m

    X is (T, D); each chain's model takes its columns, and says of them what it says alone.
    Inference is exact.

    Parameters
    ----------
    models : list of (model, columns)
        One model of this package a chain, with the columns of X that are its observations. Its
        ``n_components`` and what it says of emissions are used; its own initial and transition settings are
        not.
    coupling : "all", "none", or array of bool, (M, M)
        Entry (i, m): the last state of chain i is among what the next of chain m depends on. A chain depends
        on itself in any case.
    startprob_prior, transmat_prior : float
        Concentrations of Dirichlet priors; 1, the default, is maximum likelihood.
    params, init_params : str
        What ``fit`` estimates and what it starts anew: "s" startprob, "t" transmat, "e" the emissions.
    n_init, random_state, n_iter, tol, verbose
        As of :class:`hmm.FactorialHMM`.

    Attributes
    ----------
    startprob_ : list of arrays, (K_m,)
    transmat_ : list of arrays, (K_i for every chain i that drives chain m…, K_m)
        Axes in the order of the chains, the next state last.
    parts_ : list of models
        The chains' models with what was fitted, as ``parts_[0].means_``.
    monitor_ : ConvergenceMonitor

    Notes
    -----
    Brand, Oliver & Pentland 1997, with full tables.

    Examples
    --------
    >>> from hmm import GaussianHMM
    >>> rng = np.random.default_rng(0)
    >>> leader = np.repeat(rng.integers(2, size=60), 5)
    >>> X = np.column_stack([leader, np.roll(leader, 1)]) * 5 + rng.normal(size=(300, 2))
    >>> model = CoupledHMM([(GaussianHMM(2), [0]), (GaussianHMM(2), [1])], random_state=0).fit(X)
    >>> follows = model.transmat_[1].argmax(axis=-1)  # of the follower, by (leader, follower)
    >>> bool((follows[:, 0] == follows[:, 1]).all())
    True
    """

    models: Any = ()
    coupling: Any = "all"
    startprob_prior: Any = 1.0
    transmat_prior: Any = 1.0
    params: str = "ste"
    init_params: str = "ste"

    LETTERS: ClassVar[dict[str, str]] = {"s": "startprob", "t": "transmat", "e": "parts"}
    FLAT: ClassVar[bool] = False

    def pairs(self) -> list[tuple[BaseHMM, tuple[int, ...]]]:
        """Models with their columns, checked: every column belongs to one model."""
        return checked_pairs(self.models)

    @property
    def sizes(self) -> tuple[int, ...]:
        """States of every chain."""
        return tuple(model.n_components for model, _ in self.pairs())

    def nodes(self) -> list[str]:
        return [f"z{m}" for m in range(len(self.pairs()))]

    def drivers(self, m: int) -> list[int]:
        """Chains that the next state of chain m depends on."""
        M = len(self.pairs())
        if isinstance(self.coupling, str):
            if self.coupling not in ("all", "none"):
                raise DataError(f'coupling is "all", "none" or an array, got {self.coupling!r}')
            return list(range(M)) if self.coupling == "all" else [m]
        table = np.asarray(self.coupling, bool)
        if table.shape != (M, M):
            raise ShapeError(f"coupling has shape {table.shape}, wanted {(M, M)}")
        return [i for i in range(M) if table[i, m] or i == m]

    def check_settings(self) -> None:
        for m in range(len(self.pairs())):
            bounded(f"the transition of chain {m}", self._shape(m))
        for name in ("startprob_prior", "transmat_prior"):
            prior(name, getattr(self, name), (), positive=True)
        self._check_common()

    def check_data(self, X: np.ndarray) -> np.ndarray:
        return split_checked(self.pairs(), X)

    # -- parameters -------------------------------------------------------------------------------------

    def _shape(self, m: int) -> tuple[int, ...]:
        return (*(self.sizes[i] for i in self.drivers(m)), self.sizes[m])

    def network(self, X: np.ndarray | None = None) -> Network:
        absent = [f"{n}_" for n in ("startprob", "transmat", "parts") if not self.has(n)]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(absent)} yet; call fit(X), or set them"
            )
        held = {}
        starts = each("startprob_", self.startprob_, len(self.sizes))
        transitions = each("transmat_", self.transmat_, len(self.sizes))
        for m, K in enumerate(self.sizes):
            held[f"s{m}"] = probabilities(f"startprob_[{m}]", starts[m], (K,))
            held[f"t{m}"] = probabilities(f"transmat_[{m}]", transitions[m], self._shape(m))
        return self._made(held, part_emissions(self.parts_, self.pairs(), X))

    def _made(self, held: dict[str, np.ndarray], emissions) -> Network:
        names, relations, seen = self.nodes(), [], []
        for m, (name, emission, (model, columns)) in enumerate(
            zip(names, emissions, self.pairs(), strict=True)
        ):
            before = tuple((names[i], 1) for i in self.drivers(m))
            relations.append(Relation(f"s{m}", ((name, 0),), "first"))
            relations.append(Relation(f"t{m}", (*before, (name, 0)), "later"))
            seen.append(Seen(emission, (name,), columns, model.params if "e" in self.params else "-"))
        priors = {n: self.startprob_prior if n[0] == "s" else self.transmat_prior for n in held}
        return Network(dict(zip(names, self.sizes, strict=True)), tuple(relations), held, tuple(seen), priors)

    def _store(self, network: Network) -> None:
        M = len(self.sizes)
        self.startprob_ = [network.probabilities[f"s{m}"] for m in range(M)]
        self.transmat_ = [network.probabilities[f"t{m}"] for m in range(M)]
        self.parts_ = [
            holding(model, one.emission) for one, (model, _) in zip(network.seen, self.pairs(), strict=True)
        ]

    def start(self, X: np.ndarray, lengths: list[int], rng: np.random.Generator) -> Network:
        held: dict[str, np.ndarray] = {}
        for m, K in enumerate(self.sizes):
            own = probabilities_or_none(self, "startprob", m, (K,))
            held[f"s{m}"] = np.full(K, 1 / K) if own is None else own
            own = probabilities_or_none(self, "transmat", m, self._shape(m))
            if own is None:
                shape = self._shape(m)
                place = self.drivers(m).index(m)
                stay = np.expand_dims(np.eye(K), [a for a in range(len(shape) - 1) if a != place])
                own = 0.5 * stay + 0.5 * rng.dirichlet(np.full(K, 5.0), shape[:-1])
            held[f"t{m}"] = own
        if "e" in self.init_params or not self.has("parts"):
            emissions = started(self.pairs(), X, rng)
        else:
            emissions = part_emissions(self.parts_, self.pairs(), X)
        return self._made(held, emissions)


def probabilities_or_none(model, name: str, m: int, shape: tuple[int, ...]) -> np.ndarray | None:
    """What a fit starts from, where it is not to start anew."""
    letter = next(letter for letter, what in model.LETTERS.items() if what == name)
    if letter in model.init_params or not model.has(name):
        return None
    return probabilities(f"{name}_[{m}]", getattr(model, f"{name}_")[m], shape)


def checked_pairs(models) -> list[tuple[BaseHMM, tuple[int, ...]]]:
    """Models with their columns: every column belongs to one model that looks at one row."""
    try:
        pairs = [(model, tuple(int(d) for d in np.atleast_1d(columns))) for model, columns in models]
    except (TypeError, ValueError) as problem:
        raise DataError(f"models must be pairs of a model and its columns of X ({problem})") from None
    taken = sorted(d for _, columns in pairs for d in columns)
    if not pairs or taken != list(range(len(taken))):
        raise DataError(f"models must take each column of X once, from 0 on; they take {taken}")
    for model, _ in pairs:
        if not isinstance(model, BaseHMM) or isinstance(model, MixedHMM | AutoregressiveHMM | VariationalHMM):
            raise DataError(
                f"{type(model).__name__} cannot be the emission of a chain; take a model that looks at "
                "one row and is fitted to a point"
            )
    return pairs


def split_checked(pairs, X: np.ndarray) -> np.ndarray:
    """(T, D) data, each model's columns as it takes them."""
    taken = sum(len(columns) for _, columns in pairs)
    if X.shape[1] != taken:
        raise ShapeError(f"X has {X.shape[1]} columns, but the models take {taken}")
    X = np.array(X, np.float64)
    for model, columns in pairs:
        X[:, list(columns)] = model.check_data(X[:, list(columns)])
    return X


def holding(model: BaseHMM, emission) -> BaseHMM:
    """A model with a fitted emission."""
    part = clone(model)
    part.store_emission(emission)
    return part


def part_emissions(parts, pairs, X) -> list:
    """Emissions that fitted parts hold."""
    if len(parts) != len(pairs):
        raise DataError(f"parts_ has {len(parts)} entries, but models has {len(pairs)}")
    return [
        part.emission(None if X is None else own_columns(model, X, columns)).check(model.n_components)
        for part, (model, columns) in zip(parts, pairs, strict=True)
    ]


def own_columns(model: BaseHMM, X: np.ndarray, columns) -> np.ndarray:
    """A model's columns of the checked data, of its own kind."""
    return model.check_data(X[:, list(columns)])


def started(pairs, X: np.ndarray, rng: np.random.Generator) -> list:
    """Emissions where EM starts."""
    return [
        model.start_emission(own_columns(model, X, columns), rng).check(model.n_components)
        for model, columns in pairs
    ]
