"""``StructuralTimeSeries``: a series as a sum of components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hmm.estimator import Estimator
from hmm.monitor import check_tolerance
from hmm.state_space.space import as_numbers
from hmm.state_space.structural import (
    ahead,
    climb,
    decomposition,
    diagnostics,
    disturbances,
    errors,
    innovations,
)
from hmm.state_space.structural.assembly import Assembly, Values
from hmm.state_space.structural.data import regressors, series
from hmm.state_space.structural.estimate import quantile
from hmm.state_space.structural.likelihood import Likelihood
from hmm.uncertainty import ConfidenceIntervals, StandardErrors
from hmm.validation import NotFittedError, generator, whole
from msgpass import FactorGraph, Messages
from msgpass.errors import DataError, ShapeError


@dataclass(eq=False, repr=False)
class StructuralTimeSeries(Estimator):
    """A structural time series: y_t is a sum of components such as trend, season and noise.

    Fitted by exact likelihood with exact flat starts. Everything that is read comes from the messages of one
    factor graph (:meth:`graph`). Take logarithms first where seasons grow with the level.

    Parameters
    ----------
    components : sequence of Component
        From :mod:`hmm.structural`: ``LocalLevel``, ``LocalLinearTrend``, ``Seasonal``, ``Cycle``, ``AR``,
        ``ARMA``, ``Regression``, ``Irregular``.
    n_init : int
        Climbs, the first from a usual start, the others from the best of drawn ones.
    n_iter, tol : int, float
        A climb ends after ``n_iter`` iterations, or when two in a row gain less than ``tol``.
    random_state : int, numpy.random.Generator or None
    verbose : bool
        Whether every iteration prints a line.

    Attributes
    ----------
    parameters_ : dict of str to array
        By full name, as "level.variance". May be set, wholly or in part.
    log_likelihood_ : float
        Of the fit; see :meth:`score` for the convention.
    monitor_ : ConvergenceMonitor
        Of the climb that won, for the series in units of its noise.
    components_ : Decomposition
        The fitted series taken apart, with intervals.

    Examples
    --------
    >>> from hmm import structural
    >>> from msgpass import data
    >>> model = structural.local_level(random_state=0).fit(data.load("nile").values)
    >>> {name: round(float(v)) for name, v in model.parameters_.items()}
    {'level.variance': 1469, 'irregular.variance': 15099}
    >>> model.forecast(1).mean.round(1)
    array([798.4])
    """

    components: Any
    n_init: int = 5
    n_iter: int = 500
    tol: float = 1e-7
    random_state: Any = None
    verbose: bool = False

    # -- fitting ------------------------------------------------------------------------------------------

    def fit(self, y, exog=None) -> StructuralTimeSeries:
        """Maximise the likelihood.

        Parameters
        ----------
        y : array, (T,)
            NaN where missing.
        exog : array or frame, (T, k), optional
            Regressors of all ``Regression`` components, side by side.
        """
        assembly = Assembly.of(self.components)
        y = series(y)
        inputs = regressors(assembly, exog, len(y))
        n_init = whole("n_init", self.n_init, 1)
        whole("n_iter", self.n_iter, 1), check_tolerance(self.tol)
        usual = assembly.start(y, inputs, 1.0, None)
        climb.check_enough(y, int(assembly.flat(usual).sum()))
        monitor = self._fresh_monitor()
        found = climb.fit(assembly, y, inputs, n_init, monitor, generator(self.random_state))
        self._observe(y, inputs)
        self.parameters_ = found.values
        self._monitor = found.monitor
        self.log_likelihood_ = self.score()
        return self

    def check_complete(self) -> None:
        """Raise unless there are parameters, and a series, if any, that goes with them."""
        assembly = Assembly.of(self.components)
        self.parameters_ = self._values()
        if "_series_" in self.__dict__:
            y = series(self._series_)
            self._observe(y, regressors(assembly, self._inputs_ if assembly.n_inputs else None, len(y)))

    def _observe(self, y: np.ndarray, inputs: np.ndarray) -> None:
        self._series_, self._inputs_ = y, inputs
        self.__dict__.pop("_decomposition", None)

    @property
    def parameters_(self) -> Values:
        """Values by full name."""
        return dict(self._values())

    @parameters_.setter
    def parameters_(self, given: Values) -> None:
        assembly = Assembly.of(self.components)
        if not isinstance(given, Mapping):
            raise DataError(
                f"parameters_ is a dict of values by name, such as 'level.variance'; got {given!r}"
            )
        unknown = sorted(map(str, set(given) - set(assembly.names)))
        if unknown:
            raise DataError(
                f"there is no parameter {', '.join(unknown)}; there are {', '.join(assembly.names)}"
            )
        known = self.__dict__.get("_parameters_", {})
        found: Values = {}
        for name, p in assembly.parameters.items():
            value = p.fixed if p.fixed is not None else given.get(name, known.get(name))
            if value is None:
                raise DataError(f"parameter {name} has no value yet; give one, or fit")
            array = as_numbers(f"parameter {name}", value)
            if array.size != int(np.prod(p.shape)):
                raise ShapeError(f"parameter {name} has shape {array.shape}, wanted {p.shape}")
            array = array.reshape(p.shape)
            if not np.isfinite(array).all() or (p.spread and (array < 0).any()):
                raise DataError(
                    f"parameter {name} must be finite{', and not negative' * p.spread}, got {value!r}"
                )
            found[name] = array
        self._parameters_ = found
        self.__dict__.pop("_decomposition", None)

    def _values(self) -> Values:
        if "_parameters_" not in self.__dict__:
            raise NotFittedError(
                "this StructuralTimeSeries has no parameters yet; call fit(y), or set parameters_"
            )
        return self._parameters_

    # -- likelihood ---------------------------------------------------------------------------------------

    def _likelihood(self, y, exog) -> Likelihood:
        """Over data that are given, or those of the fit."""
        self._values()
        assembly = Assembly.of(self.components)
        if y is None:
            if exog is not None:
                raise DataError("exog was given without y; give both, or neither for the series of the fit")
            if "_series_" not in self.__dict__:
                raise NotFittedError("this model has seen no series; give y")
            return Likelihood(assembly, self._series_, self._inputs_)
        y = series(y)
        return Likelihood(assembly, y, regressors(assembly, exog, len(y)))

    def score(self, y=None, exog=None) -> float:
        """Diffuse log-likelihood log p(y), of the series of the fit by default.

        That of Durbin and Koopman (2012, section 7.2.2), as statsmodels' with ``use_exact_diffuse=True``: the
        engine's total, in which flat starts have the density 1, less d/2 log 2π for d flat states.
        """
        return self._likelihood(y, exog)(self._values())

    @property
    def n_parameters(self) -> int:
        """Numbers that are estimated, flat starts aside."""
        return sum(
            int(np.prod(p.shape)) for p in Assembly.of(self.components).parameters.values() if p.fixed is None
        )

    def _complexity(self) -> int:
        return self.n_parameters + int(Assembly.of(self.components).flat(self._values()).sum())

    def aic(self, y=None, exog=None) -> float:
        """−2 log p + 2 (parameters + flat states) (Durbin & Koopman 2012, section 7.4)."""
        return -2 * self.score(y, exog) + 2 * self._complexity()

    def bic(self, y=None, exog=None) -> float:
        """−2 log p + log(observed values) (parameters + flat states)."""
        likelihood = self._likelihood(y, exog)
        seen = int(np.isfinite(likelihood.y).sum())
        return -2 * likelihood(self._values()) + np.log(seen) * self._complexity()

    def graph(self, y=None, exog=None) -> FactorGraph:
        """The factor graph: states "x", the series "y", parameters "F", "Q", "R" and, unless all states
        start flat, "P"."""
        return self.messages(y, exog).graph

    def messages(self, y=None, exog=None, schedule=None) -> Messages:
        """A run of it: ``forward["x"]`` is the filter, ``belief["x"]`` the smoother, ``total`` the
        log-likelihood with densities of 1 for flat starts."""
        return self._likelihood(y, exog).messages(self._values(), schedule)

    def state_space(self, exog=None):
        """The matrices as a :class:`hmm.LinearGaussianSSM`, for what it does besides: draws, several
        sequences, EM.

        Parameters
        ----------
        exog : array, (T, k), optional
            Regressors, by default those of the fit: they make an observation matrix that changes.

        Returns
        -------
        LinearGaussianSSM
            Its ``score`` takes flat starts as densities of 1.
        """
        from hmm.state_space.model import LinearGaussianSSM

        assembly, values = Assembly.of(self.components), self._values()
        if exog is None and assembly.n_inputs and "_inputs_" in self.__dict__:
            exog = self._inputs_
        inputs = regressors(assembly, exog, 1 if exog is None else len(exog))
        own = assembly.blocks(values, inputs)
        return LinearGaussianSSM(
            assembly.n_states,
            transition_matrix=own.F,
            transition_covariance=own.Q,
            observation_matrix=own.H if len(own.H) == 1 else own.H[:, None, :],
            observation_covariance=own.R.reshape(1, 1),
            initial_mean=own.mean,
            initial_covariance=own.cov,
        )

    # -- reading ------------------------------------------------------------------------------------------

    def decompose(self, y=None, exog=None, level: float = 0.95) -> decomposition.Decomposition:
        """The series taken apart given all of it: means, variances and intervals by component."""
        quantile(level)
        return decomposition.decomposition(self._likelihood(y, exog), self._values(), level)

    @property
    def components_(self) -> decomposition.Decomposition:
        """:meth:`decompose` of the series of the fit."""
        if "_decomposition" not in self.__dict__:
            self._decomposition = self.decompose()
        return self._decomposition

    def forecast(
        self, steps: int = 1, level: float = 0.95, exog=None, *, y=None, past_exog=None
    ) -> ahead.Forecast:
        """What comes after the series, with intervals.

        Parameters
        ----------
        steps : int
        level : float
            Of the intervals; they take the parameters as known.
        exog : array, (steps, k), optional
            Regressors of the steps ahead.
        y, past_exog : optional
            Another series to go on from.
        """
        if np.ndim(steps):
            raise DataError("steps is how far ahead, a whole number; another series to go on from is y=")
        steps = whole("steps", steps, 1)
        quantile(level)
        likelihood = self._likelihood(y, past_exog)
        inputs = regressors(likelihood.assembly, exog, steps, "exog", " of the steps ahead")
        return ahead.forecast(likelihood, self._values(), steps, inputs, level)

    def residuals(self, y=None, exog=None) -> innovations.Innovations:
        """One-step predictions, their errors, and these standardised."""
        return innovations.innovations(self._likelihood(y, exog), self._values())

    def auxiliary_residuals(self, y=None, exog=None) -> disturbances.AuxiliaryResiduals:
        """t-values of outliers and of breaks at every step (Harvey & Koopman 1992)."""
        return disturbances.auxiliary_residuals(self._likelihood(y, exog), self._values())

    def diagnostics(
        self, y=None, exog=None, lags: int | None = None, adjust: bool = True
    ) -> diagnostics.Diagnostics:
        """Tests of serial correlation, normality and heteroscedasticity of one-step residuals.

        Parameters
        ----------
        y, exog : optional
        lags : int, optional
            Of Ljung and Box's test: by default 10, or two seasons, but at most a fifth of the residuals.
        adjust : bool
            Whether that test loses a degree of freedom for each estimated parameter but one (Harvey 1989).
        """
        lost = max(0, self.n_parameters - 1) if adjust else 0
        period = Assembly.of(self.components).seasonal_period
        return diagnostics.diagnostics(self.residuals(y, exog).standardised, lags, lost, period)

    def standard_errors(self, y=None, exog=None) -> StandardErrors:
        """Standard errors of the parameters, a mapping by full name; NaN of what is held or at the end of its
        range."""
        return errors.standard_errors(self._likelihood(y, exog), self._values())

    def confidence_intervals(self, y=None, exog=None, level: float = 0.95) -> ConfidenceIntervals:
        """Intervals of the parameters, ``lower, upper = intervals["level.variance"]``."""
        return errors.confidence_intervals(self._likelihood(y, exog), self._values(), level)

    def summary(self, y=None, exog=None, level: float = 0.95) -> str:
        """Parameters with errors and intervals, criteria, and tests of residuals, as text."""
        from hmm.state_space.structural.report import summary

        return summary(self, y, exog, level)

    # -- figures ------------------------------------------------------------------------------------------

    def plot_components(self, y=None, exog=None, level: float = 0.95, index=None):
        """The series and each component over time, with intervals: a matplotlib ``Figure``."""
        from hmm.state_space.structural.plot import plot_components

        return plot_components(self.decompose(y, exog, level), index)

    def plot_forecast(
        self, steps: int = 1, level: float = 0.95, exog=None, *, y=None, past_exog=None, index=None, last=None
    ):
        """The end of the series and its forecast with intervals: a matplotlib ``Figure``.

        Parameters
        ----------
        steps, level, exog, y, past_exog
            As in :meth:`forecast`.
        index : sequence, optional
            Numbers of the steps, those of the forecast included.
        last : int, optional
            Steps of the series that are shown; by default four times as many as are forecast.
        """
        from hmm.state_space.structural.plot import plot_forecast

        found = self.forecast(steps, level, exog, y=y, past_exog=past_exog)
        return plot_forecast(self._likelihood(y, past_exog).y, found, index, last)

    def plot_diagnostics(self, y=None, exog=None, lags: int | None = None, index=None):
        """Standardised residuals over time, their distribution and autocorrelations: a matplotlib
        ``Figure``."""
        from hmm.state_space.structural.plot import plot_diagnostics

        return plot_diagnostics(self.diagnostics(y, exog, lags), index)

    def plot_auxiliary_residuals(self, y=None, exog=None, threshold: float = 3.0, index=None):
        """t-values of outliers and breaks over time: a matplotlib ``Figure``."""
        from hmm.state_space.structural.plot import plot_auxiliary

        return plot_auxiliary(self.auxiliary_residuals(y, exog), threshold, index)
