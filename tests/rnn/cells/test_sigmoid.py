"""σ is precise on both sides, silent far out, and keeps its dtype."""

from decimal import Decimal

import numpy as np
import pytest

from rnn.cells.sigmoid import sigmoid


@pytest.mark.parametrize("z", [0.0, 1.0, -1.0, 30.0, -30.0, -700.0, 1e-20, 3.3, -0.7])
def test_full_relative_precision(z):
    exact = float(1 / (1 + (-Decimal(z)).exp()))
    assert sigmoid(np.array(z)) == pytest.approx(exact, rel=4e-16, abs=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_overflow(dtype):
    with np.errstate(all="raise", under="ignore"):
        found = sigmoid(np.array([-np.inf, -1e30, 1e30, np.inf, 0], dtype))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, [0, 0, 1, 1, 0.5])
