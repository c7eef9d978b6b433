"""Inference over chains of discrete tables: which sweep runs, by size alone.

This is the one module of the family that the engine imports. Small work goes to NumPy or to a compiled sweep
that gives the same bits (:mod:`~msgpass.kernels.policy`); large work to the vectorised families, which may
differ by rounding, but always in the same way for the same shapes. A sequence whose scale vanishes is redone
in log space.
"""

import itertools
from functools import lru_cache
from types import ModuleType

import numpy as np

from msgpass.kernels import chain_reference as reference
from msgpass.kernels import policy
from msgpass.kernels.table_chain_difficult import LARGE, counts_in_log_space, table_list
from msgpass.kernels.table_chain_difficult import log_messages as _log_messages
from msgpass.kernels.table_chain_groups import groups, split
from msgpass.kernels.table_chain_types import LN2, LOST, ChainCounts, ChainProblem, Visits

__all__ = ["ChainCounts", "ChainProblem", "best_path", "expected_counts", "forward_scale", "log_messages"]

VECTORISED, VECTORISED_WHERE_LANES_FILL = 16_384, 4096
"""Entries T·K from which on a chain with one shared transition goes to the vectorised families: in general,
and where eight sequences or the segments of one fill their lanes. Lanes then take 35 µs for K = 2 and one
sequence after another 50."""

_NO_ROWS = np.empty(0, np.int64)


def _prepare(problem: ChainProblem) -> tuple:
    """Contiguous float64 tables (the transition with three axes), int64 rows and offsets."""
    init, transition, evidence, rows, offsets, _ = problem
    transition = np.ascontiguousarray(transition, np.float64)
    return (
        np.ascontiguousarray(init, np.float64),
        transition.reshape(-1, *transition.shape[-2:]),
        np.ascontiguousarray(evidence, np.float64),
        None if rows is None else np.ascontiguousarray(rows, np.int64),
        np.ascontiguousarray(offsets, np.int64),
    )


def _vectorised(tables: tuple) -> bool:
    init, transition, _, _, offsets = tables
    n_states, steps, n_sequences = len(init), int(offsets[-1]), len(offsets) - 1
    if n_states < 2 or len(transition) != 1 or steps * n_states < VECTORISED_WHERE_LANES_FILL:
        return False
    return (
        steps * n_states >= VECTORISED
        or n_sequences >= 8
        or (n_sequences == 1 and n_states <= 8 and steps >= 1024)
    )


def _sweep(tables: tuple, lost: float, want_gamma: bool = True, exact: bool = False) -> tuple:
    """(mantissa, exponent, γ, ξ without its factor A, failed, `Visits` if they come with it), by the family
    that the size selects; γ may be None if it is not wanted.
    """
    init, transition, evidence, rows, offsets = tables
    steps, n_states = int(offsets[-1]), len(init)
    if _vectorised(tables):
        from msgpass.kernels import table_chain_large

        index = _NO_ROWS if rows is None else rows
        here = init, transition[0], evidence, index, offsets, lost, want_gamma
        return table_chain_large.scaled_sweep(*here, may_forget=not exact)
    if not policy.prefer_kernel(steps, n_states):
        return *reference.scaled_sweep(*tables, lost), None
    from msgpass.kernels import runtime, table_chain_scalar

    n_sequences = len(offsets) - 1
    mantissa, exponent = np.zeros(n_sequences), np.zeros(n_sequences, np.int64)
    gamma, xi = np.empty((steps, n_states)), np.zeros(transition.shape)
    failed = np.zeros(n_sequences, np.bool_)
    kernel = table_chain_scalar.scaled_sweep
    with runtime.compiling("the chain sweep", kernel):
        kernel(
            init,
            transition,
            evidence,
            _NO_ROWS if rows is None else rows,
            offsets,
            lost,
            mantissa,
            exponent,
            gamma,
            xi,
            failed,
        )
    return mantissa, exponent, gamma, xi, failed, None


@lru_cache(maxsize=1)
def _vectorised_families() -> tuple[ModuleType, ModuleType, ModuleType]:
    """The large family, the small one and what they run on; an import inside a function costs 1 µs a call."""
    from msgpass.kernels import runtime, table_chain_large, table_chain_small

    return table_chain_large, table_chain_small, runtime


def _small(tables: tuple, lost: float, want_gamma: bool) -> tuple | None:
    """The vectorised sweep in one compiled call, as :func:`msgpass.kernels.table_chain_small.expected_counts`
    returns it; None for work of another size, or if a scale has vanished."""
    init, transition, evidence, rows, offsets = tables
    large, small, runtime = _vectorised_families()
    n_states, entries = len(init), int(offsets[-1]) * len(init)
    if n_states > large.MOST_IN_LANES or entries * (n_states + 8) > large.THREADED:
        return None
    alone, _, lengths = split(offsets)
    if alone:
        return None
    counting = small.BY_TIME
    if rows is None:
        rows = _NO_ROWS
    elif 8 * len(evidence) <= len(rows):
        counting = small.WITHIN
    elif entries >= VECTORISED:
        counting = small.IN_TURNS
    _, place, starts, lengths = groups(offsets[:-1], lengths)
    problem = init, transition[0], evidence, rows, offsets
    with runtime.compiling("the sweep over small chains", small.expected_counts):
        found = small.expected_counts(*problem, place, starts, lengths, lost, counting, want_gamma)
    return None if found[-1] else found


def expected_counts(problem: ChainProblem, want_gamma: bool = True, exact: bool = False) -> ChainCounts:
    """Posterior marginals, expected transition counts and log Z of every sequence: Baum-Welch's E-step.

    Parameters
    ----------
    problem : ChainProblem
        Tables of float64 or float32; the computation is in float64, results have the dtype of ``evidence``.
    want_gamma : bool
        Whether the marginals, (T, K), are wanted; large work over rows of evidence is quicker without. All
        else has the same bits either way.
    exact : bool
        Do without segments that start from messages which have forgotten their start.

    Returns
    -------
    ChainCounts

    Examples
    --------
    Umbrellas (Russell & Norvig), two of them seen:

    >>> transition = np.array([[0.7, 0.3], [0.3, 0.7]])
    >>> seen = np.array([[0.9, 0.2], [0.9, 0.2]])
    >>> counts = expected_counts(ChainProblem(np.array([0.5, 0.5]), transition, seen, None, np.array([0, 2])))
    >>> counts.gamma.round(3)
    array([[0.883, 0.117],
           [0.883, 0.117]])
    """
    dtype = problem.evidence.dtype
    tables = _prepare(problem)
    _init, transition, evidence, rows, offsets = tables
    small = _small(tables, LOST[dtype], want_gamma) if _vectorised(tables) else None
    if small is not None:
        gamma, xi, initial, row_counts, mantissa, exponent, _ = small
        xi *= transition[0]
        log_scale = np.log(mantissa) + exponent * LN2
        visits = Visits(None if rows is None else row_counts, initial)
        return _counts(problem, log_scale, gamma if want_gamma else None, xi, visits, [])
    mantissa, exponent, gamma, xi, failed, visits = _sweep(tables, LOST[dtype], want_gamma, exact)
    xi *= transition
    impossible: list[tuple[int, int]] = []
    log_scale = _log_scale(mantissa, exponent, failed)
    if failed.any():
        chosen = np.flatnonzero(failed)
        problem = problem._replace(rows=rows, offsets=offsets)
        log_scale[chosen], steps, own, pairs, pairwise, impossible = counts_in_log_space(problem, chosen)
        gamma[steps] = own
        xi[pairs] += pairwise
    if visits is None:
        first = gamma[:1] if len(offsets) == 2 else gamma[offsets[:-1]]
        visits = Visits(None if rows is None else _count_rows(rows, gamma, len(evidence)), first.sum(axis=0))
    return _counts(problem, log_scale, gamma if want_gamma else None, xi, visits, impossible)


def _counts(
    problem: ChainProblem,
    log_scale: np.ndarray,
    gamma: np.ndarray | None,
    xi: np.ndarray,
    visits: Visits,
    impossible: list[tuple[int, int]],
) -> ChainCounts:
    """In the dtype and shapes of the problem."""
    dtype = problem.evidence.dtype
    return ChainCounts(
        log_scale.astype(dtype, copy=False),
        None if gamma is None else gamma.astype(dtype, copy=False),
        xi.reshape(problem.transition.shape).astype(dtype, copy=False),
        None if visits.row_counts is None else visits.row_counts.astype(dtype, copy=False),
        visits.initial.astype(dtype, copy=False),
        impossible,
    )


def _log_scale(mantissa: np.ndarray, exponent: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """log Z of every sequence; of those that failed, a value to be replaced."""
    mantissa[failed] = 1.0
    return np.log(mantissa) + exponent * LN2


def _count_rows(rows: np.ndarray, gamma: np.ndarray, n_rows: int) -> np.ndarray:
    """Σ γ_t over the time steps of each row of evidence; small work adds in the order of time either way."""
    if gamma.size >= VECTORISED:
        from msgpass.kernels.table_chain_row_counts import row_counts

        return row_counts(rows, gamma, n_rows)
    if "table_chain_scalar" not in policy.loaded():
        return np.stack([np.bincount(rows, column, n_rows) for column in gamma.T], axis=1)
    from msgpass.kernels.table_chain_scalar import count_rows

    counts = np.zeros((n_rows, gamma.shape[1]))
    count_rows(rows, gamma, counts)
    return counts


def forward_scale(problem: ChainProblem) -> np.ndarray:
    """log Z of every sequence, (N,), by the forward half of :func:`expected_counts`; −inf when impossible."""
    dtype = problem.evidence.dtype
    tables = _prepare(problem)
    offsets, rows = tables[4], tables[3]
    index = _NO_ROWS if rows is None else rows
    if _vectorised(tables):
        from msgpass.kernels import table_chain_large

        mantissa, exponent, failed = table_chain_large.forward_scale(
            tables[0], tables[1][0], tables[2], index, offsets, LOST[dtype]
        )
    elif not policy.prefer_kernel(int(offsets[-1]), len(problem.init)):
        return expected_counts(problem, want_gamma=False).log_scale
    else:
        from msgpass.kernels import runtime, table_chain_scalar

        n_sequences = len(offsets) - 1
        mantissa, exponent = np.zeros(n_sequences), np.zeros(n_sequences, np.int64)
        failed = np.zeros(n_sequences, np.bool_)
        kernel = table_chain_scalar.scaled_forward
        with runtime.compiling("the forward chain sweep", kernel):
            kernel(*tables[:3], index, offsets, LOST[dtype], mantissa, exponent, failed)
    log_scale = _log_scale(mantissa, exponent, failed)
    if failed.any():
        chosen = np.flatnonzero(failed)
        log_scale[chosen] = counts_in_log_space(problem._replace(rows=rows, offsets=offsets), chosen)[0]
    return log_scale.astype(dtype, copy=False)


def log_messages(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray | None,
    offsets: np.ndarray,
    maximise: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Unnormalised log messages of every sequence.

    Parameters
    ----------
    log_init, log_transition, log_evidence, rows, offsets
        As :class:`ChainProblem`, in logarithms and unscaled; −inf is a hard zero.
    maximise : bool
        Maximise over paths (Viterbi's messages) instead of summing over them.

    Returns
    -------
    alpha : ndarray, shape (T, K)
        Log potential of everything up to and including t.
    beta : ndarray, shape (T, K)
        Log potential of everything after t: ``logsumexp(alpha[t] + beta[t])`` is log Z at every t.
    """
    dtype = log_evidence.dtype
    tables = _prepare(ChainProblem(log_init, log_transition, log_evidence, rows, offsets))
    alpha, beta = _log_messages(*tables, maximise)
    return alpha.astype(dtype, copy=False), beta.astype(dtype, copy=False)


def best_path(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray | None,
    offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Best score of every sequence, (N,), and the best path, (T,) of int64 (Viterbi 1967).

    Ties go to the lowest state, from the last time step backwards. A score of −inf says that no path is
    possible.
    """
    dtype = log_evidence.dtype
    tables = _prepare(ChainProblem(log_init, log_transition, log_evidence, rows, offsets))
    log_init, log_transition, log_evidence, rows, offsets = tables
    if _vectorised(tables):
        from msgpass.kernels import table_chain_large

        index = _NO_ROWS if rows is None else rows
        scores, path = table_chain_large.best_path(log_init, log_transition[0], log_evidence, index, offsets)
        return scores.astype(dtype, copy=False), path
    scores, path = np.empty(len(offsets) - 1), np.empty(offsets[-1], np.int64)
    alpha, _ = _log_messages(*tables, True, backward=False)
    if alpha.size * alpha.shape[1] < LARGE:
        for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
            own = table_list(log_transition, stop - start, start - n)
            scores[n], path[start:stop] = reference.trace_back(alpha[start:stop], own)
    else:
        from msgpass.kernels.table_chain_log import trace_back

        trace_back(alpha, log_transition, offsets, scores, path)
    return scores.astype(dtype, copy=False), path
