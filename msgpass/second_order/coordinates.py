"""Coordinates of parameters: any real numbers u, from which a value θ(u) is made that keeps its constraint.

With g = ∂total/∂θ, derivatives in u are Jᵀg and JᵀHJ + Σ_k g_k ∂²θ_k/∂u², J = ∂θ/∂u. A kind of coordinates is
one class: ``at(value)`` gives a :class:`Chart` at a point, whose functions act on arrays of the value's shape
and on vectors of coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from msgpass.errors import DataError, ShapeError


@dataclass(frozen=True, eq=False)
class Chart:
    """Coordinates around one value; the value itself lies at ``origin``.

    Parameters
    ----------
    origin : array, (n,)
    places : list of tuple
        Where in the value each coordinate is, for labels.
    inward : callable
        Coordinates (n,) → value.
    push, pull : callables
        J u̇ of a vector, and Jᵀg of an array.
    bend : callable
        (g, u̇) → Σ_k g_k ∂²θ_k/∂u² u̇, (n,).
    shown : array
        The value as it is read: probabilities of log-probabilities.
    show : callable
        Tangent of a value → tangent of ``shown``.
    interval : callable
        (errors of ``shown``, z) → lower and upper ends.
    """

    origin: np.ndarray
    places: list[tuple[int, ...]]
    inward: Callable[[np.ndarray], np.ndarray]
    push: Callable[[np.ndarray], np.ndarray]
    pull: Callable[[np.ndarray], np.ndarray]
    bend: Callable[[np.ndarray, np.ndarray], np.ndarray]
    shown: np.ndarray
    show: Callable[[np.ndarray], np.ndarray]
    interval: Callable[[np.ndarray, float], tuple[np.ndarray, np.ndarray]]


class Coordinates:
    """Base of the kinds of coordinates."""

    def at(self, name: str, value: np.ndarray, slope: np.ndarray, sign: float) -> Chart:
        """The chart at a value.

        Parameters
        ----------
        name : str
            For errors.
        value, slope : array
            The parameter and ∂total/∂parameter.
        sign : float
            1 where the total is to be large (log Z), −1 where it is to be small (a loss).
        """
        raise TypeError(
            f"{type(self).__name__} is abstract; use Free, LogRows, Positive, Covariance or Basis"
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def _same(tangent: np.ndarray) -> np.ndarray:
    return tangent


def _straight(value: np.ndarray):
    return lambda errors, z: (value - z * errors, value + z * errors)


class Free(Coordinates):
    """Every finite entry is a coordinate of its own; −∞ in a log table stays."""

    def at(self, name, value, slope, sign) -> Chart:
        return _entries(value, np.isfinite(value), value, np.ones(value.shape), np.zeros(value.shape))


def _entries(value, free, u, rate, bend, inward=_same, interval=None) -> Chart:
    """θ_k(u_k) entry by entry, with first and second derivatives ``rate`` and ``bend``."""

    def inside(vector):
        moved = np.array(value)
        moved[free] = inward(vector)
        return moved

    def push(vector):
        moved = np.zeros(value.shape)
        moved[free] = rate[free] * vector
        return moved

    return Chart(
        u[free],
        list(map(tuple, np.argwhere(free).tolist())),
        inside,
        push,
        lambda g: (rate * g)[free],
        lambda g, vector: (bend * g)[free] * vector,
        value,
        _same,
        interval or _straight(value),
    )


class Positive(Coordinates):
    """Numbers above zero, u = log θ; intervals are symmetric on that scale.

    Examples
    --------
    >>> chart = Positive().at("v", np.array([2.0]), np.array([0.0]), 1.0)
    >>> chart.inward(chart.origin + 1).round(3).tolist(), chart.push(np.ones(1)).tolist()
    ([5.437], [2.0])
    """

    def at(self, name, value, slope, sign) -> Chart:
        if not (value > 0).all():
            raise DataError(f"Positive: {name!r} holds {value.min():.6g}; wanted numbers above zero")

        def interval(errors, z):
            factor = np.exp(z * errors / value)
            return value / factor, value * factor

        free = np.ones(value.shape, bool)
        return _entries(value, free, np.log(value), value, value, np.exp, interval)


class LogRows(Coordinates):
    """Rows of log-probabilities: u_j = η_j − η_r relative to the likeliest entry r of the row.

    Parameters
    ----------
    axes : int
        Trailing axes that together sum to one.
    edge : float
        Expected counts ∂log Z/∂η below which a probability counts as zero and is held: an estimate at the
        edge of its range is not normal around the truth. So is one whose log is −∞.

    Notes
    -----
    Shown are probabilities p, with intervals symmetric on the scale of log p/(1 − p). An observed maximum has
    ∂log Z/∂η = counts, proportional to p in each row; in these coordinates the gradient is zero there.

    Examples
    --------
    >>> chart = LogRows().at("A", np.log([[0.5, 0.5]]), np.array([[10.0, 10.0]]), 1.0)
    >>> chart.shown.tolist(), chart.push(np.array([1.0])).tolist(), chart.pull(np.ones((1, 2))).tolist()
    ([[0.5, 0.5]], [[-0.5, 0.5]], [0.0])
    """

    def __init__(self, axes: int = 1, edge: float = 0.01):
        self.axes, self.edge = axes, edge

    def at(self, name, value, slope, sign) -> Chart:
        shape = value.shape
        if len(shape) < self.axes:
            raise ShapeError(f"LogRows({self.axes}): {name!r} has shape {shape}, wanted more axes")
        rows = value.reshape(*shape[: len(shape) - self.axes], -1)
        p = np.exp(rows)
        if np.abs(p.sum(axis=-1) - 1).max(initial=0) > 1e-6:
            raise DataError(
                f"LogRows: the rows of exp({name!r}) sum to {p.sum(axis=-1).ravel()[0]:.6g}, wanted 1; give "
                "normalised log-probabilities, as values={…} if the graph holds others"
            )
        alive = np.isfinite(rows) & (sign * slope.reshape(rows.shape) >= self.edge)
        moving = alive & (alive.sum(axis=-1, keepdims=True) > 1)
        reference = np.where(alive, p, -1.0).argmax(axis=-1)
        free = moving & (np.arange(rows.shape[-1]) != reference[..., None])
        held = np.where(moving, 0.0, p).sum(axis=-1, keepdims=True)
        share = np.where(moving, p, 0.0) / np.where(moving, p, 0.0).sum(axis=-1, keepdims=True).clip(1e-300)
        origin = (rows - np.take_along_axis(rows, reference[..., None], -1))[free]

        def spread(vector):
            array = np.zeros(rows.shape)
            array[free] = vector
            return array

        def inward(vector):
            logs = np.where(moving, spread(vector), -np.inf)
            top = np.where(moving.any(axis=-1, keepdims=True), logs.max(axis=-1, keepdims=True), 0.0)
            weight = np.exp(logs - top)
            total = weight.sum(axis=-1, keepdims=True)
            with np.errstate(divide="ignore"):
                made = logs - top - np.log(np.where(total > 0, total, 1.0)) + np.log1p(-held)
            return np.where(moving, made, rows).reshape(shape)

        def push(vector):
            moved = spread(vector)
            mean = (share * moved).sum(axis=-1, keepdims=True)
            return np.where(moving, moved - mean, 0.0).reshape(shape)

        def pull(g):
            inside = np.where(moving, g.reshape(rows.shape), 0.0)
            return (inside - share * inside.sum(axis=-1, keepdims=True))[free]

        def bend(g, vector):
            moved = spread(vector)
            total = np.where(moving, g.reshape(rows.shape), 0.0).sum(axis=-1, keepdims=True)
            mean = (share * moved).sum(axis=-1, keepdims=True)
            return (-total * share * (moved - mean))[free]

        def interval(errors, z):
            with np.errstate(all="ignore"):
                logit, width = np.log(shown / (1 - shown)), z * errors / (shown * (1 - shown))
                ends = 1 / (1 + np.exp(-(logit - width))), 1 / (1 + np.exp(-(logit + width)))
            return tuple(np.where(np.isnan(errors), np.nan, e) for e in ends)

        shown = p.reshape(shape)
        places = list(map(tuple, np.argwhere(free.reshape(shape)).tolist()))
        return Chart(origin, places, inward, push, pull, bend, shown, lambda t: shown * t, interval)

    def __repr__(self) -> str:
        return f"LogRows(axes={self.axes})"


class Basis(Coordinates):
    """θ = θ₀ + Σ_k u_k B_k: ties, contrasts, and whatever else is linear.

    Parameters
    ----------
    arrays : array, (n, *shape of the parameter)

    Examples
    --------
    One number in two places:

    >>> chart = Basis([[1.0, 1.0]]).at("w", np.array([3.0, 3.0]), np.zeros(2), 1.0)
    >>> chart.inward(np.array([0.5])).tolist()
    [3.5, 3.5]
    """

    def __init__(self, arrays):
        self.arrays = np.asarray(arrays, float)

    def at(self, name, value, slope, sign) -> Chart:
        return _linear(name, value, self.arrays)


def _linear(name: str, value: np.ndarray, arrays: np.ndarray, places=None, interval=None) -> Chart:
    if arrays.shape[1:] != value.shape or not len(arrays):
        raise ShapeError(
            f"Basis: arrays of shape {arrays.shape} for {name!r} of shape {value.shape}; wanted (n, *"
            f"{value.shape})"
        )
    matrix = arrays.reshape(len(arrays), -1)
    if np.linalg.matrix_rank(matrix) < len(matrix):
        raise DataError(f"Basis: the {len(arrays)} arrays for {name!r} are linearly dependent")
    return Chart(
        np.zeros(len(arrays)),
        places or [(k,) for k in range(len(arrays))],
        lambda vector: value + (vector @ matrix).reshape(value.shape),
        lambda vector: (vector @ matrix).reshape(value.shape),
        lambda g: matrix @ g.reshape(-1),
        lambda g, vector: np.zeros(len(arrays)),
        value,
        _same,
        interval or _straight(value),
    )


class Covariance(Coordinates):
    """Symmetric matrices, one coordinate an entry of the lower triangle; a number is a matrix of one.
    Intervals of the diagonal are symmetric on the scale of its logarithm.

    Examples
    --------
    >>> chart = Covariance().at("Q", np.eye(2), np.zeros((2, 2)), 1.0)
    >>> chart.places, chart.push(np.array([0.0, 1.0, 0.0])).tolist()
    ([(0, 0), (1, 0), (1, 1)], [[0.0, 1.0], [1.0, 0.0]])
    """

    def at(self, name, value, slope, sign) -> Chart:
        shape = value.shape
        n = shape[-1] if value.ndim > 1 else 1
        if value.ndim != 1 and value.ndim != 0 and shape[-2:] != (n, n):
            raise ShapeError(f"Covariance: {name!r} has shape {shape}, wanted (…, n, n)")
        if value.ndim < 2:
            return Positive().at(name, value, slope, sign)
        if not np.allclose(value, np.swapaxes(value, -1, -2), rtol=1e-9):
            raise DataError(f"Covariance: {name!r} is not symmetric; symmetrise it as (C + C.T) / 2")
        arrays, places = [], []
        for lead in np.ndindex(*shape[:-2]):
            for i, j in zip(*np.tril_indices(n), strict=True):
                one = np.zeros(shape)
                one[(*lead, i, j)] = one[(*lead, j, i)] = 1
                arrays.append(one)
                places.append((*lead, int(i), int(j)))
        diagonal = np.broadcast_to(np.eye(n, dtype=bool), shape)

        def interval(errors, z):
            low, high = value - z * errors, value + z * errors
            with np.errstate(all="ignore"):
                factor = np.exp(z * errors / value)
                return np.where(diagonal, value / factor, low), np.where(diagonal, value * factor, high)

        return _linear(name, value, np.array(arrays), places, interval)
