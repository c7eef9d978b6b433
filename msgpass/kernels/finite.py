"""Whether numbers are finite: one compiled pass, of no cost beside NumPy's reductions for a few of them."""

import numpy as np

from msgpass.kernels.runtime import lean_jit
from msgpass.kernels.simd import LANES, fma, horizontal_sum, load, splat_like


@lean_jit
def _all_finite(flat, lanes):
    """Zero times every number, added up, is zero: four sums in turn, and what is left one by one."""
    rest = flat.dtype.type(0)
    whole = len(flat) // (4 * lanes) * (4 * lanes)
    for k in range(whole, len(flat)):
        rest += flat[k] * 0
    if whole:
        zero = splat_like(load(flat, 0), 0.0)
        a, b, c, d = zero, zero, zero, zero
        for k in range(0, whole, 4 * lanes):
            a = fma(load(flat, k), zero, a)
            b = fma(load(flat, k + lanes), zero, b)
            c = fma(load(flat, k + 2 * lanes), zero, c)
            d = fma(load(flat, k + 3 * lanes), zero, d)
        rest += horizontal_sum((a + b) + (c + d))
    return rest == 0


def all_finite(array: np.ndarray) -> bool:
    """No NaN and no infinity in an array of float32 or float64.

    >>> all_finite(np.array([[1.0, np.inf]])), all_finite(np.zeros((2, 3)))
    (False, True)
    """
    if not array.flags.carray:
        array = np.array(array, order="C")  # Numba would compile anew for other layouts
    return _all_finite(array.reshape(-1), LANES[array.dtype])
