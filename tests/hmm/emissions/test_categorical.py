"""How many symbols there are, and what a categorical model refuses."""

import numpy as np
import pytest

from hmm import CategoricalHMM
from msgpass.errors import DataError, ProbabilityError, ShapeError

FAST = {"n_iter": 2, "tol": 0, "random_state": 0}


def test_the_number_of_symbols_comes_from_the_data_or_the_user():
    assert CategoricalHMM(2, **FAST).fit([0, 3, 1]).emissionprob_.shape == (2, 4)
    assert CategoricalHMM(2, n_features=6, **FAST).fit([0, 3, 1]).emissionprob_.shape == (2, 6)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float32, np.float64, bool])
def test_any_dtype_of_whole_numbers(dtype):
    X = np.array([0, 1, 1, 0], dtype)
    assert CategoricalHMM(1, **FAST).fit(X).emissionprob_[0] == pytest.approx([0.5, 0.5])


def test_missing_symbols_do_not_count():
    model = CategoricalHMM(1, **FAST).fit([0.0, np.nan, 1.0, 1.0, -1.0, np.nan])
    np.testing.assert_allclose(model.emissionprob_, [[1 / 3, 2 / 3]])


@pytest.mark.parametrize(
    ("X", "error", "text"),
    [
        ([0.5, 1.0], DataError, "holds 0.5 at row 0; symbols are whole numbers"),
        ([0, -2], DataError, "holds -2 at row 1"),
        ([[0, 1]], ShapeError, r"symbols are \(T, 1\) or \(T,\)"),
        (["a", "b"], DataError, "LabelEncoder"),
        ([-1, -1], DataError, "give n_features"),
    ],
)
def test_symbols_are_checked(X, error, text):
    with pytest.raises(error, match=text):
        CategoricalHMM(2, **FAST).fit(X)


def test_a_symbol_that_the_model_does_not_have():
    model = CategoricalHMM(2, **FAST).fit([0, 1, 1])
    with pytest.raises(
        DataError, match=r"symbol 2 at row 1, but the model emits 0 to 1; fit with n_features=3"
    ):
        model.score([0, 2])
    with pytest.raises(DataError, match="symbol 5"):
        CategoricalHMM(2, n_features=3, **FAST).fit([0, 5])


def test_rows_of_the_emission_sum_to_one():
    model = CategoricalHMM(2, **FAST).fit([0, 1, 1])
    model.emissionprob_ = [[0.5, 0.4], [0.5, 0.5]]
    with pytest.raises(ProbabilityError, match="emissionprob_ must have rows that sum to 1"):
        model.score([0, 1])
