"""Sums of marginals by row and by group, small and large."""

import numpy as np
import pytest

from msgpass.kernels import sparse_chain_folds
from msgpass.kernels.sparse_chain_folds import folded


@pytest.mark.parametrize("large", [0, 10**9])
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("grouped", ["no", "side by side", "mixed"])
def test_sums_by_row_and_group(rng, monkeypatch, large, indexed, grouped):
    monkeypatch.setattr(sparse_chain_folds, "LARGE", large)
    T, S, K, R = 600, 7, 4, 5  # more steps than are taken at a time; a group and a row without members
    gamma = rng.random((T, S))
    rows = rng.integers(0, R - 1, T) if indexed else None
    groups = rng.integers(0, K - 1, S)
    groups = {"no": None, "side by side": np.sort(groups), "mixed": groups}[grouped]
    shape = (R if indexed else T, S if groups is None else K)
    wanted = np.zeros(shape)
    for t in range(T):
        for s in range(S):
            wanted[t if rows is None else rows[t], s if groups is None else groups[s]] += gamma[t, s]
    np.testing.assert_allclose(folded(gamma, rows, groups, shape), wanted, rtol=1e-12)
