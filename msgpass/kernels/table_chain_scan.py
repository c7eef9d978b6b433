"""Inference over chains of discrete tables by an associative scan: what :mod:`~msgpass.kernels.table_chain`
answers, within rounding.

Small work goes to the tree of batched products in NumPy
(:mod:`~msgpass.kernels.table_chain_scan_reference`), larger work to compiled blocks. Chains that share one
transition have block scans of their own among the vectorised families, which do not forget: segments reduced
to matrices eight at a time (up to eight states) and both ends at once. Counts and log messages are swept
in scaled linear space; a sequence whose scale vanishes, or whose messages hold entries too small to scale, is
swept again in log space.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from msgpass.kernels import chain_reference as reference
from msgpass.kernels import table_chain as sequential
from msgpass.kernels import table_chain_scan_reference as tree
from msgpass.kernels.table_chain_difficult import counts_in_log_space, log_tables, subset, table_list
from msgpass.kernels.table_chain_difficult import log_messages as log_sweeps
from msgpass.kernels.table_chain_exponentiate import scaled_exponentials, scaled_whole
from msgpass.kernels.table_chain_scan_blocks import count_of
from msgpass.kernels.table_chain_types import LOST, ChainCounts, ChainProblem, Visits

__all__ = ["best_path", "expected_counts", "forward_scale", "log_messages"]

SMALL = 20_000
"""Entries T·K³ up to which the tree runs: three milliseconds of NumPy."""
FEW = 64
"""Sequences above which the tree, which takes one after another, is not used."""
SMALLEST = 1e-280
"""Entries of a scaled message below this may have lost digits to underflow."""

forward_scale = sequential.forward_scale


def _small(offsets: np.ndarray, n_states: int) -> bool:
    return int(offsets[-1]) * n_states**3 <= SMALL and len(offsets) <= FEW


def _blocks(n_states: int) -> int:
    from msgpass.kernels.runtime import processors

    return count_of(n_states, processors())


def _index(rows: np.ndarray | None) -> np.ndarray:
    return np.empty(0, np.int64) if rows is None else rows


def expected_counts(problem: ChainProblem, want_gamma: bool = True) -> ChainCounts:
    """As :func:`msgpass.kernels.table_chain.expected_counts`."""
    tables = sequential._prepare(problem)
    init, transition, evidence, rows, offsets = tables
    lost = LOST[problem.evidence.dtype]
    if _small(offsets, len(init)):
        found = _tree_counts(problem, tables)
    elif len(transition) == 1:
        return sequential.expected_counts(problem, want_gamma, exact=True)
    else:
        found = _blocked_counts(problem, tables, lost)
    log_scale, gamma, xi, impossible = found
    counts = None if rows is None else sequential._count_rows(rows, gamma, len(evidence))
    visits = Visits(counts, gamma[offsets[:-1]].sum(axis=0))
    return sequential._counts(problem, log_scale, gamma if want_gamma else None, xi, visits, impossible)


def _tree_counts(problem: ChainProblem, tables: tuple) -> tuple:
    init, transition, _, rows, offsets = tables
    # Logarithms carry their maxima: log Z is that of the linear tables once these are taken out.
    log_init, log_transition, log_evidence = log_tables(problem)
    log_evidence = log_evidence - _finite_max(log_evidence)
    gamma, xi = np.zeros((int(offsets[-1]), len(init))), np.zeros(transition.shape)
    log_scale, impossible = np.full(len(offsets) - 1, -np.inf), []
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        local = log_evidence[start:stop] if rows is None else log_evidence[rows[start:stop]]
        own = table_list(log_transition, stop - start, start - n)
        alpha, beta = tree.log_sweep(log_init, own, local)
        dead = np.isneginf(alpha).all(axis=1)
        if dead.any():
            impossible.append((n, int(np.argmax(dead))))
            continue
        log_scale[n], gamma[start:stop], pairs = reference.log_counts(alpha, beta, own, local)
        if len(transition) == 1:
            xi[0] += pairs.sum(axis=0)
        else:
            xi[start - n : stop - n - 1] = pairs
    return log_scale, gamma, xi, impossible


def _finite_max(values: np.ndarray) -> np.ndarray:
    peak = values.max(axis=1, keepdims=True)
    return np.where(np.isfinite(peak), peak, 0.0)


def _blocked_counts(problem: ChainProblem, tables: tuple, lost: float, blocks: int | None = None) -> tuple:
    from msgpass.kernels.table_chain_scan_scaled import ScaledScan

    rows, offsets = tables[3:]
    count = blocks or _blocks(len(tables[0]))
    scan = ScaledScan(*tables[:3], _index(rows), offsets, _possible(problem), lost, count)
    mantissa, exponent = scan.scale
    gamma, xi = scan.counts()
    failed, impossible = scan.failed, []
    log_scale = sequential._log_scale(mantissa, exponent, failed)
    if failed.any():
        chosen = np.flatnonzero(failed)
        problem = problem._replace(rows=rows, offsets=offsets)
        log_scale[chosen], steps, own, pairs, pairwise, impossible = counts_in_log_space(problem, chosen)
        gamma[steps], xi[pairs] = own, pairwise
    return log_scale, gamma, xi, impossible


def _possible(problem: ChainProblem) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    def masks() -> tuple[np.ndarray, np.ndarray]:
        _, transition, evidence = log_tables(problem)
        return transition > -np.inf, evidence > -np.inf

    return masks


def log_messages(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray | None,
    offsets: np.ndarray,
    maximise: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`msgpass.kernels.table_chain.log_messages`."""
    dtype = log_evidence.dtype
    tables = sequential._prepare(ChainProblem(log_init, log_transition, log_evidence, rows, offsets))
    if _small(tables[4], len(log_init)):
        alpha, beta = _tree_messages(tables, maximise)
    elif maximise:
        from msgpass.kernels.table_chain_scan_best import BestScan

        scan = BestScan(*tables[:3], _index(tables[3]), tables[4], _blocks(len(log_init)))
        alpha, beta = scan.messages()
    else:
        alpha, beta = _blocked_messages(tables)
    return alpha.astype(dtype, copy=False), beta.astype(dtype, copy=False)


def _tree_messages(tables: tuple, maximise: bool) -> tuple[np.ndarray, np.ndarray]:
    log_init, log_transition, log_evidence, rows, offsets = tables
    alpha, beta = np.empty((2, int(offsets[-1]), len(log_init)))
    reduce = reference.maximum if maximise else reference.log_sum_exp
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        local = log_evidence[start:stop] if rows is None else log_evidence[rows[start:stop]]
        own = table_list(log_transition, stop - start, start - n)
        alpha[start:stop], beta[start:stop] = tree.log_sweep(log_init, own, local, reduce)
    return alpha, beta


def _blocked_messages(tables: tuple, blocks: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Scaled messages and then their logarithms, T·K of them instead of 2 T·K and as many exponentials."""
    from msgpass.kernels.table_chain_scan_scaled import ScaledScan

    log_init, log_transition, log_evidence, rows, offsets = tables
    if not all(np.isfinite(x).all() for x in tables[:3]):
        # Hard zeros make exact zeros of messages, which cannot be told from entries lost to underflow.
        return log_sweeps(*tables, False)
    init, init_top = scaled_whole(log_init)
    transition, trans_tops = scaled_whole(log_transition)
    evidence, tops = scaled_exponentials(log_evidence)
    lost, count = LOST[np.dtype(np.float64)], blocks or _blocks(len(init))

    def possible() -> tuple[np.ndarray, np.ndarray]:
        return log_transition > -np.inf, log_evidence > -np.inf

    scan = ScaledScan(init, transition, evidence, _index(rows), offsets, possible, lost, count)
    ahead, behind = _taken_out(init_top, trans_tops, tops if rows is None else tops[rows], offsets)
    alpha, beta, bad = scan.alpha, scan.beta, scan.failed
    for tiny in scan.logarithms(ahead, behind, SMALLEST):
        bad[np.searchsorted(offsets, tiny, side="right") - 1] = True
    if bad.any():
        problem = ChainProblem(*tables)
        steps, pairs, own = subset(problem, np.flatnonzero(bad))
        table = log_transition if len(log_transition) == 1 else log_transition[pairs]
        local = log_evidence[steps if rows is None else rows[steps]]
        alpha[steps], beta[steps] = log_sweeps(log_init, table, local, None, own, False)
    return alpha, beta


def _taken_out(init_top, trans_tops, tops, offsets) -> tuple[np.ndarray, np.ndarray]:
    """What scaling the tables has taken out of each row's α and β, (T,) each."""
    lengths = np.diff(offsets)
    each = np.array(tops, np.float64)
    inside = np.ones(len(each), bool)
    inside[offsets[:-1]] = False
    each[inside] += trans_tops
    each[offsets[:-1]] += init_top
    total = np.cumsum(each)
    before = np.repeat(total[offsets[:-1]] - each[offsets[:-1]], lengths)
    return total - before, np.repeat(total[offsets[1:] - 1], lengths) - total


def best_path(
    log_init: np.ndarray,
    log_transition: np.ndarray,
    log_evidence: np.ndarray,
    rows: np.ndarray | None,
    offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`msgpass.kernels.table_chain.best_path`; where several paths are best, it may be another."""
    here = log_init, log_transition, log_evidence, rows, offsets
    tables = sequential._prepare(ChainProblem(*here))
    log_init, log_transition, local, rows, offsets = tables
    if _small(offsets, len(log_init)):
        alpha, _ = _tree_messages(tables, True)
        scores, path = np.empty(len(offsets) - 1), np.empty(int(offsets[-1]), np.int64)
        for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
            own = table_list(log_transition, stop - start, start - n)
            scores[n], path[start:stop] = reference.trace_back(alpha[start:stop], own)
    elif len(log_transition) == 1:
        return sequential.best_path(*here)
    else:
        from msgpass.kernels.table_chain_scan_best import BestScan

        tables = log_init, log_transition, local, _index(rows), offsets
        scores, path = BestScan(*tables, _blocks(len(log_init))).path()
    return scores.astype(log_evidence.dtype, copy=False), path
