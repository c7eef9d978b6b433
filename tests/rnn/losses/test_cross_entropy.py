"""Cross-entropy: its gradient by central differences, ignored labels, large numbers."""

import numpy as np
import pytest

from rnn import RNN, CrossEntropy, bptt
from rnn.losses.cross_entropy import cross_entropy
from tests.rnn.differences import central


@pytest.mark.parametrize("count", [(), (np.array(5.0),)], ids=["sum", "mean"])
def test_cross_entropy_gradient(count, rng):
    logits, labels = rng.normal(size=(4, 3, 5)), rng.integers(-1, 5, size=(4, 3))
    total, (found, *rest) = cross_entropy(logits, labels, *count)
    assert rest == [None] * (1 + len(count))
    wanted = central(lambda z: float(cross_entropy(z, labels, *count)[0]), logits)
    np.testing.assert_allclose(found, wanted, rtol=1e-7, atol=1e-9)
    assert (found[labels == -1] == 0).all()
    np.testing.assert_allclose(found.sum(axis=-1), 0, atol=1e-15)
    assert total > 0


def test_cross_entropy_of_huge_logits_is_finite():
    logits = np.array([[[1e4, -1e4], [-3e4, 3e4]]])
    total, (gradient, _) = cross_entropy(logits, np.array([[0, 0]]))
    assert total == pytest.approx(6e4)
    np.testing.assert_allclose(gradient, [[[0, 0], [-1, 1]]])


def test_nan_labels_are_ignored_labels():
    net, x = RNN(1, 3, random_state=0), np.ones((3, 1))
    floats, whole = CrossEntropy([0.0, np.nan, 2.0]), CrossEntropy([0, -1, 2])
    assert bptt(net, x, floats).total == bptt(net, x, whole).total
