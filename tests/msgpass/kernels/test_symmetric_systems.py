"""Sparse and full symmetric systems, with and without multipliers, against NumPy's inverse; the compiled
selected inverse against its reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.kernels.selected_inverse import selected_inverse_reference
from msgpass.kernels.selected_inverse_compiled import selected_inverse
from msgpass.kernels.symmetric_dense import DenseSystem, assemble
from msgpass.kernels.symmetric_sparse import SparsePattern, SparseSystem
from msgpass.kernels.symmetric_system import NotPositive


def system(rng, variables, instances, multipliers, size=3):
    """(cells, blocks, n) of random blocks over a few cells each, and of equations whose noise is zero."""
    cells = [np.stack([rng.choice(variables, size, replace=False) for _ in range(instances)])]
    A = rng.normal(size=(instances, size, size))
    blocks = [A @ np.swapaxes(A, -1, -2)]
    cells.append(np.arange(variables)[:, None])
    blocks.append(0.1 + rng.random((1, 1, 1)))
    if multipliers:
        own = np.stack([rng.choice(variables, size, replace=False) for _ in range(multipliers)])
        cells.append(np.concatenate([own, variables + np.arange(multipliers)[:, None]], axis=1))
        G = rng.normal(size=(multipliers, size))
        block = np.zeros((multipliers, size + 1, size + 1))
        block[:, :size, :size] = G[:, :, None] * G[:, None, :]
        block[:, size, :size] = block[:, :size, size] = G
        blocks.append(block)
    return cells, blocks, variables + multipliers


def sparse(cells, blocks, n, variables):
    """A sparse system with its pattern."""
    return SparseSystem(SparsePattern(cells, n, variables), blocks)


def both(cells, blocks, n, variables):
    """The two kinds of systems."""
    yield DenseSystem(cells, blocks, n, variables)
    yield sparse(cells, blocks, n, variables)


@given(st.integers(0, 10**6), st.integers(3, 30), st.integers(0, 3))
def test_inverses(seed, variables, multipliers):
    rng = np.random.default_rng(seed)
    cells, blocks, n = system(rng, variables, variables // 2, min(multipliers, variables // 3))
    full = assemble(cells, blocks, n)
    inverse = np.linalg.inv(full)
    scale = np.abs(inverse).max()
    for made in both(cells, blocks, n, variables):
        for k, places in enumerate(cells):
            wanted = inverse[places[:, :, None], places[:, None, :]]
            np.testing.assert_allclose(made.entries(k), wanted, atol=1e-8 * scale)
        right = rng.normal(size=(n, 2))
        np.testing.assert_allclose(made.solve(right), inverse @ right, atol=1e-8 * scale)
        assert made.log_pivots.sum() == pytest.approx(np.linalg.slogdet(full)[1], abs=1e-8)


@given(st.integers(0, 10**6), st.integers(3, 20))
def test_draws_have_the_inverse_as_covariance(seed, variables):
    cells, blocks, n = system(np.random.default_rng(seed), variables, variables, 0)
    for made in both(cells, blocks, n, variables):
        half = made.draw(np.eye(n))
        np.testing.assert_allclose(half @ half.T, np.linalg.inv(assemble(cells, blocks, n)), atol=1e-8)


@given(st.integers(0, 10**6), st.integers(3, 25))
def test_the_compiled_selected_inverse_is_its_reference(seed, variables):
    cells, blocks, n = system(np.random.default_rng(seed), variables, variables, 0)
    made = sparse(cells, blocks, n, variables)
    given_ = made.pattern.lower_indptr, made.pattern.lower_rows, made.lower, made.pivots
    np.testing.assert_allclose(selected_inverse(*given_), selected_inverse_reference(*given_), atol=1e-12)


def test_blocks_that_cancel_keep_their_place():
    """A zero in this run is none in the next, and L has a place for it."""
    cells = [np.array([[0, 1], [0, 1], [1, 2]]), np.arange(3)[:, None]]
    one = np.array([[1.0, -0.5], [-0.5, 1.0]])
    blocks = [np.stack([one, one * [[1, -1], [-1, 1]], one]), np.ones((1, 1, 1))]
    made = sparse(cells, blocks, 3, 3)
    inverse = np.linalg.inv(assemble(cells, blocks, 3))
    np.testing.assert_allclose(made.entries(0)[0], inverse[:2, :2], atol=1e-15)


@pytest.mark.parametrize(
    ("edges", "reason", "cells_named"),
    [(0.0, "flat", {0, 1, 2, 3}), (-0.2, "rising", {0, 1, 2, 3})],
)
def test_what_is_not_positive_has_a_direction(edges, reason, cells_named):
    ring = np.stack([np.arange(4), (np.arange(4) + 1) % 4], axis=1)
    cells = [ring, np.array([[0]])]
    blocks = [np.array([[[1.0, -1.0], [-1.0, 1.0]]]), np.full((1, 1, 1), edges)]
    given_ = cells, blocks, 4, 4
    for make in (lambda: DenseSystem(*given_), lambda: sparse(*given_)):
        with pytest.raises(NotPositive) as problem:
            make()
        assert problem.value.reason == reason
        size = np.abs(problem.value.direction)
        assert set(np.flatnonzero(size > 0.1 * size.max()).tolist()) == cells_named


def test_equations_twice():
    cells = [np.arange(2)[:, None], np.array([[0, 1, 2], [0, 1, 3]])]
    block = np.array([[1.0, 1, 1], [1, 1, 1], [1, 1, 0]])
    given_ = cells, [np.ones((1, 1, 1)), block[None]], 4, 2
    for make in (lambda: DenseSystem(*given_), lambda: sparse(*given_)):
        with pytest.raises(NotPositive) as problem:
            make()
        assert problem.value.reason == "equations"
