"""Whether numbers are finite: one compiled pass, of no cost beside NumPy's reductions for a few of them."""

import numpy as np

from msgpass.kernels.runtime import jit


@jit
def _all_finite(flat):
    total = flat.dtype.type(0)
    for value in flat:
        total += value * 0
    return total == 0


def all_finite(array: np.ndarray) -> bool:
    """No NaN and no infinity in an array of real numbers.

    >>> all_finite(np.array([[1.0, np.inf]])), all_finite(np.zeros((2, 3)))
    (False, True)
    """
    if not array.flags.carray:
        array = np.array(array, order="C")  # Numba would compile anew for other layouts
    return _all_finite(array.reshape(-1))
