"""How well a fit knows the parameters of a state space: observed information, by central differences of the
exact gradient, and the delta method."""

from __future__ import annotations

import numpy as np

from hmm.learning.information import hessian, inverse, warn_off_maximum
from hmm.state_space.ascent import Objective
from hmm.state_space.coordinates import Coordinates
from hmm.state_space.expectation import Expectation
from hmm.state_space.series import Series
from hmm.state_space.space import StateSpace
from hmm.state_space.structure import Structure
from hmm.uncertainty import ConfidenceIntervals, Interval, StandardErrors
from msgpass.errors import UnsupportedError

WAY_OUT = (
    ": a change of the states' basis leaves the likelihood as it is, so freeze what fixes the basis (the "
    "observation "
    "matrix, say, or entries of it), and offsets or starts that do the same thing"
)


class Uncertainty:
    """Information about the learned parameters of a state space; estimates at the edge of their range have
    none.

    Raises
    ------
    NumericalError
        If it cannot be inverted to a covariance.
    UnsupportedError
        If nothing is estimated.

    Warns
    -----
    ConvergenceWarning
        Away from the maximum.
    """

    def __init__(self, space: StateSpace, series: Series, structure: Structure):
        self.space = space
        every = Coordinates.of(space, structure)
        values = {field.name: getattr(space, field.name) for field in every.fields}
        edges = {
            field.name: field.edge(v, 0 * v) for field, v in zip(every.fields, values.values(), strict=True)
        }
        self.coordinates = every.holding(edges)
        if not self.coordinates.size:
            raise UnsupportedError(
                "no number is estimated: everything is frozen or at the end of its range; name parameters in "
                "learned"
            )
        objective = Objective(Expectation(series), structure, self.coordinates)
        point = self.coordinates.vector(space)
        self.matrix = hessian(objective, point)
        self.covariance = inverse(self.matrix, self.coordinates.labels(), WAY_OUT)
        warn_off_maximum(objective, point, self.covariance)

    def errors(self) -> dict[str, np.ndarray]:
        """Standard errors by parameter, NaN of what is held or at the edge."""
        found = {}
        for field, where in zip(self.coordinates.fields, self.coordinates.slices, strict=True):
            value = getattr(self.space, field.name)
            J = field.jacobian(value)
            moves = np.abs(J).max(axis=1, initial=0.0) > 0
            variance = np.einsum("mi,ij,mj->m", J, self.covariance[where, where], J)
            found[field.name] = np.where(moves, np.sqrt(np.maximum(variance, 0)), np.nan).reshape(value.shape)
        return found

    def standard_errors(self) -> StandardErrors:
        """By attribute."""
        errors = {f"{name}_": error for name, error in self.errors().items()}
        labels = [label.replace("[", "_[", 1) for label in self.coordinates.labels()]
        return StandardErrors(self._estimates(), errors, labels, self.matrix, self.covariance)

    def intervals(self, level: float, z: float) -> ConfidenceIntervals:
        """By attribute; variances on a logarithmic scale."""
        errors, found = self.errors(), {}
        for field in self.coordinates.fields:
            ends = field.domain.interval(getattr(self.space, field.name), errors[field.name], z)
            found[f"{field.name}_"] = Interval(*ends)
        return ConfidenceIntervals(level, self._estimates(), found)

    def _estimates(self) -> dict[str, np.ndarray]:
        return {f"{f.name}_": getattr(self.space, f.name) for f in self.coordinates.fields}
