"""A state space's learned parameters as one vector of real coordinates.

Coefficients are in units of their own size, covariances have a Cholesky factor with logarithms on its
diagonal (variances alone their logarithms, multiples of a matrix the logarithm of the factor).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from hmm.coordinates import Covariances, Domain, Real
from hmm.learning.parameters import Field
from hmm.state_space.space import COVARIANCES, StateSpace
from hmm.state_space.structure import Structure
from msgpass.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Scale(Domain):
    """A covariance that moves as a multiple of what it is; one coordinate, log of the factor, at the first
    cell that has noise."""

    base: np.ndarray

    def _first(self) -> int:
        return int(np.argmax(np.diag(self.base) > 0))

    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        mask, i = np.zeros(like.shape, bool), self._first()
        mask[i, i] = not held[i, i]
        return mask

    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        i = self._first()
        found = np.zeros(like.shape)
        found[i, i] = np.log(value[i, i] / self.base[i, i])
        return found

    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        i = self._first()
        with np.errstate(over="ignore", invalid="ignore"):
            return self.base * np.exp(coordinates[i, i])

    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        i = self._first()
        found = np.zeros(like.shape)
        found[i, i] = np.sum(slope * value)
        return found

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        return log_interval(value, error, z)


@dataclass(frozen=True, eq=False)
class Variances(Domain):
    """A diagonal covariance; each variance that is not held moves by its logarithm, and above a floor."""

    least: np.ndarray

    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        return np.eye(len(like), dtype=bool) & ~held & (like > 0)

    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        there = self.free(like, held)
        return np.where(there, np.log(np.where(there, value, 1.0)), 0.0)

    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.where(self.free(like, held), np.exp(coordinates), like)

    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        return np.where(self.free(like, held), slope * value, 0.0)

    def bounds(self, like: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with np.errstate(divide="ignore"):
            low = np.log(np.broadcast_to(self.least, len(like)))
        return np.where(np.eye(len(like), dtype=bool), low, -np.inf), np.full(like.shape, np.inf)

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return np.diag(np.diag(value) <= self.least * (1 + 1e-6))

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        return log_interval(value, error, z)


@dataclass(frozen=True, eq=False)
class Block(Domain):
    """A full covariance of the cells that have noise."""

    noisy: np.ndarray
    inside: Covariances

    def _part(self, array: np.ndarray) -> np.ndarray:
        return array[np.ix_(self.noisy, self.noisy)]

    def _whole(self, part: np.ndarray, around: np.ndarray) -> np.ndarray:
        found = np.array(around)
        found[np.ix_(self.noisy, self.noisy)] = part
        return found

    def free(self, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        return self._whole(self.inside.free(self._part(like), self._part(held)), np.zeros(like.shape, bool))

    def outward(self, value: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        try:
            part = self.inside.outward(self._part(value), self._part(like), self._part(held))
        except np.linalg.LinAlgError:
            raise UnsupportedError(
                "a covariance that is singular along more than its zero variances has no gradient to climb "
                "by; "
                'freeze it, choose type "diag" or "scaled", or use method="em"'
            ) from None
        return self._whole(part, np.zeros(like.shape))

    def inward(self, coordinates: np.ndarray, like: np.ndarray, held: np.ndarray) -> np.ndarray:
        part = self.inside.inward(self._part(coordinates), self._part(like), self._part(held))
        return self._whole(part, like)

    def pullback(
        self, value: np.ndarray, slope: np.ndarray, like: np.ndarray, held: np.ndarray
    ) -> np.ndarray:
        parts = (self._part(array) for array in (value, slope, like, held))
        return self._whole(self.inside.pullback(*parts), np.zeros(like.shape))

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        part = self.inside.edge(self._part(value), self._part(slope))
        return self._whole(part, np.zeros(value.shape, bool))

    def interval(self, value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
        low, high = self.inside.interval(self._part(value), self._part(error), z)
        nothing = np.full(value.shape, np.nan)
        return self._whole(low, nothing), self._whole(high, nothing)


def log_interval(value: np.ndarray, error: np.ndarray, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Ends of an interval that is symmetric in the logarithm."""
    with np.errstate(all="ignore"):
        factor = np.exp(z * error / np.abs(value))
        ends = value / factor, value * factor
    return np.fmin(*ends), np.fmax(*ends)


class Coordinates:
    """What a fit moves, as a vector; made by ``of``.

    Parameters
    ----------
    space : StateSpace
        Where the coordinates are made.
    fields : list of Field
    """

    def __init__(self, space: StateSpace, fields: list[Field]):
        self.space, self.fields = space, fields
        ends = np.cumsum([0, *(int(field.free.sum()) for field in fields)]).tolist()
        self.slices = [slice(*pair) for pair in pairwise(ends)]
        self.size: int = ends[-1]

    @classmethod
    def of(cls, space: StateSpace, structure: Structure) -> Coordinates:
        """Of what a structure lets move."""
        fields = []
        for name in structure.learned:
            value, mask = getattr(space, name), structure.free[name]
            fields.append(Field(name, "", _domain(name, value, mask, structure), value, ~mask))
        return cls(space, fields)

    def vector(self, space: StateSpace) -> np.ndarray:
        """Coordinates of a state space, (n,)."""
        return np.concatenate([np.zeros(0), *(f.outward(getattr(space, f.name)) for f in self.fields)])

    def at(self, vector: np.ndarray) -> StateSpace:
        """The state space at some coordinates."""
        own = zip(self.fields, self.slices, strict=True)
        return self.space.with_values({field.name: field.inward(vector[where]) for field, where in own})

    def pullback(self, space: StateSpace, slopes: Mapping[str, np.ndarray]) -> np.ndarray:
        """∂f/∂coordinates at a state space from ∂f/∂parameter by name, (n,)."""
        parts = [f.pullback(getattr(space, f.name), slopes[f.name]) for f in self.fields]
        return np.concatenate([np.zeros(0), *parts])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest coordinates, (n,) each."""
        pairs = [field.bounds() for field in self.fields]
        low, high = (np.concatenate([np.zeros(0), *(pair[end] for pair in pairs)]) for end in (0, 1))
        return low, high

    def holding(self, masks: Mapping[str, np.ndarray]) -> Coordinates:
        """The same with more entries held, by name."""
        fields = [replace(own, held=own.held | masks.get(own.name, False)) for own in self.fields]
        return Coordinates(self.space, fields)

    def labels(self) -> list[str]:
        """Where each coordinate is, such as "transition_matrix[0, 1]"."""
        return [
            f"{field.name}[{', '.join(map(str, index))}]"
            for field in self.fields
            for index in np.argwhere(field.free).tolist()
        ]


def _domain(name: str, value: np.ndarray, mask: np.ndarray, structure: Structure) -> Domain:
    if name not in COVARIANCES:
        size = np.abs(value)
        typical = float(np.sqrt(np.mean(value**2))) or 1.0
        return Real(unit=np.maximum(size, 0.1 * typical))
    kind, floor = structure.types[name], structure.floors.get(name, 0.0)
    least = np.broadcast_to(floor, len(value))
    if kind == "diag":
        return Variances(least)
    if kind in ("spherical", "scaled"):
        return Scale(value)
    noisy = np.asarray(mask.any(axis=1))
    return Block(noisy, Covariances(least[noisy] if least.any() else 0.0))
