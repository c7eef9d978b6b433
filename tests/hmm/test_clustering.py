"""Starting points."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmm.clustering import MOST_ROWS, cluster


def test_separated_clouds_are_found(rng):
    truth = np.repeat([0, 1, 2], 50)
    X = 20 * np.array([[0, 0], [1, 0], [0, 1]])[truth] + rng.normal(size=(150, 2))
    labels = cluster(X, 3, rng)
    assert len({tuple(pair) for pair in zip(truth, labels, strict=True)}) == 3


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 6))
def test_labels_are_labels_even_with_fewer_points_than_clusters(seed, n_rows, n_clusters):
    X = np.random.default_rng(seed).integers(2, size=(n_rows, 2)).astype(float)
    labels = cluster(X, n_clusters, np.random.default_rng(seed))
    assert labels.shape == (n_rows,) and labels.min() >= 0 and labels.max() < n_clusters
    np.testing.assert_array_equal(labels, cluster(X, n_clusters, np.random.default_rng(seed)))


@pytest.mark.parametrize("n_rows", [MOST_ROWS, 3 * MOST_ROWS])
def test_many_rows_are_all_labelled(n_rows, rng):
    X = rng.normal(size=(n_rows, 1)) + 100 * (np.arange(n_rows) % 2)[:, None]
    assert np.bincount(cluster(X, 2, rng)).tolist() == [n_rows // 2] * 2
