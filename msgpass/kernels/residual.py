"""output − target and half the sum of its squares, in one pass over memory on two threads.

A training step with large outputs waits for memory in its loss; NumPy's three passes cost as much as a fifth
of the compiled sweep.
"""

import numpy as np

from msgpass.kernels.runtime import compiling, lean_jit, recycled_empty, run_pair
from msgpass.kernels.simd import LANES, fma, horizontal_sum, load, splat_like, store

BLOCK = 4096
"""Numbers whose squares are added in the data's own precision before the sum goes on in float64."""

PAIRED = 1 << 20
"""Numbers from which on a second thread is worth waking."""


@lean_jit
def _residual(output, target, first, last, lanes, residual, sums):
    """``residual[first:last]``; its sum of squares into ``sums[0]``, in blocks in a fixed order."""
    total = 0.0
    for start in range(first, last, BLOCK):
        stop = min(start + BLOCK, last)
        even = splat_like(load(output, first), 0.0)
        odd = even
        i = start
        while i + 2 * lanes <= stop:
            a = load(output, i) - load(target, i)
            b = load(output, i + lanes) - load(target, i + lanes)
            store(residual, i, a)
            store(residual, i + lanes, b)
            even = fma(a, a, even)
            odd = fma(b, b, odd)
            i += 2 * lanes
        part = float(horizontal_sum(even + odd))
        while i < stop:
            residual[i] = output[i] - target[i]
            part += float(residual[i]) * float(residual[i])
            i += 1
        total += part
    sums[0] = total


def half_square(output: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """(r, ½ Σ r²) with r = output − target.

    Parameters
    ----------
    output, target : ndarray, contiguous, of one shape and one dtype (float32 or float64)

    Examples
    --------
    >>> residual, half = half_square(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    >>> residual, half
    (array([1., 2.]), 2.5)
    """
    residual = recycled_empty(output.shape, output.dtype)
    sums = np.zeros((2, 1))
    lanes = LANES[output.dtype]
    middle = output.size // (2 * BLOCK) * BLOCK
    flat = output.reshape(-1), target.reshape(-1)
    first = (*flat, 0, middle, lanes, residual.reshape(-1), sums[0])
    second = (*flat, middle, output.size, lanes, residual.reshape(-1), sums[1])
    with compiling("the squared error", _residual):
        if output.size < PAIRED:
            _residual(*first)
            _residual(*second)
        else:
            run_pair(_residual, first, _residual, second)
    return residual, 0.5 * float(sums.sum())
