"""How a switching model learns, and what it is before it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from hmm.estimator import Estimator
from hmm.monitor import ConvergenceMonitor, check_tolerance
from hmm.sequences import column_names, end_to_end, lengths_or_target, same_names
from hmm.state_space.series import Series
from hmm.state_space.space import COVARIANCES
from hmm.state_space.structure import COVARIANCE_TYPES
from hmm.state_space.switching.climb import ApproximateFitting, ApproximateMonitor, approximate_em
from hmm.state_space.switching.expectation import Expectation
from hmm.state_space.switching.graph import make_graph
from hmm.state_space.switching.space import NAMES, SwitchingSpace, checked, outputs_of
from hmm.state_space.switching.structure import (
    SwitchingStructure,
    check_names,
    frozen_entries,
    learned_names,
    shared_names,
    structure,
)
from hmm.validation import NotFittedError, generator, one_of, prior, rows_of_numbers, same_width, whole
from hmm.validation import sequence_lengths as checked_lengths
from msgpass import FactorGraph, Messages, run
from msgpass.errors import DataError

FLOOR = 1e-6
"""Least variance of an output's noise that a fit goes down to, in units of the output's variance."""


class SwitchingLearner(Estimator):
    """Base of :class:`hmm.SwitchingLinearGaussianSSM`, which documents the settings."""

    n_components: int
    n_states: int
    shared: Any
    learned: Any
    frozen: Any
    random_state: Any
    n_init: int

    # -- parameters -------------------------------------------------------------------------------------

    def space(self) -> SwitchingSpace:
        """The parameters as a value, checked.

        Raises
        ------
        NotFittedError
            If some are missing.
        """
        K, n = whole("n_components", self.n_components, 1), whole("n_states", self.n_states, 1)
        values = {}
        for name in NAMES:
            held = self.__dict__.get(f"{name}_")
            values[name] = getattr(self, name) if held is None else held
        for name in ("transition_offset", "observation_offset"):
            if values[name] is None:
                size = n if name.startswith("transition") else outputs_of(values, n)
                values[name] = np.zeros(size)
        absent = [f"{name}_" for name, value in values.items() if value is None]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(absent)} yet; call fit(X), or set these "
                "attributes"
            )
        return checked(values, K, n, outputs_of(values, n), shared_names(self.shared))

    def check_settings(self) -> None:
        """All constructor arguments but the parameters."""
        K = whole("n_components", self.n_components, 1)
        whole("n_states", self.n_states, 1)
        whole("n_iter", self.n_iter, 0)
        whole("n_init", self.n_init, 1)
        check_tolerance(self.tol)
        shared_names(self.shared)
        frozen_entries(self.frozen)
        if self.learned is not None:
            check_names("learned", self.learned)
        for name in COVARIANCES:
            one_of(f"{name}_type", getattr(self, f"{name}_type"), COVARIANCE_TYPES)
        for name, shape in (("startprob_prior", (K,)), ("transmat_prior", (K, K))):
            prior(name, getattr(self, name), shape, positive=True)

    def check_complete(self) -> None:
        self.check_settings()
        if vars(self).get("n_features_in_", p := self.space().n_outputs) != p:
            raise DataError("n_features_in_ contradicts the parameters")

    # -- data -------------------------------------------------------------------------------------------

    def _series(self, X, y=None, lengths=None, space: SwitchingSpace | None = None) -> Series:
        X, lengths = end_to_end(X, lengths, flat=True)
        rows = rows_of_numbers(X, flat=True)
        lengths = checked_lengths(lengths_or_target(y, lengths, len(rows)), len(rows))
        if space is not None:
            same_width(rows, space.n_outputs, type(self).__name__)
        values = np.ascontiguousarray(rows, np.float64)
        return Series(values, np.zeros((len(values), 0)), lengths)

    def _ready(self, X, y, lengths) -> tuple[SwitchingSpace, Series]:
        """Parameters, and data that fit them."""
        space = self.space()
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        return space, self._series(X, y, lengths, space)

    def graph(self, X, lengths=None) -> FactorGraph:
        """The factor graph that everything runs on: regimes "z", states "x", observations "y"."""
        return make_graph(*self._ready(X, None, lengths))

    def messages(self, X, lengths=None, schedule=None) -> Messages:
        """Run the graph over ``X``, as :func:`msgpass.run` does: ``total`` is the approximate log p(X),
        ``mixture("x")`` the smoother, ``statistics[…]`` expected moments by regime."""
        return run(self.graph(X, lengths), schedule=schedule)

    # -- fit --------------------------------------------------------------------------------------------

    def fit(self, X, y=None, lengths=None):
        """Estimate the parameters by approximate EM; the best iteration of all starts is kept.

        Parameters
        ----------
        X : array-like or frame, (T, p) or (T,), or a list of these
            Observations of sequences end to end, or a list with one array a sequence; NaN is missing.
        y : ignored, or lengths
        lengths : array-like of int, optional
            Lengths of the sequences, summing to T; one sequence by default.

        Returns
        -------
        self

        Raises
        ------
        DataError, ShapeError
            Where an argument, the data or a parameter that the fit starts from cannot be used.
        NumericalError
            If a start gives no finite likelihood.

        Warns
        -----
        ConvergenceWarning
            If ``n_iter`` iterations were not enough.
        """
        self.check_settings()
        names, series = column_names(X), self._series(X, y, lengths)
        if np.isnan(series.y).all():
            raise DataError(
                "X holds no observation at all: every cell is missing, so there is nothing to learn from"
            )
        fitting = self._fitting(series)
        self._seen(series.y.shape[1], names)
        return self._concluded(fitting, self._store)

    def _fitting(self, series: Series) -> ApproximateFitting:
        from hmm.state_space.switching.starting import starting_space

        given, monitor, rng = (
            self._given(len(series.lengths)),
            self._fresh_monitor(),
            generator(self.random_state),
        )
        K, n, shared, starts = self.n_components, self.n_states, shared_names(self.shared), 0

        def moved(space: SwitchingSpace) -> SwitchingStructure:
            return self._structure(space, series)

        def start(own: np.random.Generator) -> SwitchingSpace:
            nonlocal starts
            starts += 1
            return starting_space(given, series, K, n, shared, moved, starts - 1, own)

        expectation = Expectation(series)

        def climbing(space: SwitchingSpace) -> Iterator[SwitchingSpace]:
            return approximate_em(space, expectation, moved(space), monitor)

        return ApproximateFitting(start, climbing, monitor, rng, self.n_init)  # type: ignore[arg-type]

    def _given(self, n_sequences: int) -> dict[str, Any]:
        """What a fit takes as it is: the constructor's values, attributes that were set by hand, and what is
        not learned; not what an earlier fit has left, so that a fit can be repeated."""
        learned, left = learned_names(self, n_sequences), self.__dict__.get("_left", {})
        found: dict[str, Any] = {}
        for name in NAMES:
            value, own = getattr(self, name), self.__dict__.get(f"{name}_")
            by_hand = own is not None and not (name in left and np.array_equal(own, left[name]))
            held = name not in learned and (name in frozen_entries(self.frozen) or self.learned is not None)
            if by_hand or (value is None and held):
                value = own
            if value is None and held and not name.endswith(("offset", "prob", "mat")):
                raise DataError(
                    f"{name} is not to be learned, but it has no value; give {name}= to the constructor, or "
                    f"set {name}_ before the fit"
                )
            if value is None and held and name == "transition_offset":
                value = np.zeros(self.n_states)
            found[name] = value
        return found

    def _structure(self, space: SwitchingSpace, series: Series) -> SwitchingStructure:
        found = structure(self, space, len(series.lengths))
        seen = ~np.isnan(series.y).all(axis=0)
        if "observation_covariance" not in found.free or not seen.all():
            return found
        least = FLOOR * np.maximum(np.nanvar(series.y, axis=0), np.finfo(float).tiny)
        low = np.linalg.eigvalsh(space.observation_covariance - np.diag(least)).min()
        return replace(found, floors={"observation_covariance": least}) if low > 0 else found

    def _fresh_monitor(self) -> ConvergenceMonitor:
        if self.__dict__.get("_own_monitor"):
            return super()._fresh_monitor()
        self._monitor = ApproximateMonitor(self.tol, self.n_iter, self.verbose)
        return self._monitor

    def _store(self, found: SwitchingSpace) -> None:
        values = found.attributes()
        for name, value in values.items():
            setattr(self, f"{name}_", value)
        self._left = {name: value.copy() for name, value in values.items()}
