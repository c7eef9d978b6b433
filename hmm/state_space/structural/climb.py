"""Fitting by exact likelihood: many starts are looked at, the best few are climbed from by L-BFGS.

The series is divided by the size of its noise, so that all coordinates are about one.
"""

from __future__ import annotations

import copy
import warnings
from typing import NamedTuple

import numpy as np

from hmm.monitor import ConvergenceMonitor
from hmm.state_space.structural.assembly import Assembly, Values
from hmm.state_space.structural.coordinates import Coordinates
from hmm.state_space.structural.likelihood import Likelihood
from msgpass.errors import ConvergenceWarning, DataError, MessagePassingError, NumericalError
from msgpass.learning.lbfgs import Climber

LOOKED_AT = 5
"""Drawn starts that are evaluated for each one that is climbed from."""


LEVEL = 1e-6
"""Slope below which a climb is at its top: what is left to gain is less than rounding, and a line search
would look for it eighty times in vain."""

EXACT = 1e-18
"""Of the series' noise: where all variances are below, nothing but rounding is left of it."""


class Fit(NamedTuple):
    """Values at the maximum, and how it was found."""

    values: Values
    log_likelihood: float
    monitor: ConvergenceMonitor


def noise_of(y: np.ndarray, period: int) -> float:
    """Half the variance of changes from step to step or, if less, from season to season; above zero."""
    found = []
    for lag in {1, period}:
        change = y[lag:] - y[:-lag]
        change = change[np.isfinite(change)]
        if len(change) > 1:
            found.append(np.var(change) / 2)
    seen = y[np.isfinite(y)]
    positive = [v for v in (*found, np.var(seen)) if v > 0]
    return float(min(positive)) if positive else max(1.0, float(np.abs(seen).max()) ** 2) * 1e-6


class Objective:
    """Log-likelihood over coordinates."""

    def __init__(self, likelihood: Likelihood, coordinates: Coordinates):
        self.likelihood, self.coordinates = likelihood, coordinates

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        at = self.coordinates.values(point)
        value, slopes = self.likelihood.slopes(at)
        return value, self.coordinates.pullback(point, at, slopes)

    def trial(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """−∞ where the step was too long, and where no noise is left."""
        if largest_variance(self.likelihood.assembly, self.coordinates.values(point)) < EXACT:
            return -np.inf, np.zeros(len(point))
        try:
            with np.errstate(all="ignore"):
                value, slope = self(point)
        except (MessagePassingError, np.linalg.LinAlgError, ValueError):
            return -np.inf, np.zeros(len(point))
        return (value, slope) if np.isfinite(slope).all() else (-np.inf, slope)


def fit(
    assembly: Assembly,
    y: np.ndarray,
    inputs: np.ndarray,
    n_init: int,
    monitor: ConvergenceMonitor,
    rng: np.random.Generator,
) -> Fit:
    """The best of ``n_init`` climbs."""
    size = noise_of(y, assembly.seasonal_period) ** 0.5
    likelihood = Likelihood(assembly, y / size, inputs)
    starts = _starts(likelihood, size, n_init, rng)
    best: Fit | None = None
    for start in starts:
        found = _climb(likelihood, start, copy.copy(monitor))
        if found is not None and (best is None or found.log_likelihood > best.log_likelihood):
            best = found
    if best is None:
        _explain(likelihood, starts[0])
        raise NumericalError(
            "the likelihood could not be evaluated at any start; look at score() of values of your own, "
            "at the scale of the data, and at whether the regressors are collinear"
        )
    if largest_variance(assembly, best.values) < 100 * EXACT:
        raise NumericalError(
            "the components explain the series exactly, without any noise, so that no variance is the "
            "likeliest: the "
            "smaller, the likelier; hold variance of the irregular component at what is known of the rounding"
        )
    if monitor.tol > 0 and not best.monitor.converged:
        warnings.warn(
            f"the fit stopped after n_iter={monitor.n_iter} iterations, before one gained less than "
            f"tol={monitor.tol:g}; raise n_iter, or tol",
            ConvergenceWarning,
            stacklevel=3,
        )
    return Fit(assembly.scaled(best.values, size), best.log_likelihood, best.monitor)


def largest_variance(assembly: Assembly, values: Values) -> float:
    """Of all parameters that are variances; ∞ without one."""
    spreads = [values[name] for name, p in assembly.parameters.items() if p.spread]
    return max((float(np.max(value)) for value in spreads if np.size(value)), default=np.inf)


def _explain(likelihood: Likelihood, start: Values) -> None:
    """Raise what the first start raises, with the names of the states that it may speak of."""
    try:
        likelihood(start)
    except MessagePassingError as problem:
        named = [
            f"{at.start}{f'-{at.stop - 1}' * (own.n_states > 1)} {own.label}"
            for own, at, _ in likelihood.assembly
            if own.n_states
        ]
        raise NumericalError(f"{problem}. State coordinates: {', '.join(named)}") from problem


def _starts(likelihood: Likelihood, size: float, n_init: int, rng) -> list[Values]:
    """The usual one, and the best of many drawn ones."""
    assembly, y, inputs = likelihood.assembly, likelihood.y, likelihood.inputs
    usual = assembly.start(y, inputs, size, None)
    if n_init == 1 or not assembly.free:
        return [usual]
    drawn = [assembly.start(y, inputs, size, rng) for _ in range(LOOKED_AT * (n_init - 1))]
    heights = []
    for start in drawn:
        try:
            heights.append(likelihood(start))
        except (MessagePassingError, np.linalg.LinAlgError):
            heights.append(-np.inf)
    order = np.argsort(-np.array(heights), kind="stable")
    return [usual, *(drawn[k] for k in order[: n_init - 1] if np.isfinite(heights[k]))]


def _climb(likelihood: Likelihood, start: Values, monitor: ConvergenceMonitor) -> Fit | None:
    """The top above a start; None where the likelihood cannot be evaluated there."""
    monitor.reset()
    coordinates = Coordinates(likelihood.assembly, start)
    objective, point = Objective(likelihood, coordinates), coordinates.vector(start)
    value, slope = objective.trial(point)
    if not np.isfinite(value):
        return None
    none = np.full(len(point), np.inf)
    climber, rising = Climber(objective.trial, point, value, slope, -none, none), True

    def rose() -> bool:
        return float(np.abs(climber.slope).max(initial=0.0)) > LEVEL and climber.climb()

    while not (monitor.iter >= monitor.n_iter or monitor.converged):
        before = climber.value
        rising = rising and rose()
        if rising and climber.value - before < monitor.tol:  # one short step is no sign of the end, two are
            rising = rose()
        monitor.report(before)
        if not rising and monitor.tol <= 0:
            break
    return Fit(coordinates.values(climber.point), climber.value, monitor)


def check_enough(y: np.ndarray, flat: int) -> None:
    """More observations than unknown beginnings."""
    seen = int(np.isfinite(y).sum())
    if seen <= flat:
        raise DataError(
            f"the series has {seen} observed value(s), but {flat} states start without a prior, so that at "
            "least "
            f"{flat + 1} are needed; give a longer series or fewer components"
        )
