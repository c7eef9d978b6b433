"""Observed information: minus the second derivatives of log p(x) (plus log prior) in free coordinates.

They are central differences of the exact gradient, 2n runs of one graph for n coordinates. The inverse is the
covariance of the estimates (of the posterior, under a prior); for numbers of the model it is carried over by
the delta method, Var[θ] = J I⁻¹ Jᵀ with J = ∂θ/∂u.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hmm.chain import Chain
from hmm.learning.expectation import Expectation
from hmm.learning.objective import Objective
from hmm.learning.parameters import Parameters, values_of
from hmm.learning.restrictions import Restrictions
from hmm.monitor import Progress
from hmm.sample import Sample
from msgpass.errors import ConvergenceWarning, NumericalError, UnsupportedError

STEP = 1e-4
"""Of the differences; coordinates are about one in size. The error of a difference is then about 1e-8 of the
information, from either side: what is cut off, and rounding."""

SINGULAR = 1e-8
"""Least eigenvalue of the information, with ones on its diagonal, that is more than rounding."""

LEFT = 0.1
"""Gain that a Newton step promises beyond which parameters count as off the maximum."""

WIDE, APART = 1e-2, 0.2
"""A step, and how far apart curvatures by it and by ``STEP`` may be, relative to either, where a density need
not be smooth: that of a kink grows as steps shrink, or is not seen."""

WAY_OUT = (
    ", as where a state is not used, two states are alike, or numbers run away together (the size of counts "
    "that vary as Poisson's do): fit fewer states, add a prior, or leave the letter out of params"
)

NAMED = 6
"""Numbers that an error names."""


class Gradient(Protocol):
    """A function of coordinates with its gradient."""

    @property
    def parameters(self) -> Any:
        """The coordinates; ``bounds()`` are their ends."""

    def __call__(self, point: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient."""


@dataclass(frozen=True, eq=False)
class Information:
    """What data tell about the parameters of a chain.

    Parameters
    ----------
    chain : Chain
    parameters : Parameters
        Its coordinates; estimates at the edge of their range have none.
    matrix : array, (n, n)
        Observed information.
    covariance : array, (n, n)
        Its inverse.
    """

    chain: Chain
    parameters: Parameters
    matrix: np.ndarray
    covariance: np.ndarray

    def errors(self) -> dict[str, np.ndarray]:
        """Standard errors by field, in its own shape; NaN of what is held or at the edge."""
        values, found = values_of(self.chain), {}
        for field, where in zip(self.parameters.fields, self.parameters.slices, strict=True):
            value = values[field.name]
            J = field.jacobian(value)
            moves = np.abs(J).max(axis=1, initial=0.0) > 0
            variance = np.einsum("mi,ij,mj->m", J, self.covariance[where, where], J)
            error = np.where(moves, np.sqrt(np.maximum(variance, 0)), np.nan).reshape(value.shape)
            found[field.name] = error if field.groups is None else error[field.groups]
        return found

    def intervals(
        self, errors: dict[str, np.ndarray], z: float
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Lower and upper ends by field, z standard errors to both sides on a scale that has no ends."""
        values, low, high = values_of(self.chain), {}, {}
        for field in self.parameters.fields:
            name = field.name
            low[name], high[name] = field.domain.interval(values[name], errors[name], z)
        return low, high


def observed_information(
    chain: Chain, sample: Sample, params: str, restrictions: Restrictions
) -> Information:
    """Information at a chain's parameters, and its inverse.

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
    expectation = Expectation(sample, chain, restrictions, keep=True)
    every = Parameters.of(chain, params, expectation.evidence.data, restrictions)
    _, slopes = Objective(expectation, every).slopes(chain)
    values = values_of(chain)
    at_edge = {field.name: field.edge(values[field.name], slopes[field.name]) for field in every.fields}
    parameters = every.holding(at_edge)
    if not parameters.size:
        raise UnsupportedError(
            f"params={params!r} leaves no number inside its range to be estimated; name parameters there"
        )
    objective = Objective(expectation, parameters)
    point = parameters.vector(chain)
    matrix = hessian(objective, point)
    _check_smooth(objective, point, matrix)
    covariance = inverse(matrix, parameters.labels(), WAY_OUT)
    warn_off_maximum(objective, point, covariance)
    return Information(chain, parameters, matrix, covariance)


def warn_off_maximum(objective: Gradient, point: np.ndarray, covariance: np.ndarray, level: int = 5) -> None:
    """Say so where a Newton step would gain."""
    _, slope = objective(point)
    left = 0.5 * float(slope @ covariance @ slope)
    if left > LEFT:
        warnings.warn(
            f"the parameters are not at the maximum: a Newton step promises to raise the log-likelihood by "
            f"{left:.3g}, and standard errors hold at the maximum only; fit with a smaller tol, or with "
            "method='lbfgs', to the same data",
            ConvergenceWarning,
            stacklevel=level,
        )


def hessian(objective: Gradient, point: np.ndarray) -> np.ndarray:
    """Minus the second derivatives, (n, n)."""
    n = len(point)
    low, high = objective.parameters.bounds()
    matrix = np.empty((n, n))
    with Progress(n, "observed information") as progress:
        for j, room in enumerate(np.minimum(point - low, high - point)):
            matrix[j] = _curvature(objective, point, j, min(STEP, 0.5 * float(room)))
            progress.advance(f"of {n} numbers")
    return (matrix + matrix.T) / 2


def _curvature(objective: Gradient, point: np.ndarray, j: int, step: float) -> np.ndarray:
    """Row j of minus the second derivatives, (n,)."""
    up, down = point.copy(), point.copy()
    up[j] += step
    down[j] -= step
    return (objective(down)[1] - objective(up)[1]) / (2 * step)


def _check_smooth(objective: Objective, point: np.ndarray, matrix: np.ndarray) -> None:
    """Raise where a density that may have a kink has one."""
    parameters, labels = objective.parameters, objective.parameters.labels()
    rough = []
    for field, where in zip(parameters.fields, parameters.slices, strict=True):
        for j in () if field.domain.smooth else range(where.start, where.stop):
            wide, narrow = _curvature(objective, point, j, WIDE)[j], matrix[j, j]
            if abs(wide - narrow) > APART * max(abs(wide), abs(narrow)):
                rough.append(labels[j])
    if rough:
        raise UnsupportedError(
            f"second derivatives do not exist at {', '.join(rough[:NAMED])}: the density has a kink there, "
            "as that of laplace in its loc, or its support moves with it, so that the information says "
            "nothing of errors; leave the letter out of params, or simulate"
        )


def inverse(matrix: np.ndarray, labels: list[str], way_out: str) -> np.ndarray:
    """Covariance, or an error that says along which numbers there is none."""
    diagonal = np.diagonal(matrix)
    if (diagonal > 0).all():
        scale = 1 / np.sqrt(diagonal)
        values, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
        if values[0] > SINGULAR:
            return np.outer(scale, scale) * ((vectors / values) @ vectors.T)
        share, least = np.abs(vectors[:, 0]), values[0]
    else:
        share, least = np.maximum(-diagonal, 0) + (diagonal <= 0), float(diagonal.min())
    order = [i for i in np.argsort(-share, kind="stable") if share[i] > 0.2 * share.max()]
    named = ", ".join(labels[i] for i in order[:NAMED]) + (", …" if len(order) > NAMED else "")
    raise NumericalError(
        f"the observed information is {'singular' if abs(least) <= SINGULAR else 'not positive definite'} "
        f"along {named}: either the parameters are not at a maximum (fit first, with a smaller tol or with "
        f"method='lbfgs'), or the data do not tell these numbers apart{way_out}"
    )
