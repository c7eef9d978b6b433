"""The affine map over any number of leading axes is one matrix product a row."""

import numpy as np
import pytest

from rnn.affine import times, times_transposed, weight_cotangent


@pytest.mark.parametrize("leading", [(), (4,), (2, 3), (2, 1, 3)])
def test_products_row_by_row(leading, rng):
    w = rng.normal(size=(5, 3))
    x, y = rng.normal(size=(*leading, 3)), rng.normal(size=(*leading, 5))
    np.testing.assert_allclose(times(x, w), x @ w.T, rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(times_transposed(y, w), y @ w, rtol=1e-14, atol=1e-15)
    rows = zip(y.reshape(-1, 5), x.reshape(-1, 3), strict=True)
    wanted = sum(np.outer(each_y, each_x) for each_y, each_x in rows)
    np.testing.assert_allclose(weight_cotangent(y, x), wanted, rtol=1e-13, atol=1e-14)
