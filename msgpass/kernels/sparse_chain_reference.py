"""The sweeps over a chain with a sparse transition in plain NumPy: the text to read, and the oracle of the
compiled kernels.

    α_t(j) = e_t(j) Σ_{i → j} α_{t−1}(i) A(i, j),       β_{t−1}(i) = Σ_{i → j} A(i, j) e_t(j) β_t(j)
    γ_t = α_t β_t / Z,                                  ξ_t(i → j) = α_{t−1}(i) A(i, j) e_t(j) β_t(j) / Z

Sums run over entries: incoming ones sorted by target, outgoing ones by source. α is kept as a_t = α_t divided
by Π_{u<t} s_u with s_t = Σ a_t, so that Z = Π_t s_t, and β so that Σ a_t b_t = 1 at every step.
"""

import itertools

import numpy as np

from msgpass.kernels.chain_reference import log_sum_exp
from msgpass.kernels.sparse_chain_types import SparseProblem


def gathered(reduce: np.ufunc, values: np.ndarray, bounds: np.ndarray, present: np.ndarray, empty: float):
    """Reduce the sorted entries of each state; ``empty`` where a state has none."""
    out = np.full(len(bounds) - 1, empty)
    out[present] = reduce.reduceat(values, bounds[present])
    return out


def scaled_sweep(
    problem: SparseProblem, lost: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Forward-backward over every sequence with linear tables.

    Returns
    -------
    log_scale : ndarray, shape (N,)
    gamma : ndarray, shape (T, S)
    xi : ndarray, shape of ``values``
    failed : ndarray of bool, shape (N,)
        Sequences whose scale fell below ``lost``, to be redone in log space; they add nothing.
    """
    offsets = problem.offsets
    gamma = np.zeros((offsets[-1], problem.pattern.n_states))
    xi, log_scale = np.zeros(problem.values.shape), np.zeros(len(offsets) - 1)
    failed = np.zeros(len(offsets) - 1, bool)
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        made = _scaled_sequence(problem, n, start, stop, lost)
        if made is None:
            failed[n] = True
            continue
        log_scale[n], gamma[start:stop], pairs = made
        if xi.ndim == 1:
            xi += np.sum(pairs, axis=0)
        else:
            xi[start - n : stop - n - 1] = pairs
    return log_scale, gamma, xi, failed


def _scaled_sequence(problem: SparseProblem, n: int, start: int, stop: int, lost: float):
    """log Z, γ and ξ by pair of one sequence; ``None`` when its scale is lost."""
    p, length = problem.pattern, stop - start
    alpha, scale = np.empty((length, p.n_states)), np.empty(length)
    for t in range(length):
        if t == 0:
            alpha[t] = problem.init
        else:
            entries = (alpha[t - 1] / scale[t - 1])[p.source] * problem.table(start - n + t - 1)[p.by_target]
            alpha[t] = gathered(np.add, entries, p.into, p.targets, 0.0)
        alpha[t] *= problem.local(start + t)
        if t == length - 1:
            alpha[t] *= problem.final
        scale[t] = alpha[t].sum()
        if not scale[t] >= lost:
            return None
    gamma, pairs = np.empty(alpha.shape), np.zeros((length - 1, p.nnz))
    beta = np.full(p.n_states, 1.0 / scale[-1])
    for t in range(length - 1, -1, -1):
        gamma[t] = alpha[t] * beta
        total = gamma[t].sum()
        if not (beta.max() * lost <= 1 and 0.5 < total < 2):
            return None
        gamma[t] /= total
        if t == 0:
            break
        outgoing = problem.local(start + t) * beta
        if t == length - 1:
            outgoing *= problem.final
        outgoing /= scale[t - 1] * total
        table = problem.table(start - n + t - 1)
        beta = gathered(np.add, table[p.by_source] * outgoing[p.target], p.out_of, p.sources, 0.0)
        pairs[t - 1] = alpha[t - 1][p.rows] * table * outgoing[p.cols]
    return np.log(scale).sum(), gamma, pairs


def reduced(values: np.ndarray, bounds: np.ndarray, present: np.ndarray, maximise: bool) -> np.ndarray:
    """Log-sum-exp or max of the sorted entries of each state, −inf where there is none."""
    top = gathered(np.maximum, values, bounds, present, -np.inf)
    if maximise:
        return top
    safe = np.where(np.isfinite(top), top, 0.0)
    sums = gathered(np.add, np.exp(values - np.repeat(safe, np.diff(bounds))), bounds, present, 0.0)
    with np.errstate(divide="ignore"):
        return np.log(sums) + safe


def log_forward(problem: SparseProblem, maximise: bool) -> np.ndarray:
    """Unnormalised log α of every sequence from log tables, (T, S)."""
    p, offsets = problem.pattern, problem.offsets
    alpha = np.empty((offsets[-1], p.n_states))
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        alpha[start] = problem.init + problem.local(start)
        for t in range(start + 1, stop):
            entries = alpha[t - 1][p.source] + problem.table(t - 1 - n)[p.by_target]
            alpha[t] = reduced(entries, p.into, p.targets, maximise) + problem.local(t)
        alpha[stop - 1] += problem.final
    return alpha


def log_backward(problem: SparseProblem, maximise: bool) -> np.ndarray:
    """Log β of every sequence from log tables, (T, S)."""
    p, offsets = problem.pattern, problem.offsets
    beta = np.zeros((offsets[-1], p.n_states))
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        for t in range(stop - 1, start, -1):
            ahead = problem.local(t) + beta[t]
            if t == stop - 1:
                ahead = ahead + problem.final
            entries = ahead[p.target] + problem.table(t - 1 - n)[p.by_source]
            beta[t - 1] = reduced(entries, p.out_of, p.sources, maximise)
    return beta


def log_pairs(
    problem: SparseProblem, alpha: np.ndarray, beta: np.ndarray, later: int, pair: int
) -> np.ndarray:
    """log α_{t−1} A e_t β_t of every entry at the pair that ends at row ``later``, (nnz,)."""
    p = problem.pattern
    ahead = problem.local(later) + beta[later]
    if (problem.offsets[1:] == later + 1).any():
        ahead = ahead + problem.final
    return alpha[later - 1][p.rows] + problem.table(pair) + ahead[p.cols]


def log_counts(problem: SparseProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[int, int]]]:
    """log Z, γ, ξ and the first impossible steps, as :func:`scaled_sweep`, from log tables."""
    offsets = problem.offsets
    alpha, beta = log_forward(problem, False), log_backward(problem, False)
    log_z = log_sum_exp(alpha[offsets[1:] - 1], 1)
    gamma, xi = np.zeros(alpha.shape), np.zeros(problem.values.shape)
    impossible: list[tuple[int, int]] = []
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        if log_z[n] == -np.inf:
            impossible.append((n, first_dead(alpha[start:stop])))
            continue
        gamma[start:stop] = np.exp(alpha[start:stop] + beta[start:stop] - log_z[n])
        for t in range(start + 1, stop):
            own = np.exp(log_pairs(problem, alpha, beta, t, t - 1 - n) - log_z[n])
            if xi.ndim == 1:
                xi += own
            else:
                xi[t - 1 - n] = own
    return log_z, gamma, xi, impossible


def first_dead(alpha: np.ndarray) -> int:
    """First step at which no state is possible."""
    return int(np.flatnonzero((alpha == -np.inf).all(axis=1))[0])


def trace_back(problem: SparseProblem, delta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Best score of every sequence, (N,), and the best path, (T,), from max-product log α; ties go to the
    lowest state.

    No back-pointers: the argmax is recomputed, over the entries into the path only.
    """
    offsets = problem.offsets
    path = np.zeros(offsets[-1], np.int64)
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        path[stop - 1] = delta[stop - 1].argmax()
        for t in range(stop - 1, start, -1):
            path[t - 1] = _before(problem, delta[t - 1], t - 1 - n, path[t])
    return delta[offsets[1:] - 1].max(axis=1), path


def _before(problem: SparseProblem, delta: np.ndarray, pair: int, state: int) -> int:
    p = problem.pattern
    here = slice(p.into[state], p.into[state + 1])
    if here.start == here.stop:
        return 0  # an impossible path, which nobody reads
    sources = p.source[here]
    return int(sources[(delta[sources] + problem.table(pair)[p.by_target[here]]).argmax()])


def subset(problem: SparseProblem, chosen: np.ndarray) -> tuple[SparseProblem, np.ndarray, np.ndarray]:
    """The chosen sequences alone, and the rows and pairs of the whole problem that are theirs."""
    lengths = np.diff(problem.offsets)[chosen]
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    steps = np.arange(offsets[-1]) + np.repeat(problem.offsets[chosen] - offsets[:-1], lengths)
    pairs = np.delete(steps - np.repeat(chosen, lengths), offsets[1:] - 1)
    rows = steps if problem.rows is None else problem.rows[steps]
    values = problem.values if problem.values.ndim == 1 else problem.values[pairs]
    return problem._replace(rows=rows, values=values, offsets=offsets), steps, pairs
