"""Parameters there and back."""

import numpy as np
import pytest

from msgpass.errors import DataError
from rnn.ode.parameters import Packing, as_rate


@pytest.mark.parametrize("params", [None, 2.0, np.ones((2, 3)), {"b": 1, "a": np.eye(2)}])
def test_there_and_back(params):
    packing = Packing.of(params)
    arrays = packing.arrays(params)
    assert tuple(arrays) == packing.names
    back = packing.user(arrays)
    if isinstance(params, dict):
        assert list(back) == list(params)
        assert all(np.array_equal(back[k], params[k]) for k in params)
    elif params is None:
        assert back is None
    else:
        assert np.array_equal(back, params)


def test_what_f_sees():
    seen = {}

    def f(t, y, p):
        seen["p"] = p
        return y

    Packing.of({"a": 1.0, "b": 2.0}).field(f)(0.0, 1.0, 5.0, 6.0)
    assert seen["p"] == {"a": 5.0, "b": 6.0}
    Packing.of(3.0).field(f)(0.0, 1.0, 7.0)
    assert seen["p"] == 7.0


def test_lists_are_stacked():
    assert as_rate([np.ones(()), np.zeros(())]).tolist() == [1, 0]
    assert as_rate(np.ones(2)).shape == (2,)


def test_refusals():
    with pytest.raises(DataError, match=r"params\['W'\] is not an array of numbers|real numbers"):
        Packing.of({"W": "text"}).arrays({"W": "text"})
    with pytest.raises(DataError, match="cannot be called 'y0'"):
        Packing.of({"y0": 1.0})
    with pytest.raises(DataError, match="cannot be called 3"):
        Packing.of({3: 1.0})
