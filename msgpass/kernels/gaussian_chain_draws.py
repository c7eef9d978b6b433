"""Simulating a linear-Gaussian chain without its means: the paths that a simulation smoother starts from."""

import numpy as np

from msgpass.kernels.gaussian_chain_square_root import root
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays, at


def simulate(arrays: GaussianChainArrays, rng: np.random.Generator, count: int):
    """Paths (T, n, count) and data (T, p, count) of mean zero, δ = 0; missing cells are simulated, too.

    The normal numbers are drawn in one piece, so that a seed means the same whichever passes follow.
    """
    (T, p), n, N = arrays.y.shape, arrays.mean.shape[-1], len(arrays.offsets) - 1
    normal = np.moveaxis(rng.standard_normal((count, T, n + p)), 0, -1)
    states, noise = np.empty((T, n, count)), root(arrays.R) @ normal[:, n:]
    first, of_cov, of_Q = arrays.offsets[:-1], root(arrays.cov), root(arrays.Q)
    states[first] = of_cov @ normal[first, :n]
    for k in range(N):
        for t in range(first[k] + 1, arrays.offsets[k + 1]):
            j = t - 1 - k
            states[t] = at(arrays.F, j) @ states[t - 1] + at(of_Q, j) @ normal[t, :n]
    return states, arrays.H @ states + noise
