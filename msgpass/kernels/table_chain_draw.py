"""Drawing paths of a chain from its forward messages, compiled: see
:func:`~msgpass.kernels.chain_paths.draw_paths_reference`.

Weights are products of exponentials, taken from logarithms again where all of them underflow.
"""

import math

import numpy as np

from msgpass.kernels.runtime import jit

_SAFE = 1e-280  # a sum of products above this has lost nothing that matters to underflow


@jit(_nrt=False)
def _exponentiate(logs, out):
    """exp(logs − max), zeros where all is −∞."""
    peak = logs[0]
    for i in range(1, logs.size):
        peak = max(peak, logs[i])
    for i in range(logs.size):
        out[i] = math.exp(logs[i] - peak) if peak > -np.inf else 0.0


@jit
def draw(log_alpha, log_transposed, offsets, uniforms, paths):
    """``paths[d, t]`` from ``uniforms[d, t]``; ``log_transposed[p, j, i]`` is log A(i, j) of pair p."""
    n_states = log_alpha.shape[1]
    shared = log_transposed.shape[0] == 1
    weights, alpha, row = np.empty(n_states), np.empty(n_states), np.empty(n_states)
    transposed = np.empty((n_states, n_states))
    if shared:
        for j in range(n_states):
            _exponentiate(log_transposed[0, j], transposed[j])
    for n in range(offsets.size - 1):
        for t in range(offsets[n + 1] - 1, offsets[n] - 1, -1):
            last = t == offsets[n + 1] - 1
            peak = log_alpha[t].max()
            for i in range(n_states):
                alpha[i] = math.exp(log_alpha[t, i] - peak)
            for d in range(uniforms.shape[0]):
                total = 0.0
                after = 0 if last else paths[d, t + 1]
                if not last and not shared:
                    _exponentiate(log_transposed[t - n, after], row)
                for i in range(n_states):
                    weight = alpha[i]
                    if not last:
                        weight *= transposed[after, i] if shared else row[i]
                    weights[i] = weight
                    total += weight
                if not total >= _SAFE:
                    logs = log_transposed[0 if shared else t - n, after]
                    best = -np.inf
                    for i in range(n_states):
                        best = max(best, log_alpha[t, i] + logs[i])
                    total = 0.0
                    for i in range(n_states):
                        weights[i] = math.exp(log_alpha[t, i] + logs[i] - best)
                        total += weights[i]
                left, state = uniforms[d, t] * total, -1
                for i in range(n_states):
                    if weights[i] > 0.0:
                        state = i
                        left -= weights[i]
                        if left < 0.0:
                            break
                paths[d, t] = state
