"""Whole paths of a chain with a sparse transition, as :mod:`~msgpass.kernels.chain_paths` has them for full
tables: draws, the best k, and their entropy, from forward messages.
"""

import itertools

import numpy as np

from msgpass.kernels.chain_paths import pick, rank
from msgpass.kernels.sparse_chain_reference import gathered, reduced
from msgpass.kernels.sparse_chain_types import SparseProblem


def draw_paths(logs: SparseProblem, log_alpha: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    """Independent draws of the path of every sequence given all evidence, (n, T); ``uniforms`` has that
    shape.
    """
    p, paths = logs.pattern, np.empty(uniforms.shape, np.int64)
    for n, (start, stop) in enumerate(itertools.pairwise(logs.offsets)):
        ahead = np.broadcast_to(log_alpha[stop - 1], (len(uniforms), p.n_states))
        paths[:, stop - 1] = pick(ahead, uniforms[:, stop - 1])
        for t in range(stop - 2, start - 1, -1):
            table = logs.table(t - n)
            # One look at the entries into a state serves all draws that are in it.
            for state in np.unique(paths[:, t + 1]):
                entries = slice(p.into[state], p.into[state + 1])
                sources = p.source[entries]
                weights = log_alpha[t][sources] + table[p.by_target[entries]]
                mine = np.flatnonzero(paths[:, t + 1] == state)
                drawn = pick(np.broadcast_to(weights, (len(mine), len(sources))), uniforms[mine, t])
                paths[mine, t] = sources[drawn]
    return paths


def ranked_paths(logs: SparseProblem, log_alpha: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k best paths of every sequence from max-product messages: scores (N, k) and paths (k, T), −∞ and −1
    where there are fewer.
    """
    p, offsets = logs.pattern, logs.offsets
    scores = np.full((len(offsets) - 1, k), -np.inf)
    paths = np.full((k, int(offsets[-1])), -1, np.int64)
    for n, (a, b) in enumerate(itertools.pairwise(offsets)):

        def onto(steps: np.ndarray, states: np.ndarray, first: int = int(a) - n) -> np.ndarray:
            full = np.full((len(steps), p.n_states), -np.inf)
            for row, (t, state) in enumerate(zip(steps, states, strict=True)):
                here = slice(p.into[state], p.into[state + 1])
                full[row, p.source[here]] = logs.table(first + t)[p.by_target[here]]
            return full

        before = np.zeros((b - a - 1, p.n_states), np.int32)
        for t in range(b - a - 1):
            before[t] = _best_source(logs, log_alpha[a + t], logs.table(a - n + t))
        found, states = rank(log_alpha[a:b], before, onto, k)
        scores[n, : len(found)] = found
        paths[: len(found), a:b] = states
    return scores, paths


def _best_source(logs: SparseProblem, delta: np.ndarray, table: np.ndarray) -> np.ndarray:
    """argmax over the entries into each state, (S,); ties go to the lowest source."""
    p = logs.pattern
    values = delta[p.source] + table[p.by_target]
    top = gathered(np.maximum, values, p.into, p.targets, -np.inf)
    ties = np.where(values == np.repeat(top, np.diff(p.into)), p.source, p.n_states)
    return gathered(np.minimum, ties, p.into, p.targets, 0)


def path_entropies(logs: SparseProblem, log_alpha: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Entropy in nats of the path of every sequence given its evidence, (N,)."""
    p, found = logs.pattern, np.zeros(len(logs.offsets) - 1)
    for n, (start, stop) in enumerate(itertools.pairwise(logs.offsets)):
        last = gamma[stop - 1]
        found[n] = -np.sum(last * np.log(np.where(last > 0, last, 1.0)))
        for t in range(start, stop - 1):
            values = log_alpha[t][p.source] + logs.table(t - n)[p.by_target]
            total = reduced(values, p.into, p.targets, False)
            values = values - np.repeat(np.where(total > -np.inf, total, 0.0), np.diff(p.into))
            terms = np.exp(values) * np.where(values > -np.inf, values, 0.0)
            found[n] -= np.sum(gathered(np.add, terms, p.into, p.targets, 0.0) * gamma[t + 1])
    return found
