"""Random fields of thousands of variables against scipy's sparse solver."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.linalg import splu

from msgpass import FactorGraph, JunctionTree, Quadratic, run
from msgpass.errors import TreewidthError


def grid(side, rng):
    """A field that is smooth between neighbours, seen with noise at seven cells in ten."""
    g = FactorGraph()
    x, cells = g.sequence("x", length=side * side, shape=()), np.arange(side * side).reshape(side, side)
    first = np.concatenate([cells[:, :-1].ravel(), cells[:-1].ravel()])
    second = np.concatenate([cells[:, 1:].ravel(), cells[1:].ravel()])
    smooth = g.parameter("smooth", 4 * np.array([[1.0, -1.0], [-1.0, 1.0]]))
    g.factor(Quadratic(np.zeros(2), smooth), x[first], x[second], name="near")
    y = np.where(rng.random(side * side) < 0.3, np.nan, rng.normal(size=side * side))
    g.factor(Quadratic.observation(1.0, g.parameter("noise", 0.5)), x[:], g.observe("y", y)[:], name="see")
    return g, first, second, y


@pytest.fixture(scope="module")
def solved():
    """(run, factorisation by scipy, data, edges) of a grid of 60 by 60."""
    g, first, second, y = grid(60, np.random.default_rng(0))
    n, seen = 3600, ~np.isnan(y)
    rows = np.concatenate([first, second, first, second, np.flatnonzero(seen)])
    columns = np.concatenate([first, second, second, first, np.flatnonzero(seen)])
    data = np.repeat([4.0, -4.0, 2.0], [2 * len(first), 2 * len(first), seen.sum()])
    K = coo_array((data, (rows, columns)), shape=(n, n)).tocsc()
    return run(g, schedule=JunctionTree()), splu(K), y, (first, second), K


def test_means_and_variances(solved):
    m, lu, y, _, _ = solved
    np.testing.assert_allclose(m.belief["x"].mean, lu.solve(np.where(np.isnan(y), 0, 2 * y)), atol=1e-10)
    some = np.arange(0, 3600, 97)
    columns = lu.solve(np.eye(3600)[:, some])
    np.testing.assert_allclose(m.belief["x"].cov[some], columns[some, np.arange(len(some))], atol=1e-10)


def test_covariances_of_neighbours(solved):
    m, lu, _, (first, second), _ = solved
    found = m.belief["near"]
    for j in range(0, len(first), 501):
        column = lu.solve(np.eye(3600)[:, first[j]])
        np.testing.assert_allclose(found.cov[j][:, 0], column[[first[j], second[j]]], atol=1e-10)


def test_total(solved):
    m, lu, y, _, K = solved
    seen = ~np.isnan(y)
    log_det = np.log(np.abs(lu.U.diagonal())).sum()
    mean = m.belief["x"].mean
    fit = -0.5 * (2 * ((y - mean)[seen] ** 2).sum() + mean @ (K @ mean) - 2 * (mean[seen] ** 2).sum())
    constant = 0.5 * 3600 * np.log(2 * np.pi) - 0.5 * seen.sum() * np.log(2 * np.pi * 0.5)
    assert m.total == pytest.approx(fit + constant - 0.5 * log_det, rel=1e-11)


def test_a_large_graph_of_equations():
    """A field that is the sum of two others, exactly, at every cell: half of its cells are seen."""
    rng = np.random.default_rng(1)
    side = 12
    g, *_ = grid(side, rng)
    z = g.sequence("z", length=side * side, shape=(2,))
    g.factor(Quadratic.prior(np.zeros(2), np.diag([1.0, 3.0])), z[:])
    g.factor(Quadratic.linear_gaussian([[1.0, 1.0]], 0.0), z[:], g["x"][:], name="sum")
    m = run(g, schedule=JunctionTree())
    belief, joint = m.belief["x"], m.belief["sum"]
    assert np.allclose(m.belief["z"].mean.sum(1), belief.mean, atol=1e-10)
    np.testing.assert_allclose(m.belief["z"].cov.sum((1, 2)), belief.cov, atol=1e-10)
    np.testing.assert_allclose(joint.cov[:, :2, 2], m.belief["z"].cov.sum(2), atol=1e-10)
    # A sum of independent parts is a prior of variance 4 for x.
    short, *_ = grid(side, np.random.default_rng(1))
    short.factor(Quadratic.prior(0.0, 4.0), short["x"][:])
    wanted = run(short, schedule=JunctionTree())
    assert m.total == pytest.approx(wanted.total, rel=1e-10)
    np.testing.assert_allclose(belief.mean, wanted.belief["x"].mean, atol=1e-10)
    np.testing.assert_allclose(m.parameters["smooth"], wanted.parameters["smooth"], rtol=1e-8, atol=1e-8)


def test_a_factor_beyond_the_bound_is_refused():
    g, *_ = grid(20, np.random.default_rng(2))
    with pytest.raises(TreewidthError, match=r"400 Gaussian numbers .* max_size=2000 .*Flooding") as told:
        run(g, schedule=JunctionTree(max_size=2000))
    assert told.value.size > 2000
    assert np.isfinite(run(g, schedule=JunctionTree(max_size=told.value.size)).total)
