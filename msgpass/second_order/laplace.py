"""Laplace's approximation: around its optimum θ̂, total is a quadratic, and parameters are N(θ̂, (±H)⁻¹).

Where total is log Z, −H is the observed information and its inverse the covariance of maximum-likelihood
estimates (Louis 1982; Efron & Hinkley 1978); where it is a loss, H is the information if the loss is minus a
log density (½ Σ (output − target)² with noise of variance one). What is shown of a constrained parameter has
its errors by the delta method, Var[f(θ)] = ∇fᵀ J (±H_u)⁻¹ Jᵀ ∇f, and intervals on a scale without ends.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from msgpass.errors import ConvergenceWarning, DataError, NumericalError
from msgpass.second_order.coordinates import Coordinates
from msgpass.second_order.curvature import Curvature

SINGULAR = 1e-10
"""Least eigenvalue of the information, with ones on its diagonal, that is more than rounding."""

LEFT = 0.1
"""Gain that a Newton step promises beyond which parameters count as off the optimum."""

NAMED, SHOWN = 6, 24
"""Coordinates that an error names; rows of a repr."""


class Interval(NamedTuple):
    """Ends of intervals, in the parameter's shape."""

    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, eq=False, repr=False)
class Laplace(Mapping[str, Interval]):
    """Intervals by parameter: ``lower, upper = intervals["A"]``, in the parameter's shape.

    NaN stands where there is none: log-probabilities of −∞, and estimates at the edge of their range.

    Attributes
    ----------
    level : float
    estimates : dict of str to array
        As they are shown: probabilities of log-probabilities.
    errors : dict of str to array
        Standard errors.
    intervals : dict of str to Interval
    coordinates : list of str
        Numbers in whose coordinates the next two are.
    information, covariance : array, (n, n)
    decrement : float
        Gain that a Newton step promises, ½ gᵀ C g: about 0 at an optimum.
    """

    level: float
    estimates: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    intervals: dict[str, Interval]
    coordinates: list[str]
    information: np.ndarray
    covariance: np.ndarray
    decrement: float

    def __getitem__(self, name: str) -> Interval:
        return self.intervals[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.intervals)

    def __len__(self) -> int:
        return len(self.intervals)

    def _rows(self):
        for name, own in self.intervals.items():
            for index in np.ndindex(own.lower.shape):
                yield (
                    name,
                    index,
                    *(a[index] for a in (self.estimates[name], self.errors[name], own.lower, own.upper)),
                )

    def to_frame(self):
        """One row a number: ``parameter``, ``index`` ("0,1"), ``estimate``, ``standard_error``, ``lower``,
        ``upper``."""
        from msgpass.optional import pandas

        columns = ["parameter", "index", "estimate", "standard_error", "lower", "upper"]
        rows = [(name, ",".join(map(str, index)), *numbers) for name, index, *numbers in self._rows()]
        return pandas().DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        rows = [row for row in self._rows() if not np.isnan(row[3])]
        lines = [
            f"  {name}[{', '.join(map(str, index))}]  {value:.6g} ± {error:.3g}  [{low:.6g}, {high:.6g}]"
            for name, index, value, error, low, high in rows[:SHOWN]
        ]
        more = [f"  … {len(rows) - SHOWN} more; to_frame() has all"] if len(rows) > SHOWN else []
        return "\n".join([f"Laplace, level={self.level:g}", *lines, *more])


def laplace(
    graph,
    names: list[str] | None = None,
    level: float = 0.95,
    algebra=None,
    values: dict | None = None,
    coordinates: dict[str, Coordinates] | None = None,
) -> Laplace:
    """Standard errors and intervals of parameters at an optimum of total.

    Parameters
    ----------
    graph : FactorGraph
    names : list of str, optional
        What was estimated; all parameters by default. Others are taken as known.
    level : float
        Of the intervals.
    algebra, values
        As :func:`msgpass.run` takes them.
    coordinates : dict, optional
        Parameter → its coordinates: ``LogRows()`` for tables of log-probabilities, ``Covariance()``,
        ``Positive()``, ``Basis(arrays)``; ``Free()`` by default.

    Returns
    -------
    Laplace

    Raises
    ------
    NumericalError
        If total has no optimum there: its curvature is singular or has the wrong sign. The coordinates are
        named.

    Warns
    -----
    ConvergenceWarning
        Away from the optimum.

    Examples
    --------
    A coin that fell on one side 30 times in 100, √(0.3 · 0.7 / 100) = 0.0458:

    >>> from msgpass import FactorGraph, Table
    >>> from msgpass.second_order import LogRows
    >>> g = FactorGraph()
    >>> z = g.sequence("z", length=100, states=1)
    >>> x = g.observe("x", np.repeat([0, 1], [30, 70]), states=2)
    >>> _ = g.factor(Table(g.parameter("p", np.log([[0.3, 0.7]]))), z[:], x[:])
    >>> fit = laplace(g, coordinates={"p": LogRows()})
    >>> fit.errors["p"].round(4).tolist(), [round(float(end[0, 0]), 3) for end in fit["p"]]
    ([[0.0458, 0.0458]], [0.218, 0.397])
    """
    from scipy.special import ndtri

    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise DataError(f"level is a number between 0 and 1, such as 0.95; got {level!r}")
    of = Curvature(graph, names, algebra, values, coordinates)
    if not of.size:
        raise DataError(f"every number of {', '.join(of.names)} is held or at the edge of its range")
    information = -of.sign * of.dense()
    covariance = _inverse(information, of.labels, of.sign)
    decrement = 0.5 * float(of.gradient @ covariance @ of.gradient)
    if decrement > LEFT:
        warnings.warn(
            "the parameters are not at an optimum: a Newton step promises to better total by "
            f"{decrement:.3g}, and intervals hold at the optimum only; learn further, or take Newton steps "
            "(newton_direction)",
            ConvergenceWarning,
            stacklevel=2,
        )
    z = float(ndtri(0.5 + level / 2))
    estimates, errors, intervals = {}, {}, {}
    for name, chart in of.charts.items():
        where = of.slices[name]
        estimates[name], errors[name] = chart.shown, _errors(chart, covariance[where, where])
        intervals[name] = Interval(*chart.interval(errors[name], z))
    return Laplace(level, estimates, errors, intervals, of.labels, information, covariance, decrement)


def _errors(chart, covariance: np.ndarray) -> np.ndarray:
    """Standard errors of what is shown, NaN where it does not move."""
    shape, n = chart.shown.shape, len(covariance)
    J = np.array([chart.show(chart.push(unit)).reshape(-1) for unit in np.eye(n)]).reshape(
        n, chart.shown.size
    )
    variance = np.einsum("im,ij,jm->m", J, covariance, J)
    moves = np.abs(J).max(axis=0, initial=0.0) > 0
    return np.where(moves, np.sqrt(np.maximum(variance, 0)), np.nan).reshape(shape)


def _inverse(matrix: np.ndarray, labels: list[str], sign: float) -> np.ndarray:
    """Covariance, or an error that says along which numbers there is none."""
    diagonal = np.diagonal(matrix)
    least, share = float(diagonal.min()), np.maximum(-diagonal, 0) + (diagonal <= 0)
    if least > 0:
        scale = 1 / np.sqrt(diagonal)
        eigenvalues, vectors = np.linalg.eigh(matrix * np.outer(scale, scale))
        if eigenvalues[0] > SINGULAR:
            return np.outer(scale, scale) * ((vectors / eigenvalues) @ vectors.T)
        share, least = np.abs(vectors[:, 0]), float(eigenvalues[0])
    order = [k for k in np.argsort(-share, kind="stable") if share[k] > 0.2 * share.max()]
    named = ", ".join(labels[k] for k in order[:NAMED]) + (", …" if len(order) > NAMED else "")
    raise NumericalError(
        f"total, {'log Z' if sign > 0 else 'a loss'}, is no {'maximum' if sign > 0 else 'minimum'} along "
        f"{named}: its curvature there is {'zero' if abs(least) <= SINGULAR else 'of the wrong sign'}. Learn "
        "first; give coordinates= to parameters that are constrained (LogRows() for log-probabilities, whose "
        "rows move freely otherwise); leave out of names what the data do not tell, or add a prior"
    )
