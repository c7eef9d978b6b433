"""Clipping bounds what it says it bounds and leaves the rest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rnn.optimizers import clip_by_norm, clip_by_value

vectors = arrays(np.float64, st.integers(1, 6), elements=st.floats(-1e3, 1e3))
limits = st.floats(1e-3, 1e3)


@given(vectors, limits)
def test_by_norm(g, limit):
    found = clip_by_norm(g, limit)
    assert np.linalg.norm(found) <= limit * (1 + 1e-12)
    np.testing.assert_allclose(found * np.linalg.norm(g), g * np.linalg.norm(found), atol=1e-6)
    if np.linalg.norm(g) <= limit:
        assert found is g


@given(vectors, limits)
def test_by_value(g, limit):
    found = clip_by_value(g, limit)
    assert (np.abs(found) <= limit).all() and (np.sign(found) == np.sign(g)).all()
    small = np.abs(g) <= limit
    assert (found[small] == g[small]).all()


def test_single_precision_stays():
    assert clip_by_norm(np.full(3, 9, np.float32), 1.0).dtype == np.float32
