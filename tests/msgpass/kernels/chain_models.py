"""Random chains of discrete tables for the tests of this folder, and their enumeration over all paths."""

import itertools

import numpy as np
from hypothesis import strategies as st

from msgpass.kernels.table_chain_types import ChainProblem


def unit_max(values: np.ndarray, axis: int | tuple[int, ...] | None = None) -> np.ndarray:
    """Scaled to a maximum of 1 along ``axis``; all zeros stay zeros."""
    peak = values.max(axis=axis, keepdims=axis is not None)
    return values / np.where(peak > 0, peak, 1.0)


def random_problem(
    seed: int,
    n_states: int,
    lengths: list[int],
    *,
    categories: int | None = None,
    paired: bool = False,
    sparsity: float = 0.0,
    dtype: type = np.float64,
) -> ChainProblem:
    """A chain problem with ``sparsity`` of its transitions and evidence at zero."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    n_pairs, steps = int(offsets[-1]) - len(lengths), int(offsets[-1])

    def table(*shape: int) -> np.ndarray:
        values = rng.random(shape) ** 3 + 1e-6
        values[rng.random(shape) < sparsity] = 0.0
        return values

    transition = table(n_pairs, n_states, n_states) if paired else table(n_states, n_states)
    rows = None if categories is None else rng.integers(0, categories, steps)
    evidence = table(steps if categories is None else categories, n_states)
    return ChainProblem(
        unit_max(table(n_states)).astype(dtype),
        (
            unit_max(transition, (1, 2))
            if paired and n_pairs
            else unit_max(transition)
            if not paired
            else transition
        ).astype(dtype),
        unit_max(evidence, 1).astype(dtype),
        rows,
        offsets,
    )


def with_logs(
    init: np.ndarray, transition: np.ndarray, evidence: np.ndarray, offsets: list[int]
) -> ChainProblem:
    """A problem from log tables that carries them along, as the engine does."""
    logs = tuple(np.asarray(x, np.float64) for x in (init, transition, evidence))
    init, transition, evidence = logs
    peak = evidence.max(axis=1, keepdims=True)
    return ChainProblem(
        np.exp(init - init.max()),
        np.exp(transition - transition.max()),
        np.exp(evidence - np.where(np.isfinite(peak), peak, 0.0)),
        None,
        np.asarray(offsets, np.int64),
        logs,
    )


def enumerated(problem: ChainProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(log Z, γ, Σ ξ, best path) by summing over all K^L paths of every sequence."""
    init, transition, evidence, rows, offsets, _ = problem
    n_states = len(init)
    local = evidence if rows is None else evidence[rows]
    gamma, xi = np.zeros(local.shape), np.zeros(transition.shape)
    log_z, best = np.full(len(offsets) - 1, -np.inf), np.zeros(offsets[-1], np.int64)
    for n, (start, stop) in enumerate(itertools.pairwise(offsets)):
        paths, weights = list(itertools.product(range(n_states), repeat=stop - start)), []
        for path in paths:
            weight = init[path[0]] * local[start, path[0]]
            for t in range(1, stop - start):
                table = transition if transition.ndim == 2 else transition[start - n + t - 1]
                weight = weight * table[path[t - 1], path[t]] * local[start + t, path[t]]
            weights.append(float(weight))
        total = sum(weights)
        if total == 0:
            continue
        log_z[n] = np.log(total)
        best[start:stop] = paths[int(np.argmax(weights))]
        for path, weight in zip(paths, weights, strict=True):
            for t, state in enumerate(path):
                gamma[start + t, state] += weight / total
                if t > 0:
                    pair = (path[t - 1], state)
                    xi[pair if transition.ndim == 2 else (start - n + t - 1, *pair)] += weight / total
    return log_z, gamma, xi, best


ragged = st.lists(st.integers(1, 12), min_size=1, max_size=12)
"""Lengths of a few ragged sequences, length 1 among them."""
