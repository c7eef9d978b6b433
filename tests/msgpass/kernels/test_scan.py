"""Prefixes and suffixes of an associative, not commutative combination."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.kernels import scan


def joined(a, b):
    return (a[0] + b[0],)


def letters(n):
    return (np.array([chr(97 + k % 26) for k in range(n)], object),)


@given(st.integers(0, 70))
def test_prefixes_and_suffixes_of_words(n):
    word = letters(n)
    text = "".join(word[0])
    assert scan.prefixes(word, joined)[0].tolist() == [text[: k + 1] for k in range(n)]
    assert scan.suffixes(word, joined)[0].tolist() == [text[k:] for k in range(n)]


@given(st.integers(2, 300))
def test_fewer_than_two_combinations_an_element(n):
    calls = []

    def counted(a, b):
        calls.append(len(a[0]))
        return joined(a, b)

    scan.prefixes(letters(n), counted)
    assert sum(calls) < 2 * n
    assert len(calls) <= 2 * np.log2(n) + 1


@given(st.integers(1, 300), st.integers(2, 40))
def test_blocks_are_joined_in_order(n, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "LARGE_ELEMENT", 1)
        patch.setattr(scan, "BLOCK", block)
        word = letters(n)
        assert scan.blocked_prefixes(word, joined)[0].tolist() == scan.prefixes(word, joined)[0].tolist()


@given(st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_affine_maps_run_through(n, seed):
    rng = np.random.default_rng(seed)
    G, c = rng.normal(size=(n, 3, 3)), rng.normal(size=(n, 3, 2))
    _, found = scan.prefixes((G, c), scan.affine)
    x = np.zeros((3, 2))
    for k in range(n):
        x = G[k] @ x + c[k]
        np.testing.assert_allclose(found[k], x, rtol=1e-9, atol=1e-9)
