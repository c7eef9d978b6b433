"""What all models are before they learn or infer: settings, attributes, and the graph that these make.

A model keeps what its user reads and sets (``startprob_``, ``means_``, …). For work these attributes become a
:class:`~hmm.chain.Chain`, which makes the graph; fitting turns a chain back into attributes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import numpy as np
from scipy.sparse import issparse

from hmm.chain import Chain, Evidence, Pseudo
from hmm.emissions.base import Emission
from hmm.estimator import Estimator
from hmm.learning.survey import Survey
from hmm.sample import Sample, checked_sample
from hmm.sequences import column_names, end_to_end, lengths_or_target, same_names
from hmm.starting import attributes
from hmm.topology import is_sparse
from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import Homogeneous
from hmm.transitions.sparse import Sparse
from hmm.validation import NotFittedError, prior, probabilities, rows_of_numbers, same_width, whole
from msgpass import FactorGraph, Messages, run
from msgpass.errors import ShapeError


@dataclass(eq=False, repr=False)
class Core(Estimator):
    """Base of :class:`hmm.base.BaseHMM`, which documents the settings."""

    n_init: int = field(default=1, kw_only=True)
    method: str = field(default="em", kw_only=True)
    transitions: Any = field(default=None, kw_only=True)
    topology: Any = field(default=None, kw_only=True)
    frozen: Any = field(default=None, kw_only=True)
    tied: Any = field(default=None, kw_only=True)
    prior_rows: Any = field(default=None, kw_only=True)
    prior_weight: float = field(default=1.0, kw_only=True)

    EMISSION: ClassVar[type[Emission]]
    FLAT: ClassVar[bool] = False
    """Whether X of shape (T,) stands for (T, 1)."""
    PRIORS_BY_DEFAULT: ClassVar[bool] = False
    """Whether a prior of None stands for one of the model's own."""
    memory: ClassVar[int] = 0
    """Earlier rows that the density of an observation reads."""

    # -- what a model adds ------------------------------------------------------------------------------

    def emission(self, X: np.ndarray | None = None) -> Emission:
        """The emission that the attributes hold, unchecked; with data, ready to be fitted to them."""
        raise TypeError(f"{type(self).__name__} has no emission; use one of hmm's models")

    def start_emission(self, X: np.ndarray, rng: np.random.Generator) -> Emission:
        """Where EM starts."""
        raise TypeError(f"{type(self).__name__} has no emission; use one of hmm's models")

    def stickiness(self, X: np.ndarray) -> float:
        """Mass that goes to staying where one is before the rest of a transition matrix is drawn."""
        return 0.0

    def store_emission(self, emission: Emission) -> None:
        """Keep an emission's fields as attributes."""
        for name in emission.LETTERS.values():
            setattr(self, f"{name}_", getattr(emission, name))

    def surveyed(self, emission: Emission, survey: Survey) -> Emission:
        """An emission ready to be fitted to all data that a survey has seen, where ``emission(X)`` saw some
        of them only."""
        return emission

    def check_data(self, X: np.ndarray) -> np.ndarray:
        """(T, D) data of the kind that the emission wants."""
        return X

    def arranged(self, X: np.ndarray, lengths: list[int]) -> np.ndarray:
        """Checked observations as the emission takes them."""
        return X

    def _split(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(observations, inputs of the transitions)."""
        P = self.transition_kind().n_inputs
        if not P:
            return X, None
        if X.shape[1] <= P:
            raise ShapeError(
                f"X has {X.shape[1]} columns; wanted at least one of observations, and then {P} of inputs to "
                "the transitions"
            )
        return X[:, :-P], np.asarray(X[:, -P:], np.float64)

    def _store(self, chain: Chain) -> None:
        self.startprob_ = chain.initial
        for name in chain.transition.FIELDS:
            setattr(self, f"{name}_", getattr(chain.transition, name))
        self.store_emission(chain.emission)

    def _learned(self, X: np.ndarray) -> Chain:
        """What ``_store`` kept, to go on from."""
        return self.chain(X)

    # -- the model as a graph ---------------------------------------------------------------------------

    def chain(self, X: np.ndarray | None = None) -> Chain:
        """The attributes as a chain, checked."""
        K = whole("n_components", self.n_components, 1)
        kind = self.transition_kind()
        absent = [name for name in flat(attributes(self)) if not self.has(name)]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(f'{n}_' for n in absent)} yet; "
                "call fit(X), or set these attributes"
            )
        held: dict[str, Any] = {name: getattr(self, f"{name}_") for name in kind.FIELDS}
        initial = probabilities("startprob_", self.startprob_, (K,))
        transition = replace(cast(Any, kind), **held).check(K)
        emission = self.emission(X).check(K)
        return Chain(
            initial,
            transition,
            emission,
            self._concentration(K),
            None if X is None else self._pseudo(emission),
        )

    def _pseudo(self, emission: Emission) -> Pseudo | None:
        """The settings ``prior_rows`` and ``prior_weight``."""
        weight = float(prior("prior_weight", self.prior_weight, ()))
        if self.prior_rows is None or not weight:
            return None
        X = rows_of_numbers(self.prior_rows, flat=self.FLAT)
        same_width(X, emission.n_features, "prior_rows of the model")
        X = self.arranged(self.check_data(X), [len(X)])
        return Pseudo(X, emission.prepare(X), weight)

    def _concentration(self, K: int) -> Any:
        """Prior of the initial distribution."""
        return prior("startprob_prior", self.startprob_prior, (K,), positive=True)

    def transition_kind(self) -> Transition:
        """The setting ``transitions``, without what is fitted."""
        kind = self.transitions
        if kind is None:
            sparse = issparse(self.__dict__.get("transmat_")) or is_sparse(self.topology, self.n_components)
            kind = Sparse() if sparse else Homogeneous()
        return kind.with_prior(self.transmat_prior)

    def _ready(self, X, lengths) -> tuple[Chain, Evidence]:
        """The chain, and data for it."""
        chain = self.chain()
        return chain, self._evidence(chain, X, lengths)

    def _evidence(self, chain: Chain, X, lengths) -> Evidence:
        """Data of inference, checked and prepared."""
        return chain.evidence(self._inference_sample(chain, X, lengths))

    def _inference_sample(self, chain: Chain, X, lengths, weights=None, labels=None) -> Sample:
        """Data of inference, of the columns that the model was fitted to."""
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        width = chain.emission.n_features + chain.transition.n_inputs
        return self._sample(X, None, lengths, weights, labels, width)[0]

    def _sample(
        self, X, y=None, lengths=None, weights=None, labels=None, width: int | None = None
    ) -> tuple[Sample, int]:
        """Data, checked and arranged, and the columns of X, which are ``width`` if that is given."""
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        rows = rows_of_numbers(X, flat=self.FLAT)
        if width is not None:
            same_width(rows, width, type(self).__name__)
        X, U = self._split(rows)
        X = self.check_data(X)
        lengths = lengths_or_target(y, lengths, len(X))
        sample = checked_sample(X, U, lengths, labels, weights, self.n_components)
        return replace(sample, X=self.arranged(X, sample.lengths)), rows.shape[1]

    def untouched(self) -> list[str]:
        moved = {*self.params, *self.init_params}
        return [name for letter, names in attributes(self).items() if letter not in moved for name in names]

    def graph(self, X, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on.

        States are the sequence "z", parameters are "initial", "transition" and "emission" (log probabilities
        of symbols) or "log_density" (T, K).
        """
        chain, evidence = self._ready(X, lengths)
        return chain.graph(evidence)

    def messages(self, X, lengths=None, algebra=None, schedule=None) -> Messages:
        """Run the graph over ``X`` in an algebra under a schedule, as :func:`msgpass.run` does.

        ``forward["z"]`` and ``backward["z"]`` are log α and log β, ``belief["z"]`` log γ, ``total`` the
        log-likelihood, ``parameters["transition"]`` the expected transition counts.
        """
        return run(self.graph(X, lengths), algebra, schedule)


def flat(held: dict[str, tuple[str, ...]]) -> list[str]:
    return [name for names in held.values() for name in names]
