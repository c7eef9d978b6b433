"""What messages of loopy propagation add up to: beliefs, and Bethe's approximation of log Z,

    log Z ≈ Σ_i ⊕ B_i + Σ_a c_a ( ⊕ (θ_a / c_a + Σ_i q_{i→a}) − Σ_{i∈a} ⊕ (q_{i→a} + m_{a→i}) ),

with ⊕ the algebra's reduction and c_a the counting numbers; exact on trees (Yedidia, Freeman and Weiss 2005).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.kernels import flooding_reference as reference
from msgpass.sweeps.flooding.layout import FloodingLayout


class Bethe:
    """Beliefs and totals of messages that came to rest."""

    layout: FloodingLayout
    problem: reference.Problem
    messages: list[np.ndarray]
    ring: Any
    temperature: float
    contradicted: bool

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Finite parts of the beliefs, and how many of their terms are −∞."""
        return reference.beliefs(self.problem, self.messages)

    @cached_property
    def beliefs(self) -> np.ndarray:
        """Log beliefs of all variables end to end, not normalised."""
        total, dead = self.sums
        return np.where(dead > 0, -np.inf, total)

    @cached_property
    def stateless(self) -> bool:
        """Whether some variable or factor has no state left."""
        if (self.beliefs > -np.inf).all():
            return False
        return bool((np.maximum.reduceat(self.beliefs, self.layout.where[:-1]) == -np.inf).any()) or (
            self.total == -np.inf
        )

    @cached_property
    def said(self) -> list[np.ndarray]:
        """What variables say to the factors of each group, (n, arity · K)."""
        found = []
        for group, own in zip(self.problem.groups, self.messages, strict=True):
            found.append(reference.incoming(*self.sums, own, group.places(self.problem.where)))
        return found

    @cached_property
    def total(self) -> float:
        """Bethe's approximation."""
        found = sum(float(values.sum()) for _, values in self._terms())
        return -np.inf if self.contradicted or found != found else self.temperature * found

    @cached_property
    def part_totals(self) -> np.ndarray:
        """Bethe's approximation of every part that no factor links to another, (parts,)."""
        parts = self.layout.parts
        found = np.zeros(int(parts.max(initial=-1)) + 1)
        for variables, values in self._terms():
            found += np.bincount(parts[variables], values, len(found))
        return np.where(np.isnan(found), -np.inf, self.temperature * found)

    def _terms(self):
        """Terms of Bethe's log Z, each with a variable it belongs to: (variables, values)."""
        starts, sizes = self.layout.where[:-1], np.diff(self.layout.where)
        for k in np.unique(sizes):
            (own,) = np.nonzero(sizes == k)
            yield own, self._reduced(self.beliefs[starts[own][:, None] + np.arange(k)])
        for group, own, said in zip(self.problem.groups, self.messages, self.said, strict=True):
            local = self._at_factors(group, said)
            for columns in group.columns:
                with np.errstate(invalid="ignore"):
                    local = local - self._reduced(said[:, columns] + own[:, columns])
            yield group.scopes[:, 0], group.counting * local

    def _reduced(self, logs: np.ndarray) -> np.ndarray:
        return self.ring.reduce(logs, (-1,))

    def _at_factors(self, group, said: np.ndarray) -> np.ndarray:
        if group.structured is not None:
            return group.structured.log_partition(said.reshape(len(said), len(group.states), -1))
        joint = self._joint(group, said)
        return self.ring.reduce(joint, tuple(range(1, joint.ndim)))

    def _joint(self, group, said: np.ndarray) -> np.ndarray:
        joint = group.logs
        for p, columns in enumerate(group.columns):
            joint = joint + reference.spread(said[:, columns], p, len(group.states))
        return joint
