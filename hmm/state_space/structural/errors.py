"""Standard errors: the inverse of the observed information, carried over to the parameters by the delta
method.

Second derivatives are central differences of the exact slope in free coordinates u; Var[θ] = J I⁻¹ Jᵀ, J =
∂θ/∂u. Estimates at the end of their range, such as variances of 0, are held there and have no error.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hmm.state_space.structural.assembly import Values
from hmm.state_space.structural.climb import Objective, noise_of
from hmm.state_space.structural.coordinates import Coordinates
from hmm.state_space.structural.estimate import quantile
from hmm.state_space.structural.likelihood import Likelihood
from hmm.uncertainty import ConfidenceIntervals, Interval, StandardErrors
from msgpass.errors import NumericalError, UnsupportedError

STEP = 1e-4
"""Of the differences; coordinates are about one in size."""

SINGULAR = 1e-9
"""Least eigenvalue of the information, with ones on its diagonal, that is more than rounding."""


def standard_errors(likelihood: Likelihood, at: Values) -> StandardErrors:
    """At a maximum, of all parameters that are estimated."""
    size, unit, values = _in_units(likelihood, at)
    found, scaled = _standard_errors(unit, values), likelihood.assembly.scaled
    return replace(found, estimates=scaled(found.estimates, size), errors=scaled(found.errors, size))


def _in_units(likelihood: Likelihood, at: Values) -> tuple[float, Likelihood, Values]:
    """(size, the series divided by it, values for that): where coordinates are about one."""
    assembly = likelihood.assembly
    size = noise_of(likelihood.y, assembly.seasonal_period) ** 0.5
    unit = Likelihood(assembly, likelihood.y / size, likelihood.inputs)
    return size, unit, assembly.scaled(at, 1 / size)


def _standard_errors(likelihood: Likelihood, at: Values) -> StandardErrors:
    everything = Coordinates(likelihood.assembly, at)
    coordinates = Coordinates(likelihood.assembly, at, everything.at_edge(at))
    labels, point = coordinates.labels(), coordinates.vector(at)
    if not len(point):
        raise UnsupportedError(
            "no parameter is estimated inside its range, so that there is no error to give"
        )
    objective = Objective(likelihood, coordinates)
    information = np.empty((len(point), len(point)))
    for j in range(len(point)):
        step = STEP * max(1.0, abs(point[j]))
        ends = [objective(point + sign * step * np.eye(len(point))[j])[1] for sign in (1, -1)]
        information[j] = (ends[1] - ends[0]) / (2 * step)
    information = (information + information.T) / 2
    covariance = _inverse(information, labels)
    errors = {}
    for name, J in coordinates.jacobian(point).items():
        variance = np.einsum("mi,ij,mj->m", J, covariance, J)
        moves = np.abs(J).max(axis=1, initial=0.0) > 0
        errors[name] = np.where(moves, np.sqrt(np.maximum(variance, 0)), np.nan).reshape(at[name].shape)
    return StandardErrors({k: np.asarray(v) for k, v in at.items()}, errors, labels, information, covariance)


def confidence_intervals(likelihood: Likelihood, at: Values, level: float) -> ConfidenceIntervals:
    """On a scale without ends, so that they lie in each parameter's range."""
    z, scaled = quantile(level), likelihood.assembly.scaled
    size, unit, values = _in_units(likelihood, at)
    found, low, high = _standard_errors(unit, values), {}, {}
    for name, p in likelihood.assembly.parameters.items():
        ends = p.domain.interval(found.estimates[name], found.errors[name], z)
        low[name], high[name] = map(np.asarray, ends)
    low, high = scaled(low, size), scaled(high, size)
    intervals = {name: Interval(low[name], high[name]) for name in low}
    return ConfidenceIntervals(level, scaled(found.estimates, size), intervals)


def _inverse(matrix: np.ndarray, labels: list[str]) -> np.ndarray:
    diagonal = np.diagonal(matrix)
    if (diagonal > 0).all():
        scale = 1 / np.sqrt(diagonal)
        values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
        if values[0] > SINGULAR:
            return np.outer(scale, scale) * ((vectors / values) @ vectors.T)
        share = np.abs(vectors[:, 0])
    else:
        share = (diagonal <= 0).astype(float)
    named = ", ".join(label for label, own in zip(labels, share, strict=True) if own > 0.2 * share.max())
    raise NumericalError(
        f"the observed information is not positive definite along {named}: the parameters are not at a "
        "maximum (fit "
        "first, with a smaller tol or a larger n_init), or the data do not tell these apart: hold one of them"
    )
