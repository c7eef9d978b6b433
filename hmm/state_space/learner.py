"""How a linear-Gaussian model learns: ``fit``, by EM or by the gradient of the likelihood."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from hmm.learning.checkpoint import Checkpoint, add_arrays, with_settings
from hmm.learning.fitting import Fitting
from hmm.monitor import log
from hmm.sequences import column_names
from hmm.state_space.climbs import expectation_maximisation
from hmm.state_space.core import NEEDED, Core
from hmm.state_space.expectation import Expectation
from hmm.state_space.maximise import is_above
from hmm.state_space.series import Series
from hmm.state_space.space import INITIAL, NAMES, StateSpace, checked
from hmm.state_space.starting import sizes, starting_values
from hmm.state_space.structure import Structure, check_names, structure, untouched
from hmm.state_space.uncertainty import Uncertainty
from hmm.uncertainty import ConfidenceIntervals, StandardErrors
from hmm.validation import generator
from msgpass.errors import DataError, ShapeError

FLOOR = 1e-6
"""Least variance of an output's noise that a fit goes down to, in units of the output's variance."""


class Learner(Core):
    """Methods that estimate."""

    def fit(self, X, y=None, lengths=None, *, inputs=None, checkpoint=None):
        """Estimate the parameters by EM, or by the climb that ``method`` names.

        Parameters
        ----------
        X : array-like or frame, (T, p) or (T,), or a list of these
            Observations of sequences end to end, or a list with one array a sequence; NaN is missing. With
            ``n_inputs`` the last columns are inputs.
        y : ignored, or lengths
            As in hidden Markov models: whole numbers ≥ 1 that sum to T are lengths.
        lengths : array-like of int, optional
            Lengths of the sequences, summing to T; one sequence by default.
        inputs : array-like, (T, k), or a list of these, optional
            What is known at every step and moves states or observations.
        checkpoint : str or path, optional
            A file that the fit is kept in while it runs, and from which the same call goes on after it was
            cut short, to the bit (L-BFGS without its memory of the curvature). With ``n_iter`` raised the
            best goes on from where it ended.

        Returns
        -------
        self

        Raises
        ------
        DataError, ShapeError
            Where an argument, the data or a parameter that the fit starts from cannot be used.
        UnsupportedError
            Where EM has no closed form for what is to be learned.
        NumericalError
            If the start determines the states nowhere, or gives no finite likelihood.

        Warns
        -----
        ConvergenceWarning
            If ``n_iter`` iterations were not enough to gain less than ``tol > 0`` in one.
        """
        self.check_settings()
        names = column_names(X)
        series, width = self._series(X, y, lengths, inputs)
        if np.isnan(series.y).all():
            raise DataError(
                "X holds no observation at all: every cell is missing, so there is nothing to learn from"
            )
        if len(series.y) < 2:
            raise DataError(
                "X has 1 sample, a single row; a fit needs at least 2 to see anything move or vary"
            )
        kept = None if checkpoint is None else Checkpoint(checkpoint, self, self._digest(series), _space)
        fitting = self._fitting(series, kept)
        self._seen(width, names)
        return self._concluded(fitting, self._store, kept)

    def _digest(self, series: Series) -> str:
        """Of the data, the settings and what is held."""
        found = hashlib.sha256()
        add_arrays(found, series.y, series.u, np.asarray(series.lengths))
        names = [] if self.frozen is None else check_names("frozen", self.frozen)
        held = {name: self.value_of(name) for name in dict.fromkeys([*self.untouched(), *names])}
        numbers = ((name, np.asarray(value, np.float64)) for name, value in held.items() if value is not None)
        return with_settings(found, self, numbers)

    def standard_errors(self, X, lengths=None, *, inputs=None) -> StandardErrors:
        """Standard errors of the estimates, from the observed information at the maximum.

        The information is minus the second derivatives of log p(X) (plus log prior), by differences of the
        exact gradient, two runs of the graph for each learned number.

        Parameters
        ----------
        X, lengths, inputs
            What the model was fitted to.

        Returns
        -------
        StandardErrors
            By attribute, ``errors["transition_matrix_"]``, in its shape, of what the fit learns; NaN of what
            is held or at the end of its range.

        Raises
        ------
        NumericalError
            If the data do not tell the numbers apart, as where the states' basis is free.

        Warns
        -----
        ConvergenceWarning
            If the parameters are far from the maximum, compared with their errors.
        """
        return self._uncertainty(X, lengths, inputs).standard_errors()

    def confidence_intervals(
        self, X, lengths=None, level: float = 0.95, *, inputs=None
    ) -> ConfidenceIntervals:
        """Confidence intervals of the parameters, from the observed information; those of variances are
        symmetric in their logarithm."""
        from scipy.special import ndtri

        if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
            raise DataError(f"level is a number between 0 and 1, such as 0.95; got {level!r}")
        return self._uncertainty(X, lengths, inputs).intervals(level, float(ndtri(0.5 + level / 2)))

    def _uncertainty(self, X, lengths, inputs) -> Uncertainty:
        self.check_settings()
        space, series = self._ready(X, None, lengths, inputs)
        return Uncertainty(space, series, self._structure(space, series))

    def _fitting(self, series: Series, kept: Checkpoint | None) -> Fitting:
        monitor, rng = self._fresh_monitor(), generator(self.random_state)
        state = None if kept is None else kept.load()
        origin = self if kept is None else kept.origin
        given, starts = origin._given(), 0

        def start(own: np.random.Generator) -> StateSpace:
            nonlocal starts
            starts += 1
            return self._start(given, series, own, starts == 1)

        first = start(np.random.default_rng(0))
        starts = 0
        moved = self._structure(first, series)
        expectation = Expectation(series, moved.apart)
        climb: Callable = self._climb()

        def climbing(space: StateSpace) -> Iterator[StateSpace]:
            return climb(space, expectation, moved, monitor)

        n_init = self.n_init
        if n_init > 1 and not any(given[name] is None for name in NEEDED):
            log.warning("n_init=%d starts would be alike, for all matrices are given; one is made", n_init)
            n_init = 1
        after: Callable = (lambda _: None) if kept is None else kept.after
        return Fitting(start, climbing, monitor, rng, n_init, state, after)  # type: ignore[arg-type]

    def _climb(self) -> Callable:
        if self.method == "em":
            return expectation_maximisation
        from hmm.state_space.ascent import gradient_ascent

        return gradient_ascent

    def untouched(self) -> list[str]:
        return untouched(self.learned, self.frozen)

    def _given(self) -> dict[str, Any]:
        """What a fit takes as it is: the constructor's values, attributes that were set by hand, and what is
        not learned. Attributes that an earlier fit has left count for nothing else, so that a fit can be
        repeated."""
        frozen = set() if self.frozen is None else set(check_names("frozen", self.frozen))
        untouched = frozen.union(self.untouched())
        left = self.__dict__.get("_left_", {})
        found: dict[str, Any] = {}
        for name in NAMES:
            value, own = getattr(self, name), self.__dict__.get(f"{name}_")
            by_hand = own is not None and not (name in left and np.array_equal(own, left[name]))
            still = name in untouched
            if by_hand or (value is None and still):
                value = own
            if value is None and still and name in NEEDED:
                raise DataError(
                    f"{name} is not to be learned, but it has no value; give {name}= to the constructor, or "
                    f"set "
                    f"{name}_ before the fit"
                )
            if value is None and still and name.endswith("offset"):
                value = 0.0
            found[name] = value
        if self.initial != "known":
            found |= dict.fromkeys(INITIAL)
        return found

    def _start(
        self, given: dict[str, Any], series: Series, rng: np.random.Generator, first: bool
    ) -> StateSpace:
        """Where a climb begins."""
        n, p, k = self._size(), series.y.shape[1], series.u.shape[1]
        given = dict(given)
        for name, size in (("transition_offset", n), ("observation_offset", p)):
            if np.ndim(given[name]) == 0 and given[name] is not None:
                given[name] = np.full(size, given[name], float)
        present = {name: value for name, value in given.items() if value is not None}
        filler = dict.fromkeys(NAMES) | self._blank(n, p, k)
        self._check_widths(present, p, k)
        valid = checked(filler | present, "known", n).values()  # shapes of what is given, before it is used
        present = {name: valid[name] for name in present}
        values = starting_values(present, series, n, rng, first)
        values = {name: np.asarray(v) for name, v in values.items()}
        for name in ("transition", "observation", "initial"):
            key = f"{name}_covariance"
            if key not in present:
                values[key] = _of_type(values[key], getattr(self, f"{key}_type"))
        if self.initial != "known":
            values |= {name: self._blank(n, p, k)[name] for name in INITIAL}
        return checked(values, self.initial, n)

    @staticmethod
    def _blank(n: int, p: int, k: int) -> dict[str, np.ndarray]:
        return {
            "transition_matrix": np.zeros((n, n)),
            "transition_input_matrix": np.zeros((n, k)),
            "transition_covariance": np.eye(n),
            "observation_matrix": np.zeros((p, n)),
            "observation_input_matrix": np.zeros((p, k)),
            "observation_covariance": np.eye(p),
            "initial_mean": np.zeros(n),
            "initial_covariance": np.eye(n),
        }

    @staticmethod
    def _check_widths(given: dict[str, Any], p: int, k: int) -> None:
        H: Any = given.get("observation_matrix")
        if H is not None and np.ndim(H) >= 2 and np.shape(H)[-2] != p:
            raise ShapeError(
                f"observation_matrix has {np.shape(H)[-2]} rows, but X has {p} columns of observations"
            )
        for name in ("transition_input_matrix", "observation_input_matrix"):
            value: Any = given.get(name)
            width = 0 if value is None else np.shape(value)[-1] if np.ndim(value) >= 2 else 1
            if value is not None and width != k:
                raise ShapeError(
                    f"{name} has {width} columns, but {k} input(s) were given; give inputs=, or n_inputs and "
                    f"these as "
                    "the last columns of X"
                )

    def _structure(self, space: StateSpace, series: Series) -> Structure:
        found = structure(self, space, len(series.lengths))
        floors: dict[str, Any] = {}
        if "observation_covariance" in found.free and not np.isnan(series.y).all(axis=0).any():
            least = FLOOR * np.maximum(np.nanvar(series.y, axis=0), sizes(series.y) ** 2)
            if is_above(space.observation_covariance, least):
                floors["observation_covariance"] = least
        return replace(found, floors=floors)

    def _store(self, found: StateSpace) -> None:
        for name, value in found.values().items():
            setattr(self, f"{name}_", value)
        self._left_ = {name: value.copy() for name, value in found.values().items()}


def _space(model: Learner) -> Any:
    """The parameters that a model holds."""
    return model.space()


def _of_type(cov: np.ndarray, kind: str) -> np.ndarray:
    """The start of a covariance of a type."""
    if kind == "diag":
        return np.diag(np.diag(cov))
    return np.mean(np.diag(cov)) * np.eye(len(cov)) if kind == "spherical" else cov
