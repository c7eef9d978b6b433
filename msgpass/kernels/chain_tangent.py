"""Tangents of a chain's messages and counts: NumPy for small work, compiled by size alone.

Conditional probabilities of neighbours come from the log messages, in blocks of rows; those of a chain that
fits one block are kept, so that many directions share them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.kernels import chain_tangent_reference

COMPILED = 512
"""Rows from which on the recursions are compiled: 20 µs a row in NumPy against a second for a compiler."""

BLOCK = 1 << 22
"""Entries of conditional probabilities held at once: 32 MB, twice."""


class ChainTangents(NamedTuple):
    """How the log messages and the marginals of a chain move; log α by ``ahead`` + ``ahead_mean``, log β by
    ``behind`` + ``behind_mean``."""

    ahead: np.ndarray
    """(T, K), zero mean under γ_t."""
    behind: np.ndarray
    ahead_mean: np.ndarray
    """(T,)."""
    behind_mean: np.ndarray
    xi: np.ndarray
    """Pair marginals, (1, K, K) summed over pairs, or (pairs, K, K)."""
    xi_dot: np.ndarray


class Conditionals:
    """Marginals, and conditional probabilities of neighbours, of a chain's posterior.

    Parameters
    ----------
    alpha, beta : array, (T, K)
        Log messages, sequences end to end.
    log_transition : array, (1, K, K) or (pairs, K, K)
    log_evidence : array, (T, K)
    offsets : array of int, (N + 1,)
    """

    def __init__(self, alpha, beta, log_transition, log_evidence, offsets):
        self.alpha, self.beta, self.transition, self.evidence = alpha, beta, log_transition, log_evidence
        self.gamma = shares(alpha + beta, -1)
        self.first = np.zeros(len(alpha), bool)
        self.first[offsets[:-1]] = True
        # Row t is the later one of pair t − (sequences started up to t).
        self.pair = np.maximum(np.arange(len(alpha)) - np.cumsum(self.first), 0)
        rows = max(1, BLOCK // max(1, alpha.shape[1] ** 2))
        self.blocks = [(a, min(a + rows, len(alpha))) for a in range(0, len(alpha), rows)]
        self._kept: dict = {}

    def tables(self, array: np.ndarray, a: int, b: int) -> np.ndarray:
        """A transition's array at rows a … b − 1 as the later ones of a pair; itself where it is shared."""
        if len(array) == 0:  # sequences of one step: no pairs, and no row asks for one
            return np.zeros((b - a, *array.shape[1:]))
        return array if len(array) == 1 else array[self.pair[a:b]]

    def before(self, a: int, b: int) -> np.ndarray:
        """P(z_{t−1} = i | z_t = j) given the evidence up to t − 1, (rows, i, j)."""
        return self._made("before", a, b, self._before)

    def after(self, a: int, b: int) -> np.ndarray:
        """P(z_t = j | z_{t−1} = i) given all evidence, (rows, i, j)."""
        return self._made("after", a, b, self._after)

    def _made(self, what, a, b, make):
        if (what, a) in self._kept:
            return self._kept[what, a]
        made = make(a, b)
        if len(self.blocks) == 1:
            self._kept[what, a] = made
        return made

    def _before(self, a, b):
        earlier = self.alpha[np.maximum(np.arange(a, b) - 1, 0)]
        return shares(earlier[:, :, None] + self.tables(self.transition, a, b), 1)

    def _after(self, a, b):
        later = self.evidence[a:b] + self.beta[a:b]
        return shares(self.tables(self.transition, a, b) + later[:, None, :], 2)


def shares(logs: np.ndarray, axis: int) -> np.ndarray:
    """exp normalised along an axis; zeros where everything is −∞."""
    top = logs.max(axis=axis, keepdims=True)
    weights = np.exp(logs - np.where(np.isfinite(top), top, 0.0))
    total = weights.sum(axis=axis, keepdims=True)
    weights /= np.where(total > 0, total, 1.0)
    return weights


def tangents(
    posterior: Conditionals,
    init_dot: np.ndarray,
    transition_dot: np.ndarray,
    evidence_dot: np.ndarray,
) -> ChainTangents:
    """How a chain moves when its log tables do.

    Parameters
    ----------
    posterior : Conditionals
    init_dot : array, (K,)
    transition_dot : array, (1, K, K) or (pairs, K, K)
    evidence_dot : array, (T, K)
    """
    p, (T, K) = posterior, posterior.alpha.shape
    sweep: Any = chain_tangent_reference
    if T >= COMPILED:
        from msgpass.kernels import chain_tangent_compiled as sweep
    init_dot, transition_dot, evidence_dot, gamma = (
        np.ascontiguousarray(x, np.float64) for x in (init_dot, transition_dot, evidence_dot, p.gamma)
    )
    moved, mean = np.zeros((2, T, K)), np.zeros((2, T))
    for a, b in p.blocks:
        tables = p.tables(transition_dot, a, b)
        _run(
            sweep.ahead, p.first, p.before(a, b), init_dot, tables, evidence_dot, gamma, a, moved[0], mean[0]
        )
    shared = len(p.transition) == 1
    xi, xi_dot = np.zeros((2, 1 if shared else T - int(p.first.sum()), K, K))
    for a, b in reversed(p.blocks):
        tables = p.tables(transition_dot, a, b)
        own = (xi, xi_dot) if shared else (np.zeros((b - a, K, K)), np.zeros((b - a, K, K)))
        args = (p.first, p.after(a, b), tables, evidence_dot, gamma, a, moved[0], moved[1], mean[1], *own)
        _run(sweep.behind, *args)
        if not shared:
            later = ~p.first[a:b]
            xi[p.pair[a:b][later]], xi_dot[p.pair[a:b][later]] = own[0][later], own[1][later]
    return ChainTangents(moved[0], moved[1], mean[0], mean[1], xi, xi_dot)


def _run(function, *args) -> None:
    if function.__module__ == chain_tangent_reference.__name__:
        function(*args)
        return
    from msgpass.kernels import runtime

    with runtime.compiling("the tangents of a chain", function):
        function(*args)
