"""Log tables to linear ones, each row scaled by its maximum: what the linear sweeps start from."""

import numpy as np

COMPILED, PAIRED = 4096, 262_144
"""Entries from which on the compiled exponential, whose last bit may differ, and two threads are used. NumPy
takes 62 µs for 2048 rows of 2 and 16 for 256 of 16, the compiled one 7."""


def scaled_exponentials(log_table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``exp(log_table − peak)`` and the peaks.

    Parameters
    ----------
    log_table : ndarray, shape (R, K), float64 or float32
        −inf is a hard zero.

    Returns
    -------
    linear : ndarray, shape (R, K)
        Every row has maximum 1, or is all zeros where the row is all −inf.
    peak : ndarray, shape (R,)
        Maximum of each row; 0 where that is −inf.

    Examples
    --------
    >>> linear, peak = scaled_exponentials(np.array([[-800.0, -800.0], [0.0, -np.inf]]))
    >>> linear
    array([[1., 1.],
           [1., 0.]])
    >>> peak
    array([-800.,    0.])
    """
    if log_table.size < COMPILED or log_table.dtype != np.float64:
        peak = log_table.max(axis=1)
        peak[peak == -np.inf] = 0.0
        return np.exp(log_table - peak[:, None]), peak

    from msgpass.kernels import runtime
    from msgpass.kernels.table_chain_exp import scaled_exponentials as kernel

    n_rows, n_states = log_table.shape
    linear, peak = runtime.aligned_empty((n_rows, n_states)), np.empty(n_rows)
    flat = np.ascontiguousarray(log_table).ravel(), n_states
    out = linear.ravel(), peak
    with runtime.compiling("the vector exponential", kernel):
        if log_table.size < PAIRED:
            kernel(*flat, 0, n_rows, *out)
        else:
            half = n_rows // 16 * 8  # the halves meet on a cache line
            runtime.run_pair(kernel, (*flat, 0, half, *out), kernel, (*flat, half, n_rows, *out))
    return linear, peak


def scaled_whole(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray | float]:
    """exp(logs − max) of a table, or of each of a stack of them, and the maxima (0 where all is −∞)."""
    if logs.ndim < 3:
        peak = float(logs.max())
        peak = peak if peak > -np.inf else 0.0
        return np.exp(logs - peak), peak
    top = logs.max(axis=(-2, -1), keepdims=True, initial=-np.inf)
    top = np.where(top == -np.inf, 0, top)
    return np.exp(logs - top), top[:, 0, 0]
