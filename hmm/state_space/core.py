"""What a linear-Gaussian model is before it learns or infers: settings, attributes, data, and the graph of
these."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from hmm.estimator import Estimator
from hmm.monitor import check_tolerance
from hmm.sequences import column_names, end_to_end, lengths_or_target, same_names
from hmm.state_space.graph import make_graph
from hmm.state_space.series import Series, check_inputs
from hmm.state_space.space import INITIAL, INITIALS, NAMES, StateSpace, checked
from hmm.state_space.structure import COVARIANCE_TYPES, check_names
from hmm.validation import NotFittedError, one_of, rows_of_numbers, same_width, sequence_lengths, whole
from msgpass import FactorGraph, Messages, run
from msgpass.errors import DataError, ShapeError

METHODS = ("em", "lbfgs")

NEEDED = ("transition_matrix", "transition_covariance", "observation_matrix", "observation_covariance")
"""Parameters that have no default."""


class Core(Estimator):
    """Base of :class:`hmm.LinearGaussianSSM`, which documents the settings."""

    FLAT: ClassVar[bool] = True
    """Whether X of shape (T,) stands for (T, 1)."""

    n_components: int
    n_inputs: int
    initial: str

    # -- parameters -------------------------------------------------------------------------------------

    def value_of(self, name: str) -> Any:
        """A parameter: the attribute, or what the constructor was given; None where there is neither."""
        held = self.__dict__.get(f"{name}_")
        return getattr(self, name) if held is None else held

    def space(self) -> StateSpace:
        """The parameters as a value, checked.

        Raises
        ------
        NotFittedError
            If some are missing.
        """
        n, initial = self._size(), one_of("initial", self.initial, INITIALS)
        values = {name: self.value_of(name) for name in NAMES}
        needed = NEEDED + (INITIAL if initial == "known" else ())
        absent = [name for name in needed if values[name] is None]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(f'{name}_' for name in absent)} yet; call "
                f"fit(X), or "
                "set these attributes"
            )
        if initial != "known":
            values |= dict.fromkeys(INITIAL)
        return checked(values, initial, n)

    def _size(self) -> int:
        return whole("n_components", self.n_components, 1)

    def check_settings(self) -> None:
        """All constructor arguments but the parameters."""
        self._size()
        whole("n_inputs", self.n_inputs, 0)
        whole("n_iter", self.n_iter, 0)
        whole("n_init", self.n_init, 1)
        check_tolerance(self.tol)
        one_of("initial", self.initial, INITIALS)
        one_of("method", self.method, METHODS)
        for name in ("transition", "observation", "initial"):
            one_of(f"{name}_covariance_type", getattr(self, f"{name}_covariance_type"), COVARIANCE_TYPES)
        if self.learned is not None:
            learned = check_names("learned", self.learned)
            if self.initial != "known" and set(learned) & set(INITIAL):
                raise DataError(
                    f"learned names the first state, but initial={self.initial!r} says what it is"
                )
        if self.frozen is not None:
            check_names("frozen", self.frozen)

    def check_complete(self) -> None:
        self.check_settings()
        space = self.space()
        p, k = space.n_outputs, space.n_inputs
        if vars(self).get("n_features_in_", p) not in (p, p + k):
            raise DataError("n_features_in_ contradicts the parameters")

    # -- data -------------------------------------------------------------------------------------------

    def _series(
        self, X, y=None, lengths=None, inputs=None, space: StateSpace | None = None
    ) -> tuple[Series, int]:
        """Data, checked, and the columns of X; with a space they must fit it."""
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        rows = rows_of_numbers(X, flat=self.FLAT)
        lengths = sequence_lengths(lengths_or_target(y, lengths, len(rows)), len(rows))
        k = whole("n_inputs", self.n_inputs, 0) if space is None else space.n_inputs
        if inputs is not None:
            u = self._input_rows(inputs, len(rows), None if space is None else k)
            if space is None and k not in (0, u.shape[1]):
                raise ShapeError(f"inputs have {u.shape[1]} columns, but n_inputs={k}")
            if space is not None:
                same_width(rows, space.n_outputs, type(self).__name__)
            return Series(np.asarray(rows, np.float64), u, lengths), rows.shape[1]
        if space is not None:
            if k and rows.shape[1] == space.n_outputs:
                raise DataError(
                    f"this {type(self).__name__} has {k} input(s): give inputs=, an array (T, {k}), or these "
                    f"as the "
                    "last columns of X"
                )
            same_width(rows, space.n_outputs + k, type(self).__name__)
        elif k >= rows.shape[1]:
            raise ShapeError(
                f"X has {rows.shape[1]} columns; wanted at least one of observations, and then n_inputs={k} "
                f"of inputs"
            )
        values = np.asarray(rows, np.float64)
        p = values.shape[1] - k
        return Series(np.ascontiguousarray(values[:, :p]), check_inputs(values[:, p:]), lengths), rows.shape[
            1
        ]

    def _input_rows(self, inputs, n_rows: int, k: int | None, what: str = "inputs") -> np.ndarray:
        """Inputs end to end, one row a step."""
        U, _ = end_to_end(inputs, None, flat=True)
        u = np.asarray(rows_of_numbers(U, flat=True), np.float64)
        if k == 0:
            raise DataError(
                f"{what} were given, but this {type(self).__name__} takes none; give it "
                "transition_input_matrix or observation_input_matrix"
            )
        if len(u) != n_rows or (k is not None and u.shape[1] != k):
            raise ShapeError(f"{what} have shape {u.shape}, wanted ({n_rows}, {'k' if k is None else k})")
        return check_inputs(u, what)

    def _ready(self, X, y, lengths, inputs) -> tuple[StateSpace, Series]:
        """Parameters, and data that fit them."""
        space = self.space()
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        return space, self._series(X, y, lengths, inputs, space)[0]

    # -- the graph --------------------------------------------------------------------------------------

    def graph(self, X, lengths=None, *, inputs=None) -> FactorGraph:
        """The factor graph that everything runs on.

        States are the sequence "x", observations "y", inputs "u"; factors are "initial", "transition" and
        "observation"; parameters have the names of the attributes without the underscore. With inputs,
        "transition_matrix" is [F B] and "observation_matrix" [H D].
        """
        space, series = self._ready(X, None, lengths, inputs)
        return make_graph(space, series)

    def messages(self, X, lengths=None, algebra=None, schedule=None, *, inputs=None) -> Messages:
        """Run the graph over ``X`` in an algebra under a schedule, as :func:`msgpass.run` does.

        ``total`` is log p(X), ``forward["x"]`` the filter, ``belief["x"]`` the smoother,
        ``belief["transition"]`` the joint distribution of neighbours, ``parameters[…]`` the gradient of log
        p(X).
        """
        return run(self.graph(X, lengths, inputs=inputs), algebra, schedule)
