"""Squared error: its gradient by central differences, cells that are missing."""

import numpy as np
import pytest

from rnn.losses.squared_error import squared_error
from tests.rnn.differences import central


@pytest.mark.parametrize("count", [(), (np.array(5.0),)], ids=["sum", "mean"])
def test_squared_error_gradient(count, rng):
    output, target = rng.normal(size=(2, 4, 3, 2))
    target[0, 1], target[2, 0, 1] = np.nan, np.nan
    total, (found, *rest) = squared_error(output, target, *count)
    assert rest == [None] * (1 + len(count))
    assert total == pytest.approx(0.5 * np.nansum((output - target) ** 2) / (5 if count else 1))
    wanted = central(lambda o: float(squared_error(o, target, *count)[0]), output)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9)
    assert (found[np.isnan(target)] == 0).all()
