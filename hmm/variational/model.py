"""What variational models share: a posterior in their attributes beside the point that inference works on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from hmm.base import BaseHMM
from hmm.chain import Chain
from hmm.learning.expectation import Expectation
from hmm.monitor import log
from hmm.sample import Sample
from hmm.sequences import column_names, same_names
from hmm.topology import allowed_transitions, starts_at_first
from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import Homogeneous
from hmm.validation import NotFittedError, prior, same_width, whole
from hmm.variational.concentrations import checked
from hmm.variational.emission import VariationalEmission
from hmm.variational.posterior import Posterior
from hmm.variational.rows import DirichletRows
from msgpass.errors import ProbabilityError, UnsupportedError


@dataclass(eq=False, repr=False)
class VariationalHMM(BaseHMM):
    """Base of the variational models; one adds its constructor, ``POSTERIOR`` and ``start_posterior``, and
    what any model adds.

    ``n_init`` and ``topology`` are as in other models (what a topology forbids has concentration 0, before
    and after). ``method``, ``transitions``, ``frozen`` and ``tied`` are refused: the updates are those of
    free Dirichlet rows and emissions. ``params`` holds whole parameters' posteriors where they are.
    """

    PRIORS_BY_DEFAULT = True
    POSTERIOR: ClassVar[type[VariationalEmission]]

    def start_posterior(self, X: np.ndarray, rng: np.random.Generator) -> VariationalEmission:
        """The prior, and where the climb starts."""
        raise TypeError(f"{type(self).__name__} has no posterior; use one of hmm's models")

    # -- the posterior ----------------------------------------------------------------------------------

    def posterior(self) -> Posterior:
        """q(θ) and p(θ), from the attributes, checked."""
        K = whole("n_components", self.n_components, 1)
        absent = [name for names in self._held().values() for name in names if not self.has(name)]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(f'{n}_' for n in absent)} yet; "
                "call fit(X), or set these attributes"
            )
        before, after = checked("startprob", self.startprob_prior_, self.startprob_posterior_, (K,))
        return Posterior(
            after,
            DirichletRows(self.transmat_prior_, self.transmat_posterior_).check(K),
            self._emission_posterior().check(K),
            before,
        )

    def lower_bound(self, X, y=None, lengths=None, *, weights=None, labels=None) -> float:
        """The variational lower bound log Z − KL(q(θ) ‖ p(θ)) over data, q(θ) being the fitted one.

        Over what the model was fitted to it is a bound on the log evidence log p(X), which compares numbers
        of states; it is not less than the last entry of ``monitor_.history``.

        Parameters
        ----------
        X, y, lengths, weights, labels
            As in ``fit``.
        """
        q = self.posterior()
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        sample, width = self._sample(X, y, lengths, weights, labels)
        same_width(np.empty((0, width)), q.emission.n_features, type(self).__name__)
        return float(Expectation(sample, q)(q).log_likelihood + q.log_prior())

    def standard_errors(self, X, lengths=None, *, weights=None, labels=None):
        """Refused: the posterior distributions say how well parameters are known."""
        raise UnsupportedError(
            "standard errors belong to maximum likelihood; how well a variational model knows its "
            "parameters is "
            "in their posterior distributions (transmat_posterior_, beta_posterior_, …)"
        )

    def confidence_intervals(self, X, lengths=None, level=0.95, *, weights=None, labels=None):
        """Refused, as ``standard_errors`` are."""
        return self.standard_errors(X)

    def _held(self) -> dict[str, tuple[str, ...]]:
        """Letter → attributes of the prior and the posterior, without their "_"."""
        return {
            "s": ("startprob_prior", "startprob_posterior"),
            "t": ("transmat_prior", "transmat_posterior"),
            **self.POSTERIOR.HELD,
        }

    def _settings(self) -> dict[str, Any]:
        """What the posterior emission needs beside the attributes."""
        return {}

    def _emission_posterior(self) -> VariationalEmission:
        fields = (name for names in self.POSTERIOR.HELD.values() for name in names)
        return self.POSTERIOR(**self._settings(), **{name: getattr(self, f"{name}_") for name in fields})

    # -- learning ---------------------------------------------------------------------------------------

    def _start(self, sample: Sample, rng: np.random.Generator) -> Posterior:
        """What the attributes hold and ``init_params`` does not name; the rest from the prior and the
        data."""
        self._refuse()
        draft, held = copy.copy(self), self._held()
        anew = {c for c, names in held.items() if c in self.init_params or not all(map(self.has, names))}
        self._warn_overwritten({name for c in sorted(anew) for name in held[c]})
        begun = self._begun(sample, rng)
        for letter, names in held.items():
            for name in names:
                given = name.endswith("_prior") and getattr(self, name) is not None
                if letter in anew or given:
                    setattr(draft, f"{name}_", begun[name])
        q = draft.posterior()
        same_width(sample.X, q.emission.n_features, type(self).__name__)
        forbidden = ~allowed_transitions(self.topology, self.n_components)
        if (cast(DirichletRows, q.transition).transmat_posterior[forbidden] > 0).any():
            raise ProbabilityError(
                f"transmat_posterior_ is above zero where topology={self.topology!r} forbids to go; "
                "set it to 0 there"
            )
        return q

    def _begun(self, sample: Sample, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Every prior and posterior anew, as if all but the emission had been seen evenly."""
        K, T, N = self.n_components, len(sample.X), len(sample.lengths)
        concentrations = {
            name: np.broadcast_to(1 / K if value is None else prior(name, value, shape, positive=True), shape)
            for name, value, shape in (
                ("startprob_prior", self.startprob_prior, (K,)),
                ("transmat_prior", self.transmat_prior, (K, K)),
            )
        }
        start = np.eye(K)[0] if starts_at_first(self.topology) else np.full(K, 1 / K)
        first = np.where(start > 0, concentrations["startprob_prior"], 0.0)
        rows = DirichletRows(concentrations["transmat_prior"], None, T - N)
        rows = rows.start(allowed_transitions(self.topology, K), self.stickiness(sample.X), rng)
        emission = self.start_posterior(sample.X, rng)
        return {
            "startprob_prior": first,
            "startprob_posterior": first + N * start,
            "transmat_prior": rows.transmat_prior,
            "transmat_posterior": rows.transmat_posterior,
            **{name: getattr(emission, name) for names in emission.HELD.values() for name in names},
        }

    def _refuse(self) -> None:
        """Settings that have no meaning here."""
        refused = [name for name in ("transitions", "frozen", "tied") if getattr(self, name)]
        refused += ["prior_rows"] * (self.prior_rows is not None)
        for name in refused + ["method"] * (self.method != "em"):
            raise UnsupportedError(
                f"{type(self).__name__} takes no {name}: its posteriors are of free rows and emissions, by "
                "conjugate updates; leave it out, or fit a model without posteriors"
            )

    def _warn_overwritten(self, names: set[str]) -> None:
        if self.has("n_features_in"):
            return
        for name in sorted(filter(self.has, names)):
            log.warning("%s_ was set, but the fit starts anew because of init_params", name)

    def _store(self, chain: Chain) -> None:
        q = cast(Posterior, chain)
        emission, rows = cast(VariationalEmission, q.emission), cast(DirichletRows, q.transition)
        self.startprob_prior_, self.startprob_posterior_ = q.concentration, q.initial
        self.transmat_prior_, self.transmat_posterior_ = rows.transmat_prior, rows.transmat_posterior
        for names in emission.HELD.values():
            for name in names:
                setattr(self, f"{name}_", getattr(emission, name))
        super()._store(q.point)

    def _learned(self, X: np.ndarray) -> Posterior:
        return self.posterior()

    # -- the point --------------------------------------------------------------------------------------

    def transition_kind(self) -> Transition:
        return Homogeneous()

    def _concentration(self, K: int) -> Any:
        return 1.0
