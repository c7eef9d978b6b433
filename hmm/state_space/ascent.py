"""Maximum likelihood by its gradient: L-BFGS over coordinates that may be any numbers, from the same messages
that EM reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from hmm.monitor import ConvergenceMonitor
from hmm.state_space.coordinates import Coordinates
from hmm.state_space.expectation import Expectation
from hmm.state_space.space import COVARIANCES, StateSpace
from hmm.state_space.structure import Structure
from msgpass.errors import DataError, NumericalError
from msgpass.learning.lbfgs import Climber


class Objective:
    """log p(y) + log prior, and its gradient over coordinates.

    Parameters
    ----------
    expectation : Expectation
    structure : Structure
    coordinates : Coordinates
    """

    def __init__(self, expectation: Expectation, structure: Structure, coordinates: Coordinates):
        self.expectation, self.structure, self.parameters = expectation, structure, coordinates

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient, (n,)."""
        space = self.parameters.at(point)
        value, slopes = self.slopes(space)
        return value, self.parameters.pullback(space, slopes)

    def slopes(self, space: StateSpace) -> tuple[float, dict[str, np.ndarray]]:
        """Value, and its gradient by parameter."""
        value, slopes = self.expectation.slopes(space, [field.name for field in self.parameters.fields])
        prior = self.structure.priors.slopes(space)
        slopes = {name: slope + prior.get(name, 0.0) for name, slope in slopes.items()}
        return value + self.structure.priors.log_density(space), slopes

    def trial(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """The same for a step that may be too long: −∞ where the model ends, or numbers do."""
        try:
            with np.errstate(all="ignore"):
                value, slope = self(point)
        except (DataError, NumericalError, np.linalg.LinAlgError):
            return -np.inf, np.zeros(len(point))
        if not (np.isfinite(value) and np.isfinite(slope).all()):
            return -np.inf, np.zeros(len(point))
        return value, slope


def gradient_ascent(
    space: StateSpace, expectation: Expectation, structure: Structure, monitor: ConvergenceMonitor
) -> Iterator[StateSpace]:
    """State spaces of rising log-likelihood (plus log prior), one an iteration, until the monitor is content.

    It ends by itself where no step gains.
    """
    if monitor.iter >= monitor.n_iter or monitor.converged:
        return
    coordinates = Coordinates.of(space, structure)
    objective = Objective(expectation, structure, coordinates)
    start = coordinates.vector(space)
    low, high = coordinates.bounds()
    start = np.clip(start, low, high)
    curvature = _curvature(coordinates, expectation)
    climber, rising = Climber(objective.trial, start, *objective(start), low, high, curvature), True
    while not (monitor.iter >= monitor.n_iter or monitor.converged):
        if not rising and monitor.tol <= 0:
            return
        before = climber.value
        rising = rising and climber.climb()
        if rising and climber.value - before < monitor.tol:  # one short step is no sign of the end, two are
            rising = climber.climb()
        monitor.report(before)
        yield coordinates.at(climber.point)


def _curvature(coordinates: Coordinates, expectation: Expectation) -> np.ndarray:
    """A guess at minus the second derivatives: what a row tells, times rows; a start is told once a
    sequence."""
    rows, starts = len(expectation.series.y), len(expectation.series.lengths)
    found = [np.zeros(0)]
    for field in coordinates.fields:
        count = starts if field.name.startswith("initial") else rows
        told = 0.5 if field.name in COVARIANCES else 1.0
        found.append(np.full(int(field.free.sum()), told * count))
    return np.concatenate(found)
