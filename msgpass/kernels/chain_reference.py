"""The sweeps over a chain of discrete tables in plain NumPy: the text to read, and the oracle of the compiled
kernels.

    α_t(j) = e_t(j) Σ_i α_{t−1}(i) A(i, j),   β_{t−1}(i) = Σ_j A(i, j) e_t(j) β_t(j),   Z = Σ_j α_{T−1}(j)
    γ_t = α_t β_t / Z,                        ξ_t(i, j) = α_{t−1}(i) A(i, j) e_t(j) β_t(j) / Z

(Rabiner 1989). The linear sweep keeps messages in range by exact powers of two and adds in a fixed order, so
that a compiled sweep can reproduce it to the bit; the logarithmic one takes any reduction: log-sum-exp or max
(Viterbi).
"""

import itertools
from collections.abc import Callable

import numpy as np


def crossed(message: np.ndarray, table: np.ndarray) -> np.ndarray:
    """``message @ table``, adding row after row; BLAS and pairwise sums have an order of their own."""
    return np.add.reduce(message[:, None] * table, axis=0)


def ordered_sum(values: np.ndarray) -> float:
    """Sum from left to right (``np.sum`` adds pairwise)."""
    return np.add.accumulate(values)[-1]


def scaled_sweep(
    init: np.ndarray,
    transition: np.ndarray,
    evidence: np.ndarray,
    rows: np.ndarray | None,
    offsets: np.ndarray,
    lost: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Forward-backward over every sequence, with linear tables of float64.

    Parameters
    ----------
    init, transition, evidence, rows, offsets
        As in :class:`~msgpass.kernels.table_chain_types.ChainProblem`, ``transition`` always with three axes:
        one table shared by all pairs, or one a pair.
    lost : float
        A sequence with a scale below this is given up: it must be redone in log space.

    Returns
    -------
    mantissa, exponent : ndarray, shape (N,)
        Z = mantissa · 2^exponent.
    gamma : ndarray, shape (T, K)
    xi : ndarray, shape of ``transition``
        Without its factor A: Σ α_{t−1}(i) e_t(j) β_t(j) / Z.
    failed : ndarray of bool, shape (N,)
    """
    n_sequences, n_states = len(offsets) - 1, len(init)
    shared = len(transition) == 1
    mantissa, exponent = np.zeros(n_sequences), np.zeros(n_sequences, np.int64)
    gamma, xi = np.zeros((offsets[-1], n_states)), np.zeros(transition.shape)
    failed = np.zeros(n_sequences, bool)
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        local = evidence[start:stop] if rows is None else evidence[rows[start:stop]]
        tables = (
            np.broadcast_to(transition, (stop - start - 1, *transition.shape[1:]))
            if shared
            else (transition[start - n : stop - n - 1])
        )
        result = _scaled_sequence(init, tables, local, lost, shared)
        if result is None:
            failed[n] = True
            continue
        mantissa[n], exponent[n], gamma[start:stop], pairs = result
        if shared:
            xi[0] += pairs
        else:
            xi[start - n : stop - n - 1] = pairs
    return mantissa, exponent, gamma, xi, failed


def _scaled_sequence(
    init: np.ndarray, tables: np.ndarray, evidence: np.ndarray, lost: float, shared: bool
) -> tuple[float, int, np.ndarray, np.ndarray] | None:
    """One sequence of :func:`scaled_sweep`; ``None`` when a scale falls below ``lost``."""
    length, n_states = evidence.shape
    alpha, exponent = np.empty(evidence.shape), 0
    predicted = init
    for t in range(length):
        if t > 0:
            predicted = crossed(alpha[t - 1], tables[t - 1])
        alpha[t] = predicted * evidence[t]
        peak = alpha[t].max()
        if not peak >= lost:
            return None
        alpha[t] = np.ldexp(alpha[t], -np.frexp(peak)[1])
        exponent += int(np.frexp(peak)[1])
    mantissa = ordered_sum(alpha[-1])

    gamma = np.empty(evidence.shape)
    gamma[-1] = alpha[-1] * (1.0 / mantissa)
    pairs = np.zeros((n_states, n_states) if shared else tables.shape)
    beta = np.ones(n_states)
    for t in range(length - 1, 0, -1):
        outgoing = evidence[t] * beta
        beta = crossed(outgoing, np.ascontiguousarray(tables[t - 1].T))
        total = ordered_sum(alpha[t - 1] * beta)
        if not total >= lost:
            return None
        gamma[t - 1] = alpha[t - 1] * beta * (1.0 / total)
        xi = alpha[t - 1][:, None] * (outgoing * (1.0 / total))
        if shared:
            pairs += xi
        else:
            pairs[t - 1] = xi
        beta = np.ldexp(beta, -np.frexp(beta.max())[1])
    return mantissa, exponent, gamma, pairs


def log_sum_exp(values: np.ndarray, axis: int) -> np.ndarray:
    """log Σ exp along an axis; −inf where every entry is −inf."""
    peak = values.max(axis=axis, keepdims=True)
    peak = np.where(np.isfinite(peak), peak, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(np.exp(values - peak).sum(axis=axis)) + np.squeeze(peak, axis)


def maximum(values: np.ndarray, axis: int) -> np.ndarray:
    """The reduction of Viterbi's sweep."""
    return values.max(axis=axis)


Reduction = Callable[[np.ndarray, int], np.ndarray]


def log_sweep(
    log_init: np.ndarray, log_tables: np.ndarray, log_evidence: np.ndarray, reduce: Reduction = log_sum_exp
) -> tuple[np.ndarray, np.ndarray]:
    """Unnormalised log messages of one sequence, in the algebra of ``reduce``.

    Parameters
    ----------
    log_init : ndarray, shape (K,)
    log_tables : ndarray, shape (L − 1, K, K)
        One table a pair of neighbours; a broadcast view serves for a shared one.
    log_evidence : ndarray, shape (L, K)
    reduce : callable
        ``reduce(values, axis)``: :func:`log_sum_exp` or :func:`maximum`.

    Returns
    -------
    alpha, beta : ndarray, shape (L, K)
        ``reduce(alpha_t + beta_t)`` is the same at every t: log Z, or the best score.
    """
    alpha, beta = np.empty(log_evidence.shape), np.zeros(log_evidence.shape)
    alpha[0] = log_init + log_evidence[0]
    for t in range(1, len(log_evidence)):
        alpha[t] = reduce(alpha[t - 1][:, None] + log_tables[t - 1], 0) + log_evidence[t]
    for t in range(len(log_evidence) - 1, 0, -1):
        beta[t - 1] = reduce(log_tables[t - 1] + (log_evidence[t] + beta[t]), 1)
    return alpha, beta


def log_counts(
    alpha: np.ndarray, beta: np.ndarray, log_tables: np.ndarray, log_evidence: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """log Z ≠ −∞, γ (L, K) and ξ by pair (L − 1, K, K) of one sequence, from its log messages."""
    log_z = float(log_sum_exp(alpha[-1], 0))
    gamma = np.exp(alpha + beta - log_z)
    xi = np.exp(alpha[:-1, :, None] + log_tables + (log_evidence + beta)[1:, None, :] - log_z)
    return log_z, gamma, xi


def trace_back(alpha: np.ndarray, log_tables: np.ndarray) -> tuple[float, np.ndarray]:
    """Best score and best path of one sequence from its max-sum α (Viterbi 1967); ties go to the lowest
    state.

    No back-pointers: the argmax is recomputed, along the path only.
    """
    path = np.empty(len(alpha), np.int64)
    path[-1] = alpha[-1].argmax()
    for t in range(len(alpha) - 1, 0, -1):
        path[t - 1] = (alpha[t - 1] + log_tables[t - 1][:, path[t]]).argmax()
    return alpha[-1].max(), path
