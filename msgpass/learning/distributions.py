"""A table as distributions: their re-estimation from counts, their check, a random start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from msgpass.errors import ProbabilityError, UnsupportedError
from msgpass.graph import Factor
from msgpass.learning.children import Axes
from msgpass.potentials import GroupedTable, SparseTable

NEGLIGIBLE = 1e-200
"""Total of a distribution's counts below which it keeps its values: nothing is known of it."""


@dataclass(frozen=True, eq=False)
class Distributions:
    """How the entries of a table fall into distributions.

    Attributes
    ----------
    name : str
        Of the parameter.
    axes : tuple of int
        Along these a full table sums to one.
    groups : array of int, (nnz,), or None
        Of a sparse table: the distribution of each entry.
    """

    name: str
    axes: Axes
    groups: np.ndarray | None = None

    @classmethod
    def of(cls, name: str, factor: Factor, axes: Axes) -> Distributions:
        """Those of a parameter behind a factor."""
        potential = factor.potential
        if isinstance(potential, GroupedTable) and potential.axis(factor) - len(factor.args) in axes:
            raise UnsupportedError(
                f"{name!r} is a distribution of {factor.args[potential.axis(factor)].name}, whose states "
                "share values by group: such a table is no log probability of groups; use a full Table"
            )
        if not isinstance(potential, SparseTable):
            return cls(name, axes)
        if len(axes) == 2:
            return cls(name, axes, np.zeros(len(potential.rows), np.int64))
        return cls(name, axes, potential.rows if axes == (-1,) else potential.cols)

    def totals(self, array: np.ndarray) -> np.ndarray:
        """Sum of the distribution that each entry belongs to, in a shape that broadcasts."""
        if self.groups is None:
            return array.sum(axis=self.axes, keepdims=True)
        flat = array.reshape(-1, array.shape[-1])
        sums = np.stack([np.bincount(self.groups, row) for row in flat])
        return sums[:, self.groups].reshape(array.shape)

    def maximise(self, counts: np.ndarray, extra, previous: np.ndarray) -> np.ndarray:
        """argmax_θ Σ (counts + extra) θ over log probabilities θ.

        Entries of −∞ in ``previous`` stay, whatever the prior says: they are the model's structure. A
        distribution without counts keeps its values; negative sums count as zero.
        """
        possible = previous > -np.inf
        mass = np.where(possible, np.maximum(counts + extra, 0.0), 0.0)
        total = self.totals(mass)
        known = total > NEGLIGIBLE
        with np.errstate(divide="ignore"):
            fitted = np.log(mass / np.where(known, total, 1.0))
        return np.where(known, fitted, previous)

    def check(self, value: np.ndarray) -> None:
        """Raise unless the distributions sum to one."""
        sums = self.totals(np.exp(value))
        if np.abs(sums - 1).max(initial=0.0) > 1e-6:
            worst = float(np.ravel(sums)[np.argmax(np.abs(sums - 1))])
            along = f"along {'axis' if len(self.axes) == 1 else 'axes'} {', '.join(map(str, self.axes))}"
            raise ProbabilityError(
                f"EM starts from log probabilities, but exp {self.name!r} sums to {worst:.6g} {along} "
                "somewhere. Normalise it, say with axes= which variable is the child, or learn an "
                'unnormalised model with method="lbfgs"'
            )

    def draw(self, value: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Random distributions with the zeros of ``value``, each from a flat Dirichlet."""
        mass = np.where(value > -np.inf, rng.standard_exponential(value.shape), 0.0)
        total = self.totals(mass)
        with np.errstate(divide="ignore"):
            return np.where(total > 0, np.log(mass / np.where(total > 0, total, 1.0)), value)
