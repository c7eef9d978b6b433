"""Masks of transitions as sparse arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hmm.topology import allowed_transitions, check_topology, is_sparse, sparse_transitions
from msgpass.errors import DataError

NAMED = st.one_of(
    st.none(), st.sampled_from(["ergodic", "left-right", "linear", "cyclic"]), st.integers(0, 9)
)


@given(topology=NAMED, K=st.integers(1, 7))
def test_a_sparse_mask_is_the_full_one(topology, K):
    full, sparse = allowed_transitions(topology, K), sparse_transitions(topology, K)
    assert sparse.dtype == bool
    np.testing.assert_array_equal(sparse.toarray(), full)
    assert full.any(axis=1).all()


def test_what_each_name_allows():
    np.testing.assert_array_equal(allowed_transitions("left-right", 3), np.triu(np.ones((3, 3))))
    np.testing.assert_array_equal(allowed_transitions("cyclic", 3), [[1, 1, 0], [0, 1, 1], [1, 0, 1]])
    np.testing.assert_array_equal(allowed_transitions(1, 3), [[1, 1, 0], [1, 1, 1], [0, 1, 1]])
    mask = np.array([[0, 2], [1, 0]])
    np.testing.assert_array_equal(allowed_transitions(mask, 2), mask > 0)
    np.testing.assert_array_equal(allowed_transitions(csr_array(mask), 2), mask > 0)


@pytest.mark.parametrize(
    ("topology", "K", "sparse"),
    [
        ("linear", 511, False),
        ("linear", 512, True),
        ("cyclic", 512, True),
        ("left-right", 5000, False),
        (31, 512, True),
        (32, 512, False),
        (None, 5000, False),
        (csr_array(np.eye(2)), 2, True),
        (np.eye(2), 2, False),
    ],
)
def test_narrow_bands_of_many_states_are_sparse(topology, K, sparse):
    assert is_sparse(topology, K) == sparse


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        ("ring", "'linear', 'cyclic'"),
        (-1, "topology is one of"),
        (True, "topology is one of"),
        (np.ones((3, 3)), r"shape \(2, 2\)"),
        (csr_array(np.ones((3, 3))), r"got a sparse array \(3, 3\)"),
        (np.array([[1, 1], [0, 0]]), "state 1 go nowhere"),
        (csr_array([[1, 1], [0, 0]]), "state 1 go nowhere"),
        (object(), "topology is one of"),
    ],
)
def test_what_is_no_topology_is_refused(topology, message):
    with pytest.raises(DataError, match=message):
        check_topology(topology, 2)
