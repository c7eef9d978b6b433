"""What may go into the JSON file."""

import numpy as np
import pytest

from msgpass.errors import NumericalError
from msgpass.report.numbers import plain


def test_numpy_becomes_plain():
    found = plain(
        {"a": np.float64(1.5), "b": [np.int64(2), None], "c": {"d": np.eye(2, dtype=bool)}, "e": "x"}
    )
    assert found == {"a": 1.5, "b": [2, None], "c": {"d": [[True, False], [False, True]]}, "e": "x"}
    assert type(found["a"]) is float and type(found["b"][0]) is int


@pytest.mark.parametrize(
    "bad", [float("nan"), np.inf, np.array([1.0, np.nan]), [0.0, -np.inf], np.float64("nan")]
)
def test_what_is_not_finite_is_an_error_that_says_where(bad):
    with pytest.raises(NumericalError, match=r"hmm\.rate"):
        plain({"hmm": {"rate": bad}})
