"""Log densities of normal distributions, written once in the order in which the sweep over the chain reads
them.

Arrays are flat: data (D, T), tables by state (K, D) or (K, D, D), densities (T, K); steps first:last are
computed, in ``memory`` of some rows of 64 numbers.
"""

from hmm.kernels.blocks import BLOCK, give_rows, take_columns
from msgpass.kernels.runtime import jit
from msgpass.kernels.simd import fma, load, splat, store


@jit(_nrt=False)
def diagonal(filled, observed, n_steps, constants, means, precisions, first, last, memory, out):
    """``out[t, k] = Σ_d [constants[k, d] − (x_td − means[k, d])² precisions[k, d]]`` over observed cells.

    ``observed`` is empty if nothing is missing; ``memory`` has 2 D + K rows.
    """
    n_features = filled.size // n_steps
    n_states = means.size // n_features
    size = n_features * BLOCK
    x, shown, tile = memory[:size], memory[size : 2 * size], memory[2 * size :]
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        take_columns(filled, n_steps, start, n, x)
        if observed.size:
            take_columns(observed, n_steps, start, n, shown)
        for k in range(n_states):
            own = k * n_features
            constant = 0.0
            for d in range(n_features):
                constant += constants[own + d]
            for j in range(0, n, 8):
                if observed.size:
                    density = splat(0.0)
                    for d in range(n_features):
                        gap = load(x, d * BLOCK + j) - splat(means[own + d])
                        here = fma(gap * gap, splat(-precisions[own + d]), splat(constants[own + d]))
                        density = fma(load(shown, d * BLOCK + j), here, density)
                else:
                    density = splat(constant)
                    for d in range(n_features):
                        gap = load(x, d * BLOCK + j) - splat(means[own + d])
                        density = fma(gap * gap, splat(-precisions[own + d]), density)
                store(tile, k * BLOCK + j, density)
        give_rows(tile, n_states, start, n, out)


@jit(_nrt=False)
def matrices(filled, n_steps, constant, means, whitening, first, last, memory, out):
    """``out[t, k] = constant[k] − ½ |W_k (x_t − μ_k)|²`` with W_k lower triangular.

    ``memory`` has 2 D + K rows.
    """
    n_features = filled.size // n_steps
    n_states = means.size // n_features
    size = n_features * BLOCK
    x, gaps, tile = memory[:size], memory[size : 2 * size], memory[2 * size :]
    for start in range(first, last, BLOCK):
        n = min(BLOCK, last - start)
        take_columns(filled, n_steps, start, n, x)
        for k in range(n_states):
            own = k * n_features
            for d in range(n_features):
                mean = splat(means[own + d])
                for j in range(0, n, 8):
                    store(gaps, d * BLOCK + j, load(x, d * BLOCK + j) - mean)
            for j in range(0, n, 8):
                distance = splat(0.0)
                for i in range(n_features):
                    row = (own + i) * n_features
                    white = splat(0.0)
                    for d in range(i + 1):
                        white = fma(splat(whitening[row + d]), load(gaps, d * BLOCK + j), white)
                    distance = fma(white, white, distance)
                store(tile, k * BLOCK + j, fma(distance, splat(-0.5), splat(constant[k])))
        give_rows(tile, n_states, start, n, out)
