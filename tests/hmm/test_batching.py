"""Sequences cut into batches, none of them across two."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hmm
from msgpass.errors import DataError, ShapeError


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 30))
def test_batches_hold_everything_once_and_no_more_than_asked(lengths, rows):
    X = np.arange(sum(lengths), dtype=float)[:, None]
    cut = hmm.batches(X, lengths, rows=rows, weights=np.arange(1.0, len(lengths) + 1), labels=X[:, 0])
    for _ in range(2):  # as often as one likes
        found = list(cut)
        assert len(found) == len(cut)
        np.testing.assert_array_equal(np.concatenate([batch["X"] for batch in found]), X)
        np.testing.assert_array_equal(np.concatenate([batch["lengths"] for batch in found]), lengths)
        if len(lengths) > 1:
            weights = np.concatenate([batch["weights"] for batch in found])
            np.testing.assert_array_equal(weights, np.arange(1, len(lengths) + 1))
        for batch in found:
            assert sum(batch["lengths"]) == len(batch["X"]) == len(batch["labels"])
            assert len(batch["X"]) <= rows or len(batch["lengths"]) == 1
    sizes = [len(batch["X"]) for batch in found]
    assert all(a + batch["lengths"][0] > rows for a, batch in zip(sizes, found[1:], strict=False))


def test_slices_of_a_memory_map_are_not_copied(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((10, 2)))
    X = np.load(tmp_path / "x.npy", mmap_mode="r")
    for batch in hmm.batches(X, [5, 5], rows=5):
        assert isinstance(batch["X"], np.memmap) and np.shares_memory(batch["X"], X)
    assert repr(hmm.batches(X)) == "<1 batches of 1 sequences, 10 rows>"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (([[1.0]],), DataError, "X is a list"),
        ((np.zeros((0, 1)),), ShapeError, "something in it"),
        ((np.zeros((2, 2, 2)),), ShapeError, r"wanted \(T, D\)"),
        ((np.zeros((4, 1)), [3]), ShapeError, "lengths sum to 3"),
    ],
)
def test_what_cannot_be_cut_is_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        hmm.batches(*arguments)


def test_rows_weights_and_labels_are_checked():
    X = np.zeros((4, 1))
    with pytest.raises(DataError, match="rows must be a whole number"):
        hmm.batches(X, rows=0)
    with pytest.raises(ShapeError, match="labels have shape"):
        hmm.batches(X, labels=[1, 2])
    with pytest.raises(ShapeError, match="weights have shape"):
        hmm.batches(X, weights=[1, 2])
