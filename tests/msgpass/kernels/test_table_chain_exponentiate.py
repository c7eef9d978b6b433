"""Scaled exponentials: NumPy's and the compiled ones agree, rows of −inf included."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.kernels import table_chain_exponentiate as exponentiate
from msgpass.kernels.table_chain_exponentiate import scaled_exponentials


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(1, 40), st.floats(0.1, 500))
def test_the_compiled_exponential_is_numpys_to_the_last_bits(seed, n_states, n_rows, spread):
    rng = np.random.default_rng(seed)
    table = rng.normal(size=(n_rows, n_states)) * spread
    table[rng.random(table.shape) < 0.1] = -np.inf
    expected, peaks = scaled_exponentials(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exponentiate, "COMPILED", 0)
        patch.setattr(exponentiate, "PAIRED", 0)
        found, found_peaks = scaled_exponentials(table)
    assert np.array_equal(peaks, found_peaks)
    np.testing.assert_allclose(found, expected, rtol=5e-16, atol=1e-300)


@given(st.integers(0, 2**32), st.integers(1, 9), st.sampled_from([np.float32, np.float64]))
def test_rows_have_maximum_one_and_give_the_table_back(seed, n_states, dtype):
    table = (np.random.default_rng(seed).normal(size=(30, n_states)) * 5).astype(dtype)
    linear, peaks = scaled_exponentials(table)
    assert linear.dtype == dtype
    assert (linear.max(axis=1) == 1).all()
    np.testing.assert_allclose(np.log(linear) + peaks[:, None], table, rtol=1e-4, atol=1e-4)
