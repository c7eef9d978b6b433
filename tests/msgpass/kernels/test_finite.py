"""One pass tells a number that is not finite, wherever it stands."""

import numpy as np
import pytest

from msgpass.kernels.finite import all_finite


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 31, 32, 64, 67, 200])
def test_every_place_is_looked_at(size, dtype, rng):
    array = rng.normal(size=size).astype(dtype)
    assert all_finite(array)
    for place in range(size):
        for value in (np.nan, np.inf, -np.inf):
            broken = array.copy()
            broken[place] = value
            assert not all_finite(broken)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_numbers_are_finite(dtype):
    """Their sum would not be."""
    assert all_finite(np.full((3, 50), np.finfo(dtype).max, dtype))
    assert all_finite(np.full((50, 3), np.finfo(dtype).max, dtype).T)
