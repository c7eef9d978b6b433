"""One compiled call gives the bits of the sweep that it stands for."""

import numpy as np
import pytest

from msgpass.kernels import table_chain
from msgpass.kernels.table_chain import ChainProblem, expected_counts


def problem(K, lengths, M, rng):
    T = sum(lengths)
    rows = None if M is None else rng.integers(0, M, T)
    evidence = rng.random((T if M is None else M, K)) + 1e-3
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return ChainProblem(rng.dirichlet(np.ones(K)), rng.dirichlet(np.ones(K), K), evidence, rows, offsets)


CASES = [
    (K, M, lengths)
    for K in (2, 3, 4, 6, 8)
    for M in (None, 4, 600)
    for lengths in ([100] * 50, [3, 90, 41, 17, 250, 8, 1, 77, 300, 120, 2000])
]


@pytest.mark.parametrize(("K", "M", "lengths"), CASES)
@pytest.mark.parametrize("want_gamma", [False, True])
def test_the_bits_of_the_large_family(K, M, lengths, want_gamma, rng, monkeypatch):
    given = problem(K, lengths, M, rng)
    logs = [np.log(a) for a in given[:3]]
    given = given._replace(logs=tuple(logs))
    small = expected_counts(given, want_gamma)
    monkeypatch.setattr(table_chain, "_small", lambda *_: None)
    large = expected_counts(given, want_gamma)
    for name in ("log_scale", "xi", "initial", "row_counts", "gamma"):
        one, two = getattr(small, name), getattr(large, name)
        assert (one is None) == (two is None), name
        if one is not None:
            np.testing.assert_array_equal(one, two, err_msg=name)


def test_a_vanished_scale_goes_to_the_log_space(rng):
    given = problem(2, [100] * 50, 4, rng)
    evidence = given.evidence.copy()
    evidence[0] = 1e-320
    with np.errstate(divide="ignore"):
        logs = (np.log(given.init), np.log(given.transition), np.log(evidence))
    counts = expected_counts(given._replace(evidence=evidence, logs=logs))
    assert np.isfinite(counts.log_scale).all()
    np.testing.assert_allclose(counts.gamma.sum(axis=1), 1, rtol=1e-9)
