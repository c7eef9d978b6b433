"""Whole paths of a chain, from its forward messages: draws, the best k, and their entropy.

Given everything, the states of a chain form a Markov chain that runs against time,

    p(z_t = i | z_{t+1} = j, x) ∝ α_t(i) A(i, j),

so that a path is drawn state by state from the end (Chib 1996), the entropy of the path is the sum of the
entropies of these steps (Hernando, Crespi & Cybenko 2005), and with max for the sum what a step loses
against the best one is what a path gives away there.
"""

import heapq
import itertools
from collections.abc import Callable

import numpy as np

from msgpass.kernels import policy
from msgpass.kernels.chain_reference import log_sum_exp

STRETCH = 1 << 20
"""Entries of temporaries with K² a step."""


def draw_paths(
    log_alpha: np.ndarray, log_transition: np.ndarray, offsets: np.ndarray, uniforms: np.ndarray
) -> np.ndarray:
    """Independent draws of the path of every sequence given all evidence.

    Parameters
    ----------
    log_alpha : ndarray, shape (T, K)
        Sum-product forward messages, up to a constant a step.
    log_transition : ndarray, shape (K, K) or (P, K, K)
    offsets : ndarray of int, shape (N + 1,)
    uniforms : ndarray, shape (n, T)
        One number in [0, 1) a draw and step.

    Returns
    -------
    ndarray of int64, shape (n, T)
    """
    if not policy.prefer_kernel(len(log_alpha), log_alpha.shape[1], "table_chain_draw"):
        return draw_paths_reference(log_alpha, log_transition, offsets, uniforms)
    from msgpass.kernels import runtime, table_chain_draw

    tables = np.ascontiguousarray(log_transition, np.float64).reshape(-1, *log_transition.shape[-2:])
    paths = np.empty(uniforms.shape, np.int64)
    with runtime.compiling("the drawing of paths", table_chain_draw.draw):
        table_chain_draw.draw(
            np.ascontiguousarray(log_alpha, np.float64),
            np.ascontiguousarray(np.swapaxes(tables, 1, 2)),
            np.ascontiguousarray(offsets, np.int64),
            np.ascontiguousarray(uniforms, np.float64),
            paths,
        )
    return paths


def draw_paths_reference(log_alpha, log_transition, offsets, uniforms) -> np.ndarray:
    """:func:`draw_paths` in NumPy."""
    paths = np.empty(uniforms.shape, np.int64)
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        ahead = np.broadcast_to(log_alpha[stop - 1], (len(uniforms), log_alpha.shape[1]))
        paths[:, stop - 1] = pick(ahead, uniforms[:, stop - 1])
        for t in range(stop - 2, start - 1, -1):
            table = table_after(log_transition, t, n)
            paths[:, t] = pick(log_alpha[t] + table.T[paths[:, t + 1]], uniforms[:, t])
    return paths


def pick(logs: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """The state at which the distribution function of each row of (n, K) log weights passes a number in
    [0, 1)."""
    cdf = np.cumsum(np.exp(logs - logs.max(axis=1, keepdims=True)), axis=1)
    return (uniforms[:, None] * cdf[:, -1:] >= cdf).sum(axis=1)


def table_after(log_transition: np.ndarray, t: int, sequence: int) -> np.ndarray:
    """Log transition from row t to the next."""
    return log_transition if log_transition.ndim == 2 else log_transition[t - sequence]


def ranked_paths(log_alpha: np.ndarray, log_transition: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best paths of one sequence, best first (list Viterbi; Seshadri & Sundberg 1994).

    The best path that leaves a known one at step t, to state i, loses max_i' − value there and is the best
    from i on, so every path gives all its neighbours from the forward messages at hand (Soong & Huang 1991).

    Parameters
    ----------
    log_alpha : ndarray, shape (L, K)
        Max-product forward messages.
    log_transition : ndarray, shape (K, K) or (L − 1, K, K)
    k : int

    Returns
    -------
    scores : ndarray, shape (k',)
        Fewer than k where fewer paths are possible.
    paths : ndarray of int64, shape (k', L)
    """

    def onto(steps: np.ndarray, states: np.ndarray) -> np.ndarray:
        return log_transition.T[states] if log_transition.ndim == 2 else log_transition[steps, :, states]

    return rank(log_alpha, _best_before(log_alpha, log_transition), onto, k)


def rank(log_alpha: np.ndarray, before: np.ndarray, onto: Callable, k: int) -> tuple[np.ndarray, np.ndarray]:
    """:func:`ranked_paths` of any transition: the best state before each, (L − 1, K), and ``onto(steps,
    states)``, the log transitions from all states at some steps to a state after each, (n, K)."""
    length = len(log_alpha)
    path = np.empty(length, np.int64)
    path[-1] = log_alpha[-1].argmax()
    _follow(path, length - 1, before, None)
    scores, paths = [float(log_alpha[-1].max())], [path]
    if scores[0] == -np.inf:
        return np.empty(0), np.empty((0, length), np.int64)
    heap: list[tuple[float, int, int, int, int]] = []  # (−score, serial, parent, step, state there)
    serial, upto = 0, length  # what may still differ: rows before ``upto``
    while len(scores) < k:
        losses = _losses(log_alpha[:upto], onto, paths[-1])
        for place in _smallest(losses.ravel(), k - len(scores)):
            t, state = divmod(int(place), losses.shape[1])
            heapq.heappush(heap, (losses[t, state] - scores[-1], serial, len(paths) - 1, t, state))
            serial += 1
        if not heap:
            break
        negative, _, parent, upto, state = heapq.heappop(heap)
        path = paths[parent].copy()
        path[upto] = state
        _follow(path, upto, before, paths[parent])
        scores.append(-float(negative))
        paths.append(path)
    return np.array(scores), np.array(paths)


def _best_before(log_alpha: np.ndarray, log_transition: np.ndarray) -> np.ndarray:
    """argmax_i α_t(i) + A(i, j), (L − 1, K); ties go to the lowest state."""
    length, K = log_alpha.shape
    before = np.empty((length - 1, K), np.int32)
    for a, b in stretches(length - 1, K):
        tables = log_transition if log_transition.ndim == 2 else log_transition[a:b]
        before[a:b] = (log_alpha[a:b, :, None] + tables).argmax(axis=1)
    return before


def _follow(path: np.ndarray, t: int, before: np.ndarray, parent: np.ndarray | None) -> None:
    """Complete a path from step t to the start; where it meets its parent it stays with it."""
    state = int(path[t])
    for s in range(t - 1, -1, -1):
        state = int(before[s, state])
        if parent is not None and parent[s] == state:
            return
        path[s] = state


def _losses(log_alpha: np.ndarray, onto: Callable, path: np.ndarray) -> np.ndarray:
    """What leaving the path at each of the first steps to each state gives away; ∞ where that is no
    change."""
    values = log_alpha.copy()
    own = np.arange(min(len(values), len(path) - 1))
    after = path[1 : len(own) + 1]
    values[: len(own)] += onto(own, after)
    losses = values.max(axis=1, keepdims=True) - values
    losses[np.arange(len(values)), path[: len(values)]] = np.inf
    return losses


def _smallest(losses: np.ndarray, n: int) -> np.ndarray:
    """Places of the n smallest finite losses, in their order."""
    everything = np.arange(len(losses))
    chosen = everything if n >= len(losses) else np.sort(np.argpartition(losses, n - 1)[:n])
    return chosen[losses[chosen] < np.inf]


def path_entropies(
    log_alpha: np.ndarray, gamma: np.ndarray, log_transition: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Entropy in nats of the path of every sequence given its evidence, (N,).

    H(z | x) = H(z_{L−1} | x) + Σ_t Σ_j γ_{t+1}(j) H(z_t | z_{t+1} = j, x). Every term is non-negative, so
    nothing cancels, however long the sequence.
    """
    K = log_alpha.shape[1]
    inside = np.ones(len(log_alpha), bool)
    inside[offsets[1:] - 1] = False
    own = np.zeros(len(log_alpha))
    last = gamma[offsets[1:] - 1]
    own[~inside] = -np.sum(last * np.log(np.where(last > 0, last, 1.0)), axis=1)
    rows = np.flatnonzero(inside)
    for a, b in stretches(len(rows), K):
        tables = log_transition if log_transition.ndim == 2 else log_transition[a:b]
        logs = log_alpha[rows[a:b], :, None] + tables
        logs = logs - _finite(log_sum_exp(logs, 1))[:, None, :]
        step = -np.sum(np.exp(logs) * np.where(logs > -np.inf, logs, 0.0), axis=1)
        own[rows[a:b]] = np.sum(gamma[rows[a:b] + 1] * step, axis=1)
    return np.add.reduceat(own, offsets[:-1])


def _finite(logs: np.ndarray) -> np.ndarray:
    return np.where(logs > -np.inf, logs, 0.0)


def stretches(rows: int, K: int):
    """(start, stop) of blocks of rows whose K × K temporaries stay small."""
    size = max(1, STRETCH // (K * K))
    return ((a, min(a + size, rows)) for a in range(0, rows, size))
