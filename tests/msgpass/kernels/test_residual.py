"""The fused residual against NumPy, on sizes around its blocks and both precisions."""

import numpy as np
import pytest

from msgpass.kernels.residual import BLOCK, half_square

LARGE = 1 << 17


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, 17, BLOCK, 2 * BLOCK - 1, 2 * BLOCK + 13, LARGE, LARGE + BLOCK + 1])
def test_agrees_with_numpy(size, dtype, rng):
    output, target = rng.normal(size=(2, size)).astype(dtype)
    residual, half = half_square(output, target)
    exact = output.astype(np.float64) - target.astype(np.float64)
    assert residual.dtype == dtype
    assert np.array_equal(residual, output - target)
    assert half == pytest.approx(0.5 * np.sum(exact**2), rel=1e-5 if dtype == np.float32 else 1e-12)


def test_missing_targets_show_in_the_sum(rng):
    output, target = rng.normal(size=(2, LARGE))
    target[LARGE // 3] = np.nan
    assert np.isnan(half_square(output, target)[1])


def test_same_bits_every_time(rng):
    output, target = rng.normal(size=(2, 3 * LARGE)).astype(np.float32)
    assert half_square(output, target)[1] == half_square(output, target)[1]
