"""What a nonlinear model is before it learns or infers: settings, parameters, data, and the graph of
these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hmm.estimator import Estimator
from hmm.monitor import check_tolerance
from hmm.sequences import column_names, end_to_end, lengths_or_target, same_names
from hmm.state_space.series import Series, check_inputs
from hmm.validation import NotFittedError, one_of, rows_of_numbers, same_width, sequence_lengths, whole
from msgpass import FactorGraph, Gaussian, Messages, Quadratic, Step, run
from msgpass.errors import DataError, ShapeError
from msgpass.potentials.quadratic import check_covariance

COVARIANCES = ("transition_covariance", "observation_covariance", "initial_covariance")
NAMES = ("theta", "initial_mean", *COVARIANCES)


@dataclass(frozen=True, eq=False)
class Numbers:
    """The parameters as arrays; ``theta`` is None where the functions read none."""

    theta: np.ndarray | None
    initial_mean: np.ndarray
    transition_covariance: np.ndarray
    observation_covariance: np.ndarray
    initial_covariance: np.ndarray

    @property
    def n_states(self) -> int:
        """Numbers in a state."""
        return len(self.initial_mean)

    @property
    def n_outputs(self) -> int:
        """Numbers in an observation."""
        return len(self.observation_covariance)

    def values(self) -> dict[str, np.ndarray]:
        """By name, those that there are."""
        return {name: getattr(self, name) for name in NAMES if getattr(self, name) is not None}


class NonlinearCore(Estimator):
    """Base of :class:`hmm.NonlinearSSM`, which documents the settings."""

    FLAT: ClassVar[bool] = True
    transition: Any
    observation: Any
    linearisation: Any
    n_inputs: int
    vectorized: bool
    covariance_type: str
    learned: Any
    random_state: Any

    # -- parameters -------------------------------------------------------------------------------------

    def value_of(self, name: str) -> Any:
        """A parameter: the attribute, or what the constructor was given."""
        held = self.__dict__.get(f"{name}_")
        return getattr(self, name) if held is None else held

    def numbers(self) -> Numbers:
        """The parameters, checked."""
        given = {name: self.value_of(name) for name in NAMES}
        absent = [name for name in NAMES if given[name] is None and name != "theta"]
        if absent:
            raise NotFittedError(
                f"this {type(self).__name__} has no {', '.join(absent)}; give them to the constructor: a "
                "fit starts "
                "from them, for nothing in the data says what the state of a nonlinear model is"
            )
        arrays: dict[str, Any] = {n: None if v is None else _array(n, v) for n, v in given.items()}
        mean: Any = arrays["initial_mean"]
        arrays["initial_mean"] = np.atleast_1d(mean)
        if arrays["initial_mean"].ndim != 1:
            raise ShapeError(f"initial_mean has shape {mean.shape}, wanted (n,)")
        n = len(arrays["initial_mean"])
        for name in COVARIANCES:
            cov: Any = arrays[name]
            cov = cov.reshape(1, 1) if cov.size == 1 and cov.ndim < 2 else cov
            wanted = "(p, p)" if name.startswith("obs") else (n, n)
            if cov.ndim != 2 or cov.shape[0] != cov.shape[1] or (wanted != "(p, p)" and len(cov) != n):
                raise ShapeError(
                    f"{name} has shape {cov.shape}, wanted {wanted}: initial_mean has {n} numbers"
                )
            check_covariance(name, cov)
            arrays[name] = cov
        return Numbers(**arrays)

    def check_settings(self) -> None:
        """All constructor arguments but the numbers."""
        for name in ("transition", "observation"):
            function = getattr(self, name)
            if not callable(function) and not isinstance(function, Step):
                raise DataError(
                    f"{name} must be a function of arrays, or a Step; got {type(function).__name__}"
                )
            if isinstance(function, Step) and function.noisy:
                raise DataError(
                    f"{name} is a Step with noise; the model has {name}_covariance: leave noise= out"
                )
        whole("n_inputs", self.n_inputs, 0)
        whole("n_iter", self.n_iter, 0)
        check_tolerance(self.tol)
        one_of("covariance_type", self.covariance_type, ("full", "diag"))
        self.algebra()
        if isinstance(self.learned, str):
            raise DataError(f"learned is a list of names such as 'theta', got {self.learned!r}")
        for name in self.learned or ():
            one_of("learned", name, NAMES)

    def check_complete(self) -> None:
        self.check_settings()
        self.numbers()

    def algebra(self) -> Gaussian:
        """The algebra that the graph is run in."""
        return Gaussian(self.linearisation)

    def step(self, name: str, noise=None) -> Step:
        """f or h as a step."""
        function = getattr(self, name)
        if isinstance(function, Step):
            return Step(function.f, function.vjp, function.jvp, function.vectorized, noise=noise)
        return Step(function, vectorized=self.vectorized, noise=noise)

    # -- data -------------------------------------------------------------------------------------------

    def _ready(self, X, y=None, lengths=None, inputs=None) -> tuple[Numbers, Series]:
        """Parameters, and data that fit them."""
        self.check_settings()
        numbers = self.numbers()
        same_names(self.__dict__.get("feature_names_in_"), column_names(X), type(self).__name__)
        X, lengths = end_to_end(X, lengths, flat=self.FLAT)
        rows = np.asarray(rows_of_numbers(X, flat=self.FLAT), np.float64)
        lengths = sequence_lengths(lengths_or_target(y, lengths, len(rows)), len(rows))
        k, p = self.n_inputs, numbers.n_outputs
        if inputs is not None:
            same_width(rows, p, type(self).__name__)
            return numbers, Series(rows, self._input_rows(inputs, len(rows)), lengths)
        if k and rows.shape[1] == p:
            raise DataError(
                f"this {type(self).__name__} has {k} input(s): give inputs=, an array (T, {k}), or these "
                "as the "
                "last columns of X"
            )
        same_width(rows, p + k, type(self).__name__)
        return numbers, Series(np.ascontiguousarray(rows[:, :p]), check_inputs(rows[:, p:]), lengths)

    def _input_rows(self, inputs, n_rows: int) -> np.ndarray:
        if not self.n_inputs:
            raise DataError(
                f"inputs were given, but this {type(self).__name__} takes none; give n_inputs=, and "
                "functions of (state, inputs)"
            )
        U, _ = end_to_end(inputs, None, flat=True)
        u = np.asarray(rows_of_numbers(U, flat=True), np.float64)
        if u.shape != (n_rows, self.n_inputs):
            raise ShapeError(f"inputs have shape {u.shape}, wanted ({n_rows}, {self.n_inputs})")
        return check_inputs(u, "inputs")

    # -- the graph --------------------------------------------------------------------------------------

    def graph(self, X, lengths=None, *, inputs=None) -> FactorGraph:
        """The factor graph that everything runs on.

        States are the sequence "x", observations "y", inputs "u"; factors are "initial", "transition" and
        "observation"; parameters have the names of the attributes without the underscore.
        """
        return self.make_graph(*self._ready(X, None, lengths, inputs))

    def make_graph(self, numbers: Numbers, series: Series, start=None, latent: bool = False) -> FactorGraph:
        """The graph of some data; ``start`` (means, covariances) by sequence instead of the initial ones, and
        ``latent`` observations, whose beliefs are what is expected of them."""
        g = FactorGraph()
        x = g.sequence("x", length=list(series.lengths), shape=(numbers.n_states,))
        kept = {name: g.parameter(name, value) for name, value in numbers.values().items()}
        u = g.observe("u", series.u) if self.n_inputs else None
        shared = [kept["theta"]] if "theta" in kept else []
        mean, cov = start or (kept["initial_mean"], kept["initial_covariance"])
        g.factor(Quadratic.prior(mean, cov), x[0], name="initial")
        if len(x) > len(series.lengths):
            f = self.step("transition", kept["transition_covariance"])
            ahead = [] if u is None else [u[:-1]]
            g.factor(f, x[:-1], *ahead, *shared, out=x[1:], name="transition")
        y = (
            g.sequence("y", length=list(series.lengths), shape=(numbers.n_outputs,))
            if latent
            else g.observe("y", series.y)
        )
        h = self.step("observation", kept["observation_covariance"])
        beside = [] if u is None else [u[:]]
        g.factor(h, x[:], *beside, *shared, out=y[:], name="observation")
        return g

    def messages(self, X, lengths=None, algebra=None, schedule=None, *, inputs=None) -> Messages:
        """Run the graph over ``X``, as :func:`msgpass.run` does, in the model's own algebra by default.

        ``total`` is log Z of the linearised model, ``forward["x"]`` the filter, ``belief["x"]`` the smoother,
        ``parameters[…]`` the gradient, ``linearisation["x"]`` how the linearisation went.
        """
        return run(
            self.graph(X, lengths, inputs=inputs), self.algebra() if algebra is None else algebra, schedule
        )


def _array(name: str, value) -> np.ndarray:
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{name} is not an array of numbers: {problem}") from None
    if not np.isfinite(array).all():
        raise DataError(
            f"{name} holds NaN or an infinite value; noisy steps are linearised where states are known"
        )
    return array
