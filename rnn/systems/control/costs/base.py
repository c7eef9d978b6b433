"""What a cost tells the solver, at every step at once."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import NamedTuple

import numpy as np

from msgpass.errors import DataError
from rnn.systems.control.parameters import replaced


class Expansion(NamedTuple):
    """First and second derivatives at N points: x (N, n), u (N, m), xx, xu, uu (N, …, …)."""

    x: np.ndarray
    u: np.ndarray
    xx: np.ndarray
    xu: np.ndarray
    uu: np.ndarray


class Cost:
    """Abstract. A new cost is a file with a class that has ``value``, ``gradient`` and ``expansion``.

    ``x`` is (N, n), ``u`` (N, m), ``t`` (N,) step numbers; of a terminal cost m is 0.

    ``value(x, u, t)`` → (N,); ``gradient(x, u, t)`` → (N, n), (N, m); ``expansion(x, u, t)`` → Expansion,
    whose second derivatives may be an approximation. Costs may be added.

    A cost that depends on parameters has them in ``parameters``, by name, reads them from there, and has
    ``parameter_gradient(x, u, t, weights)`` → their gradients by name, summed over rows, each row times its
    weight.
    """

    parameters: Mapping[str, np.ndarray] = {}

    def value(self, x, u, t) -> np.ndarray:
        """Cost of each row."""
        raise TypeError(f"{type(self).__name__} is abstract; use QuadraticCost, SmoothCost or LeastSquares")

    def gradient(self, x, u, t) -> tuple[np.ndarray, np.ndarray]:
        """∂/∂x and ∂/∂u of each row."""
        return self.expansion(x, u, t)[:2]

    def expansion(self, x, u, t) -> Expansion:
        """First and second derivatives of each row."""
        raise TypeError(f"{type(self).__name__} is abstract; use QuadraticCost, SmoothCost or LeastSquares")

    def parameter_gradient(self, x, u, t, weights=1.0) -> dict[str, np.ndarray]:
        """∂/∂θ of the weighted sum of all rows, by parameter; ``weights`` a number or (N,)."""
        return {}

    def with_parameters(self, others: Mapping) -> Cost:
        """The same cost with other values of some parameters, by name."""
        changed = copy(self)
        changed.parameters = replaced(type(self).__name__, dict(self.parameters), others)
        return changed

    def check(self, name: str, states: int, inputs: int) -> None:
        """Raise an error where the cost is of other sizes; a terminal cost has no inputs."""

    def __add__(self, other: object) -> Cost:
        if not isinstance(other, Cost):
            wrap = "; wrap the function: SmoothCost(f)" if callable(other) else ""
            raise DataError(f"a cost is added to a cost, got {type(other).__name__}{wrap}")
        return SumOfCosts((*_parts(self), *_parts(other)))


class SumOfCosts(Cost):
    """Several costs at once."""

    def __init__(self, parts: tuple[Cost, ...]):
        self.parts = parts

    def check(self, name, states, inputs):
        """Of every part."""
        for part in self.parts:
            part.check(name, states, inputs)

    def value(self, x, u, t):
        """Their sum."""
        return np.sum([part.value(x, u, t) for part in self.parts], axis=0)

    def gradient(self, x, u, t):
        """The sums of theirs."""
        found = [part.gradient(x, u, t) for part in self.parts]
        return np.sum([g for g, _ in found], axis=0), np.sum([g for _, g in found], axis=0)

    def expansion(self, x, u, t):
        """The sums of theirs."""
        found = [part.expansion(x, u, t) for part in self.parts]
        return Expansion(*(np.sum(parts, axis=0) for parts in zip(*found, strict=True)))

    @property
    def parameters(self):  # type: ignore[override]
        """Of all parts: "0.weight" is the weight of the first."""
        return {f"{k}.{name}": v for k, part in enumerate(self.parts) for name, v in part.parameters.items()}

    def parameter_gradient(self, x, u, t, weights=1.0):
        """Of all parts."""
        found = (part.parameter_gradient(x, u, t, weights) for part in self.parts)
        return {f"{k}.{name}": g for k, part in enumerate(found) for name, g in part.items()}

    def with_parameters(self, others):
        """Some of them exchanged."""
        replaced("the sum of costs", self.parameters, others)
        own = [
            {name.partition(".")[2]: v for name, v in others.items() if name.startswith(f"{k}.")}
            for k in range(len(self.parts))
        ]
        return SumOfCosts(tuple(part.with_parameters(v) for part, v in zip(self.parts, own, strict=True)))


def _parts(cost: Cost) -> tuple[Cost, ...]:
    return cost.parts if isinstance(cost, SumOfCosts) else (cost,)


def split(H: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """xx, xu and uu of a Hessian over (x, u)."""
    return H[:, :n, :n], H[:, :n, n:], H[:, n:, n:]


def summed(rows: np.ndarray, parameter: np.ndarray, axes: int, t, weights=1.0) -> np.ndarray:
    """Gradients (N, …) of a parameter with so many axes, added up: by step where it has a step axis."""
    rows = np.reshape(weights, (-1, *[1] * axes)) * rows
    if parameter.ndim == axes:
        return rows.sum(axis=0)
    found = np.zeros_like(parameter)
    np.add.at(found, np.asarray(t).astype(int), rows)
    return found
