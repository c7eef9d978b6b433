"""The Hessian of a graph's total at a point: products with vectors, the dense matrix, scipy's operator.

One ordinary run is kept; a product is a second pass over it (Pearlmutter 1994), at about the cost of a
gradient and without an n × n matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from msgpass.algebra import Tangent
from msgpass.errors import DataError, NumericalError, UnavailableError, UnsupportedError
from msgpass.nodes import Observation, Parameter
from msgpass.run import run
from msgpass.second_order.coordinates import Chart, Coordinates, Free
from msgpass.sweeps.second_order import SecondOrder

ASYMMETRY = 1e-6
"""Relative asymmetry of a dense Hessian beyond rounding: a vjp or hvp that is not a derivative."""


def hessian_vector_product(
    graph, direction: dict[str, Any], algebra=None, values: dict | None = None
) -> dict[str, np.ndarray]:
    """Hd at every parameter of a graph: how its gradient moves when the parameters move along d.

    Parameters
    ----------
    graph : FactorGraph
    direction : dict
        Parameter (or real observation) → array of its shape; what is absent does not move.
    algebra, values
        As :func:`msgpass.run` takes them.

    Returns
    -------
    dict
        Parameter → array of its shape.

    Examples
    --------
    log Z of one binary variable has the covariance of its states as its Hessian:

    >>> from msgpass import FactorGraph, Table
    >>> g = FactorGraph()
    >>> z = g.variable("z", states=2)
    >>> _ = g.factor(Table(g.parameter("eta", [0.0, 0.0])), z)
    >>> hessian_vector_product(g, {"eta": [1.0, 0.0]})["eta"].tolist()
    [0.25, -0.25]
    """
    m = run(graph, Tangent(direction, over=algebra or {}), values=values)
    return {name: pair.tangent for name, pair in m.parameters.items()}


class Curvature:
    """The Hessian of total in coordinates of some parameters, at one point, as a linear map.

    Parameters
    ----------
    graph : FactorGraph
    names : list of str, optional
        Parameters and real observations that move; all parameters by default.
    algebra, values
        As :func:`msgpass.run` takes them.
    coordinates : dict, optional
        Name → :class:`~msgpass.second_order.Coordinates`; ``Free()`` by default.

    Attributes
    ----------
    total : float
    sign : float
        1 where total is log Z, to be maximised; −1 where it is a loss.
    gradient : array, (n,)
        In coordinates.
    labels : list of str

    Examples
    --------
    >>> from msgpass import FactorGraph, Loss
    >>> g = FactorGraph()
    >>> w = g.parameter("w", [1.0, 2.0])
    >>> _ = g.factor(Loss(lambda w: (0.25 * (w**4).sum(), (w**3,))), w)
    >>> (Curvature(g) @ np.ones(2)).tolist()
    [3.0, 12.0]
    """

    def __init__(
        self,
        graph,
        names: list[str] | None = None,
        algebra=None,
        values: dict | None = None,
        coordinates: dict[str, Coordinates] | None = None,
    ):
        if isinstance(algebra, Tangent):
            raise UnsupportedError(
                "give the algebra that Tangent would be over, such as SumProduct(), or none"
            )
        m = run(graph, algebra, values=values)
        self._x = m._x
        self._kept: dict = {}  # what products share
        self.total, self.sign = float(m.total), -1.0 if self._x.plan.real else 1.0
        self.names = _names(graph, names)
        given = {getattr(k, "name", k): c for k, c in (coordinates or {}).items()}
        _check_coordinates(given, self.names)
        self.values = {n: np.asarray(self._x.values[n], float) for n in self.names}
        self.slopes = {n: np.asarray(m.gradient[n], float) for n in self.names}
        self.charts: dict[str, Chart] = {
            n: given.get(n, Free()).at(n, self.values[n], self.slopes[n], self.sign) for n in self.names
        }
        ends = np.cumsum([0, *(len(c.origin) for c in self.charts.values())]).tolist()
        self.slices = dict(zip(self.names, (slice(*p) for p in pairwise(ends)), strict=True))
        self.size: int = ends[-1]

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return self.size, self.size

    @property
    def gradient(self) -> np.ndarray:
        """∂total/∂coordinates, (n,)."""
        return np.concatenate([np.zeros(0), *(c.pull(self.slopes[n]) for n, c in self.charts.items())])

    @property
    def labels(self) -> list[str]:
        """Where each coordinate is, such as "A[0, 1]"."""
        return [
            f"{n}[{', '.join(map(str, place))}]" if place else n
            for n, c in self.charts.items()
            for place in c.places
        ]

    def __matmul__(self, vector) -> np.ndarray:
        """H times a vector, (n,)."""
        vector = np.asarray(vector, float)
        if vector.shape != (self.size,):
            raise DataError(f"the Hessian has {self.size} coordinates, got a vector of shape {vector.shape}")
        parts = {n: vector[where] for n, where in self.slices.items()}
        moves = {n: c.push(parts[n]) for n, c in self.charts.items()}
        second = SecondOrder(self._x, moves, self._kept)
        found = [np.zeros(0)]
        for n, chart in self.charts.items():
            moved = np.asarray(second.gradient(n, None).tangent, float)
            found.append(chart.pull(moved) + chart.bend(self.slopes[n], parts[n]))
        return np.concatenate(found)

    def dense(self) -> np.ndarray:
        """The symmetric matrix, (n, n), a product a column.

        Raises
        ------
        NumericalError
            If it is not symmetric: some vjp or hvp is not a derivative.
        """
        matrix = np.empty(self.shape)
        for k, unit in enumerate(np.eye(self.size)):
            matrix[:, k] = self @ unit
        gap, scale = np.abs(matrix - matrix.T), np.abs(matrix).max(initial=0.0)
        if gap.max(initial=0.0) > ASYMMETRY * scale:
            one, other = (self.labels[k] for k in np.unravel_index(gap.argmax(), gap.shape))
            raise NumericalError(
                f"the Hessian is not symmetric between {one} and {other} ({gap.max():.3g} of {scale:.3g}): "
                "the vjp or hvp of a step, or the gradients or hvp of a loss, are not derivatives of its "
                "value"
            )
        return (matrix + matrix.T) / 2

    def moved(self, vector) -> dict[str, np.ndarray]:
        """Values at some distance from here in coordinates, for ``run(…, values=…)``."""
        vector = np.asarray(vector, float)
        return {n: c.inward(c.origin + vector[self.slices[n]]) for n, c in self.charts.items()}


def _names(graph, names) -> list[str]:
    nodes = graph.nodes
    if names is None:
        names = [n for n, v in nodes.items() if isinstance(v, Parameter)]
    elif isinstance(names, str):
        raise DataError(f"names is a list of parameters, got {names!r}; give [{names!r}]")
    names = [getattr(n, "name", n) for n in names]
    for name in names:
        node = nodes.get(name)
        real = isinstance(node, Parameter | Observation) and node.value.dtype.kind == "f"
        if not real:
            there = ", ".join(n for n, v in nodes.items() if isinstance(v, Parameter))
            raise UnavailableError(
                f"there is no Hessian at {name!r}: it is no parameter or real observation; the parameters "
                f"are {there or 'none'}"
            )
    if not names or len(set(names)) < len(names):
        raise DataError(f"names must be different parameters, and at least one; got {names}")
    return names


def _check_coordinates(given: dict, names: list[str]) -> None:
    for name, own in given.items():
        if name not in names:
            raise UnavailableError(
                f"coordinates for {name!r}, which does not move; moving are {', '.join(names)}"
            )
        if not isinstance(own, Coordinates):
            raise DataError(
                f"coordinates of {name!r} must be Free(), LogRows(), Positive(), Covariance() or "
                f"Basis(arrays), got {own!r}"
            )


@dataclass(frozen=True, eq=False, repr=False)
class Hessian:
    """Second derivatives of a graph's total.

    Attributes
    ----------
    matrix : array, (n, n)
    labels : list of str
        Where each row is, such as "A[0, 1]".
    slices : dict
        Name → its rows.
    """

    matrix: np.ndarray
    labels: list[str]
    slices: dict[str, slice]

    def block(self, one: str, other: str) -> np.ndarray:
        """Second derivatives in one parameter and another, (rows of one, rows of the other)."""
        return self.matrix[self.slices[one], self.slices[other]]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.array(self.matrix, dtype=dtype)

    def __repr__(self) -> str:
        parts = ", ".join(f"{n} {s.stop - s.start}" for n, s in self.slices.items())
        return f"<Hessian {self.matrix.shape}: {parts}>"


def hessian(
    graph,
    names: list[str] | None = None,
    algebra=None,
    values: dict | None = None,
    coordinates: dict[str, Coordinates] | None = None,
) -> Hessian:
    """The dense Hessian of a graph's total; parameters as in :class:`Curvature`.

    Examples
    --------
    >>> from msgpass import FactorGraph, Table
    >>> g = FactorGraph()
    >>> z = g.variable("z", states=2)
    >>> _ = g.factor(Table(g.parameter("eta", [0.0, 0.0])), z)
    >>> hessian(g).matrix.tolist()
    [[0.25, -0.25], [-0.25, 0.25]]
    """
    curvature = Curvature(graph, names, algebra, values, coordinates)
    return Hessian(curvature.dense(), curvature.labels, curvature.slices)


def hessian_operator(
    graph,
    names: list[str] | None = None,
    algebra=None,
    values: dict | None = None,
    coordinates: dict[str, Coordinates] | None = None,
):
    """The same as a :class:`scipy.sparse.linalg.LinearOperator`, for eigenvalues and linear systems.

    Examples
    --------
    >>> from msgpass import FactorGraph, Loss
    >>> from scipy.sparse.linalg import cg
    >>> g = FactorGraph()
    >>> w = g.parameter("w", [1.0, 2.0])
    >>> _ = g.factor(Loss(lambda w: (0.25 * (w**4).sum(), (w**3,))), w)
    >>> cg(hessian_operator(g), np.array([3.0, 12.0]))[0].round(6).tolist()
    [1.0, 1.0]
    """
    from scipy.sparse.linalg import LinearOperator

    curvature = Curvature(graph, names, algebra, values, coordinates)

    def product(vector):
        return curvature @ np.ravel(vector)

    return LinearOperator(curvature.shape, matvec=product, rmatvec=product, dtype=float)
