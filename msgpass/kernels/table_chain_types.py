"""What goes into and comes out of the sweeps over a chain of discrete tables.

A chain is ``p(z) ∝ init(z_0) Π_t transition(z_{t-1}, z_t) Π_t evidence_t(z_t)``; many chains of unequal
length lie end to end. Tables are linear (not logarithms) and scaled by their maximum, so that exponentials
are taken once, by the caller.
"""

from typing import NamedTuple

import numpy as np

# Below these scales a sweep may have lost mass to underflow, and the chain is redone in log space. What
# underflows is below 1e-308 of a message (1e-38 in float32 tables); where neither the scale of a step nor the
# sum of α·β is below `lost`, that was less than 1e-308 / lost² of the whole: 1e-28 (1e-8).
LOST = {np.dtype(np.float64): 1e-140, np.dtype(np.float32): 1e-15}
LN2 = 0.6931471805599453


class ChainProblem(NamedTuple):
    """Chains of discrete variables with K states, laid end to end; T time steps in all.

    Attributes
    ----------
    init : ndarray, shape (K,)
        Potential of the first state of every sequence, maximum 1.
    transition : ndarray, shape (K, K) or (P, K, K)
        Row = from, column = to, maximum 1. With three axes one table a pair of neighbours, P = Σ (length −
        1), in order.
    evidence : ndarray, shape (R, K)
        Local potentials, each row with maximum 1; a row of zeros is impossible.
    rows : ndarray of int, shape (T,), or None
        Row of ``evidence`` used at each time step (categorical data needs no (T, K) table). ``None``: R = T,
        in order.
    offsets : ndarray of int64, shape (N + 1,)
        Sequence n is ``offsets[n]:offsets[n + 1]``; every length is at least 1.
    logs : tuple (log_init, log_transition, log_evidence), optional
        The logarithms that the linear tables were made from, with their maxima still in: each linear table is
        ``exp(log − max)``, the maximum taken over ``init``, over each transition table and over each row of
        evidence. A chain whose scale vanishes is redone from these, so that entries which underflow to zero
        are not taken for impossible. Without them the logarithms of the linear tables are used.
    """

    init: np.ndarray
    transition: np.ndarray
    evidence: np.ndarray
    rows: np.ndarray | None
    offsets: np.ndarray
    logs: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None


class Visits(NamedTuple):
    """What γ adds up to: by row of evidence, (R, K), and over the first steps of all sequences, (K,)."""

    row_counts: np.ndarray | None
    initial: np.ndarray


class ChainCounts(NamedTuple):
    """Expected sufficient statistics of a :class:`ChainProblem`; all zero for impossible sequences.

    Attributes
    ----------
    log_scale : ndarray, shape (N,)
        Logarithm of each sequence's partition function, of the linear tables as given; −inf when impossible.
    gamma : ndarray, shape (T, K), or None
        Posterior marginals, γ_t(i) = P(z_t = i | all evidence).
    xi : ndarray, shape (K, K) or (P, K, K)
        Pairwise posteriors P(z_{t−1} = i, z_t = j | all evidence), summed over all pairs when the table is
        shared.
    row_counts : ndarray, shape (R, K), or None
        Σ of γ_t over the time steps that use a row of evidence; only when ``rows`` was given.
    initial : ndarray, shape (K,)
        Σ of γ_t over the first steps of all sequences.
    impossible : list of (int, int)
        (sequence, first impossible time step within it).
    """

    log_scale: np.ndarray
    gamma: np.ndarray | None
    xi: np.ndarray
    row_counts: np.ndarray | None
    initial: np.ndarray
    impossible: list[tuple[int, int]]
