"""Re-estimation of probabilities from counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hmm.simplex import dirichlet_log_density, normalised


@given(st.integers(0, 2**32 - 1))
def test_the_result_maximises_counts_and_prior(seed):
    rng = np.random.default_rng(seed)
    counts, concentration = rng.gamma(1, 3, (3, 4)), 1 + rng.gamma(1, 1, (3, 4))
    p = normalised(counts, concentration, np.full((3, 4), 0.25))
    other = p * np.exp(0.01 * rng.standard_normal(p.shape))
    other /= other.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(p.sum(axis=1), 1)

    def objective(q):
        return np.sum(counts * np.log(q)) + dirichlet_log_density(q, concentration)

    assert objective(p) >= objective(other)


def test_structural_zeros_stay_whatever_the_prior():
    p = normalised(np.array([2.0, 0.0, 1.0]), 3.0, np.array([0.5, 0.0, 0.5]))
    np.testing.assert_allclose(p, [4 / 7, 0, 3 / 7])
    assert np.isfinite(dirichlet_log_density(p, 3.0))


def test_a_row_without_counts_keeps_its_values():
    previous = np.array([[0.2, 0.8], [0.5, 0.5]])
    np.testing.assert_allclose(
        normalised(np.array([[0.0, 0.0], [3.0, 1.0]]), 1.0, previous), [[0.2, 0.8], [0.75, 0.25]]
    )


def test_a_sparse_prior_empties_small_counts():
    np.testing.assert_allclose(normalised(np.array([5.0, 0.3]), 0.5, np.array([0.5, 0.5])), [1, 0])
