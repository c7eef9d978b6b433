"""How a nonlinear model learns: L-BFGS on log Z of the linearised model, with its whole derivative.

Covariances move by their Cholesky factor, whose diagonal is a logarithm: Σ = L Lᵀ, ∂/∂L = 2 (∂/∂Σ) L.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from hmm.sequences import column_names
from hmm.state_space.nonlinear_core import COVARIANCES, NAMES, NonlinearCore, Numbers
from msgpass import run
from msgpass.errors import ConvergenceWarning, DataError, NumericalError, UnsupportedError
from msgpass.learning.lbfgs import Climber

DEFAULT = ("theta", "transition_covariance", "observation_covariance")


class NonlinearLearner(NonlinearCore):
    """The method that estimates."""

    def fit(self, X, y=None, lengths=None, *, inputs=None):
        """Climb ``score`` from the parameters that the model has.

        Parameters
        ----------
        X : array-like or frame, (T, p) or (T,), or a list of these
            Observations of sequences end to end, or a list with one array a sequence; NaN is missing. With
            ``n_inputs`` the last columns are inputs.
        y : ignored, or lengths
        lengths : array-like of int, optional
        inputs : array-like, (T, k), or a list of these, optional

        Returns
        -------
        self

        Raises
        ------
        DataError
            Where a covariance to be learned is singular at the start, or every cell is missing.
        UnsupportedError
            Under ``Iterated`` sigma points, whose likelihood has no gradient here.
        """
        numbers, series = self._ready(X, y, lengths, inputs)
        if np.isnan(series.y).all():
            raise DataError(
                "X holds no observation at all: every cell is missing, so there is nothing to learn from"
            )
        coordinates = Coordinates(numbers, self._learned(numbers), self.covariance_type)
        monitor = self._fresh_monitor()
        monitor.reset()
        names = column_names(X)
        self._seen(series.y.shape[1] + (self.n_inputs if inputs is None else 0), names)
        graph, algebra = self.make_graph(numbers, series), self.algebra()

        def slopes(point: np.ndarray) -> tuple[float, np.ndarray]:
            values = coordinates.at(point)
            m = run(graph, algebra, values=values)
            return float(m.total), coordinates.pullback(
                values, {n: m.parameters[n] for n in coordinates.names}
            )

        def trial(point: np.ndarray) -> tuple[float, np.ndarray]:
            try:
                with np.errstate(all="ignore"), warnings.catch_warnings():
                    warnings.simplefilter("error", ConvergenceWarning)  # a path that is not at rest: too long
                    value, slope = slopes(point)
            except (DataError, NumericalError, ConvergenceWarning, np.linalg.LinAlgError):
                value, slope = -np.inf, np.zeros(len(point))
            if not (np.isfinite(value) and np.isfinite(slope).all()):
                return -np.inf, np.zeros(len(point))
            return value, slope

        value, slope = slopes(coordinates.start)
        bound = np.full(len(coordinates.start), np.inf)
        climber = Climber(trial, coordinates.start, value, slope, -bound, bound)
        self._store(numbers)
        monitor.report(value)
        while monitor.iter <= monitor.n_iter and climber.climb():
            self._store(coordinates.numbers(climber.point))
            monitor.report(climber.value)
            if monitor.converged:
                break
        return self

    def _learned(self, numbers: Numbers) -> list[str]:
        names = list(self.learned) if self.learned is not None else list(DEFAULT)
        if numbers.theta is None and "theta" in names:
            if self.learned is not None:
                raise DataError("learned names theta, but the functions read none: give theta=, an array")
            names.remove("theta")
        if not names:
            raise UnsupportedError(f"learned is empty; a fit moves some of {', '.join(NAMES)}")
        return names

    def _store(self, found: Numbers) -> None:
        for name, value in found.values().items():
            setattr(self, f"{name}_", np.array(value))


class Coordinates:
    """Free numbers for some of the parameters."""

    def __init__(self, numbers: Numbers, names: list[str], covariance_type: str):
        self.fixed, self.names, self.diag = numbers, names, covariance_type == "diag"
        parts = [self._free(name, getattr(numbers, name)) for name in names]
        self.sizes = [len(part) for part in parts]
        self.start = np.concatenate(parts)

    def _free(self, name: str, value: np.ndarray) -> np.ndarray:
        if name not in COVARIANCES:
            return value.ravel().copy()
        if self.diag:
            if (np.diagonal(value) <= 0).any():
                raise DataError(
                    f"{name} has a zero variance, which a fit cannot move; leave it out of learned"
                )
            return 0.5 * np.log(np.diagonal(value))
        try:
            L = np.linalg.cholesky(value)
        except np.linalg.LinAlgError:
            raise DataError(
                f"{name} is singular, and a fit moves it by its Cholesky factor; leave it out of learned"
            ) from None
        L[np.diag_indices(len(L))] = np.log(np.diagonal(L))
        return L[np.tril_indices(len(L))]

    def _parts(self, point: np.ndarray):
        return zip(self.names, np.split(point, np.cumsum(self.sizes)[:-1]), strict=True)

    def _root(self, name: str, part: np.ndarray) -> np.ndarray:
        n = len(getattr(self.fixed, name))
        if self.diag:
            return np.diag(np.exp(part))
        L = np.zeros((n, n))
        L[np.tril_indices(n)] = part
        L[np.diag_indices(n)] = np.exp(np.diagonal(L))
        return L

    def at(self, point: np.ndarray) -> dict[str, np.ndarray]:
        """Values by name."""
        values: dict[str, Any] = {}
        for name, part in self._parts(point):
            if name in COVARIANCES:
                L = self._root(name, part)
                values[name] = L @ L.T
            else:
                values[name] = part.reshape(getattr(self.fixed, name).shape)
        self._roots = {n: self._root(n, p) for n, p in self._parts(point) if n in COVARIANCES}
        return values

    def numbers(self, point: np.ndarray) -> Numbers:
        """All parameters."""
        return Numbers(**{n: getattr(self.fixed, n) for n in NAMES} | self.at(point))

    def pullback(self, values, slopes: dict[str, np.ndarray]) -> np.ndarray:
        """Gradient over the coordinates, from that over the values last made."""
        parts = []
        for name in self.names:
            g = slopes[name]
            if name not in COVARIANCES:
                parts.append(g.ravel())
                continue
            L = self._roots[name]
            at_L = (g + g.T) @ L
            diagonal = np.diagonal(at_L) * np.diagonal(L)
            if self.diag:
                parts.append(diagonal)
                continue
            at_L[np.diag_indices(len(L))] = diagonal
            parts.append(at_L[np.tril_indices(len(L))])
        return np.concatenate(parts)
