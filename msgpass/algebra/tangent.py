"""``Tangent``: (value, tangent) pairs forward; crossing a step is a JVP. ``total`` is (loss, directional
derivative).

Run *over* another algebra, every message of that algebra moves: a cotangent λ becomes (λ, λ̇), and what
arrives at a parameter is (gradient, Hessian-vector product) (Pearlmutter 1994).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.algebra.base import Algebra
from msgpass.errors import DataError, GraphError


class Dual(NamedTuple):
    """A value and its tangent."""

    value: Any
    tangent: Any


class Tangent(Algebra):
    """Forward-mode sensitivities along one direction.

    Parameters
    ----------
    directions : dict
        Name of a parameter or observation → array of its shape: the direction in which the inputs move.
    over : algebra, class of one, or dict from variable to algebra, optional
        The algebra whose messages move, such as ``Adjoint()``, chosen as :func:`msgpass.run` does ({} for the
        defaults); messages
        then go backward, too, and all readings are :class:`Dual`.
    columns : int, optional
        So many directions at once, over steps and losses: every direction has one axis more, its last, and so
        has every tangent; that of ``total`` is a vector. A direction may then be a slice of columns: one unit
        direction for each number of the input.

    Examples
    --------
    The Hessian of ¼ Σ w⁴ is 3 w² on its diagonal:

    >>> from msgpass import Adjoint, FactorGraph, Loss, run
    >>> g = FactorGraph()
    >>> w = g.parameter("w", [1.0, 2.0])
    >>> _ = g.factor(Loss(lambda w: (0.25 * (w**4).sum(), (w**3,))), w)
    >>> m = run(g, Tangent({"w": [1.0, 1.0]}, over=Adjoint()))
    >>> m.parameters["w"].tangent.tolist()
    [3.0, 12.0]

    The gradient, forward:

    >>> run(g, Tangent({"w": slice(0, 2)}, columns=2)).total.tangent.tolist()
    [1.0, 8.0]
    """

    potentials = frozenset({"table", "quadratic", "step"})

    def __init__(self, directions: dict[str, Any], over: Any = None, columns: int | None = None):
        if not isinstance(directions, dict) or not directions:
            raise GraphError('Tangent takes directions by name, such as Tangent({"w": direction})')
        if columns is not None and (isinstance(columns, bool) or not isinstance(columns, int) or columns < 1):
            raise GraphError(f"Tangent: columns must be a whole number ≥ 1, got {columns!r}")
        if columns is not None and over is not None:
            raise GraphError("Tangent over another algebra takes one direction a run; leave columns out")
        self.directions = {
            key: d if columns is not None and isinstance(d, slice) else _real(key, d)
            for key, d in ((getattr(k, "name", k), d) for k, d in directions.items())
        }
        self.over, self.columns = over, columns

    def __eq__(self, other) -> bool:
        return self is other

    __hash__ = object.__hash__


def _real(name: str, direction) -> np.ndarray:
    try:
        return np.asarray(direction, dtype=float)
    except (TypeError, ValueError) as problem:
        raise DataError(f"Tangent: the direction of {name!r} is no array of numbers: {problem}") from None
