"""What messages of Gaussian loopy belief propagation say: moments of variables and of factors, Bethe's log Z.

A belief is inverted once, in stacks of one size.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_flooding_reference import totals
from msgpass.kernels.gaussian_flooding_types import SINGULAR, MessageArrays, Problem

LOG_2PI = float(np.log(2 * np.pi))


class Undetermined(Exception):
    """A belief has no mean; ``row`` says whose."""

    def __init__(self, row: int):
        super().__init__("undetermined")
        self.row = row


def inverted(precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(inverses, log determinants of them) of a stack of positive matrices."""
    scale = np.einsum("nii->ni", precision)
    try:
        if not (scale > 0).all():
            raise np.linalg.LinAlgError
        L = np.linalg.cholesky(precision)
    except np.linalg.LinAlgError:
        bad = ~(scale > 0).all(axis=1)
        if not bad.any():
            bad = np.linalg.eigvalsh(precision)[:, 0] <= 0
        raise Undetermined(int(np.argmax(bad))) from None
    pivots = np.einsum("nii->ni", L)
    low = (pivots**2 <= SINGULAR * scale).any(axis=1)
    if low.any():
        raise Undetermined(int(np.argmax(low)))
    half = np.linalg.inv(L)
    return np.swapaxes(half, -1, -2) @ half, -2 * np.log(pivots).sum(axis=1)


class FactorBeliefs(NamedTuple):
    """Means (n, D), covariances (n, D, D) and log integrals about the means (n,), less ½ D log 2π."""

    mean: np.ndarray
    cov: np.ndarray
    log_scale: np.ndarray


class Beliefs:
    """Moments after a run.

    Attributes
    ----------
    h, precision : arrays
        Of all variables, laid end to end.
    mean, cov : arrays, (Σ s,) and (Σ s²,)
    entropies : array, (variables,)
        ½ log det of the covariances.
    """

    def __init__(self, problem: Problem, messages: MessageArrays):
        self.problem, self.messages = problem, messages
        self.h, self.precision = totals(problem, messages)
        self.mean, self.cov = np.empty_like(self.h), np.empty_like(self.precision)
        self.entropies = np.empty(len(problem.sizes))
        for s in np.unique(problem.sizes):
            own = np.flatnonzero(problem.sizes == s)
            cells = problem.cells[own][:, None] + np.arange(s)
            blocks = problem.blocks[own][:, None] + np.arange(s * s)
            try:
                cov, log_det = inverted(self.precision[blocks].reshape(-1, s, s))
            except Undetermined as problem_row:
                raise Undetermined(int(own[problem_row.row])) from None
            self.mean[cells] = (cov @ self.h[cells][..., None])[..., 0]
            self.cov[blocks] = cov.reshape(-1, s * s)
            self.entropies[own] = 0.5 * log_det

    def said(self, g: int) -> tuple[np.ndarray, np.ndarray]:
        """What variables say to the factors of a group: (n, D) and (n, D, D)."""
        group, (h, precision) = self.problem.groups[g], self.messages.of(self.problem)[g]
        at_h, at_p = self.problem.places(group)
        deep = self.precision[at_p] - precision
        whole = np.zeros((len(group), h.shape[1], h.shape[1]))
        for own, block, s in zip(group.columns, group.blocks, group.sizes, strict=True):
            whole[:, own, own] = deep[:, block].reshape(-1, s, s)
        return self.h[at_h] - h, whole

    def of_group(self, g: int) -> FactorBeliefs:
        """Beliefs of a group's factors."""
        group = self.problem.groups[g]
        h, precision = self.said(g)
        precision += group.precision[group.table]
        cov, log_det = inverted(precision)
        at = self.mean[self.problem.places(group)[0]]
        pull = group.h[group.table] + h - (precision @ at[..., None])[..., 0]
        gap = (cov @ pull[..., None])[..., 0]
        return FactorBeliefs(at + gap, cov, 0.5 * log_det + 0.5 * np.einsum("ni,ni->n", gap, pull))

    def bethe(self, at_means: float) -> float:
        """Bethe's log Z, where ``at_means`` is Σ log φ of all factors at the variables' means.

        Σ_a log Z_a + Σ_i (1 − d_i) log Z_i with every function shifted to the means, so that nothing cancels
        where data are far from zero.
        """
        degrees = np.zeros(len(self.entropies))
        total, cells = at_means, 0
        for g, group in enumerate(self.problem.groups):
            degrees += np.bincount(group.scopes.ravel(), minlength=len(degrees))
            total += float(self.of_group(g).log_scale.sum())
            cells += len(group) * group.widths[0]
        cells += int(((1 - degrees) * self.problem.sizes).sum())
        return total + float(((1 - degrees) * self.entropies).sum()) + 0.5 * cells * LOG_2PI
