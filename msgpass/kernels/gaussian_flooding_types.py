"""Gaussian loopy belief propagation as arrays: what its sweeps take and give.

A message from a factor to a variable is exp(hᵀx − ½ xᵀΛx). All messages lie in two flat arrays: factor after
factor within a group of one shape, and within a factor variable after variable.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

ROUNDING = 8 * np.finfo(float).eps
"""Share of two numbers that their difference may be when it is zero."""

SINGULAR = 1e-14
"""Share of a diagonal entry that may be left where nothing should be: a matrix with less is singular."""

GROWTH, FIRST = 1e6, 10
"""Changes that are so many times the largest of the first sweeps are those of a run that diverges."""


@dataclass(frozen=True, eq=False)
class Factors:
    """Quadratics of one shape, log φ(x) = hᵀx − ½ xᵀΛx over a factor's variables end to end.

    Attributes
    ----------
    scopes : int array, (n, k)
        Variables of each, k ≥ 2.
    sizes : tuple of int
        Sizes of these variables; D is their sum.
    h : array, (m, D)
    precision : array, (m, D, D)
    table : int array, (n,)
        Which of the m forms each factor has.
    """

    scopes: np.ndarray
    sizes: tuple[int, ...]
    h: np.ndarray
    precision: np.ndarray
    table: np.ndarray

    def __len__(self) -> int:
        return len(self.scopes)

    @cached_property
    def columns(self) -> list[slice]:
        """Of each variable in h."""
        ends = np.cumsum(self.sizes)
        return [slice(int(e) - s, int(e)) for e, s in zip(ends, self.sizes, strict=True)]

    @cached_property
    def blocks(self) -> list[slice]:
        """Of each variable's precision, row after row, in the messages of a factor."""
        ends = np.cumsum(np.square(self.sizes))
        return [slice(int(e) - s * s, int(e)) for e, s in zip(ends, self.sizes, strict=True)]

    @property
    def widths(self) -> tuple[int, int]:
        """Numbers in the information vectors and in the precisions of one factor's messages."""
        return sum(self.sizes), sum(s * s for s in self.sizes)

    @cached_property
    def pairs(self) -> np.ndarray:
        """Of two scalars: Λ₁₁, Λ₂₂, Λ₁₂, h₁, h₂, Λ₁₁Λ₂₂ − Λ₁₂², h₁Λ₂₂ − Λ₁₂h₂, h₂Λ₁₁ − Λ₁₂h₁, (m, 8).

        With the last three no digits are lost where the factor is a stiff relation: these are zero then.
        """
        a, c, b = self.precision[:, 0, 0], self.precision[:, 1, 1], self.precision[:, 0, 1]
        h, k = self.h.T
        lost = [_difference(a * c, b * b), _difference(h * c, b * k), _difference(k * a, b * h)]
        return np.ascontiguousarray(np.stack([a, c, b, h, k, *lost], axis=1))


def _difference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """x − y, zero where it is rounding."""
    found = x - y
    return np.where(np.abs(found) <= ROUNDING * (np.abs(x) + np.abs(y)), 0.0, found)


@dataclass(frozen=True, eq=False)
class Problem:
    """Variables with what is known of each alone, and factors in groups of one shape.

    Attributes
    ----------
    sizes : int array, (variables,)
    h, precision : arrays, (Σ s,) and (Σ s²,)
        Of quadratics over one variable, laid end to end.
    groups : tuple of Factors
    """

    sizes: np.ndarray
    h: np.ndarray
    precision: np.ndarray
    groups: tuple[Factors, ...]

    @cached_property
    def cells(self) -> np.ndarray:
        """Where each variable starts in h, and the end."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def blocks(self) -> np.ndarray:
        """Where each variable starts in precision, and the end."""
        return np.concatenate([[0], np.cumsum(self.sizes * self.sizes)])

    @cached_property
    def messages(self) -> int:
        """Messages of one sweep."""
        return sum(g.scopes.size for g in self.groups)

    def places(self, group: Factors) -> tuple[np.ndarray, np.ndarray]:
        """Places of a group's messages among the variables' h and precisions: (n, D) and (n, Σ s²)."""
        pairs = list(zip(group.scopes.T, group.sizes, strict=True))
        h = [self.cells[v][:, None] + np.arange(s) for v, s in pairs]
        return np.concatenate(h, 1), np.concatenate(
            [self.blocks[v][:, None] + np.arange(s * s) for v, s in pairs], 1
        )


class MessageArrays(NamedTuple):
    """All messages, (Σ n D,) and (Σ n Σ s²,)."""

    h: np.ndarray
    precision: np.ndarray

    def of(self, problem: Problem) -> list[tuple[np.ndarray, np.ndarray]]:
        """Views of each group's messages, (n, D) and (n, Σ s²)."""
        found, a, b = [], 0, 0
        for group in problem.groups:
            n, (wide, deep) = len(group), group.widths
            h = self.h[a : a + n * wide].reshape(n, wide)
            found.append((h, self.precision[b : b + n * deep].reshape(n, deep)))
            a, b = a + n * wide, b + n * deep
        return found

    def copy(self) -> MessageArrays:
        """The same numbers elsewhere."""
        return MessageArrays(self.h.copy(), self.precision.copy())


def beginning(problem: Problem) -> MessageArrays:
    """What each factor says where all its other variables are known to be 0: its own blocks.

    A sum of quadratics can be split into factors in many ways; from here all of them have the same beliefs in
    every sweep, and no first message lacks what only the others know.
    """
    wide = sum(len(g) * g.widths[0] for g in problem.groups)
    made = MessageArrays(np.empty(wide), np.empty(sum(len(g) * g.widths[1] for g in problem.groups)))
    for group, (h, precision) in zip(problem.groups, made.of(problem), strict=True):
        h[:] = group.h[group.table]
        for own, block in zip(group.columns, group.blocks, strict=True):
            precision[:, block] = group.precision[group.table, own, own].reshape(len(group), -1)
    return made


class Failure(NamedTuple):
    """Where messages ended: the variable whose message was made, and what was wrong: "not positive" or
    "diverged"."""

    variable: int
    what: str


class Progress(NamedTuple):
    """How a run went: the largest change of each sweep, messages computed, whether it has settled."""

    history: np.ndarray
    updates: int
    converged: bool
    failure: Failure | None = None
