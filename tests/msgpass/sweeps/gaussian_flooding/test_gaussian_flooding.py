"""Gaussian loopy propagation: exact on trees, exact means on loops, Bethe's log Z and its gradients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, Flooding, Quadratic, Sequential, run
from msgpass.errors import ConvergenceWarning, DataError, UnsupportedError
from msgpass.nodes import Observation, Parameter
from tests.msgpass.dominant_models import dominant, dominant_graph
from tests.msgpass.gaussian_models import chains, trees
from tests.msgpass.laws import latent_instances, neighbours
from tests.msgpass.table_models import seeds
from tests.oracles import dense_gaussian, random_direction

ORDERS = pytest.mark.parametrize("order", Flooding.ORDERS)
laws = settings(max_examples=25)


def settled(order, damping=0.0):
    return Flooding(order, damping=damping, tol=1e-11, max_iter=3000)


def rows(belief, key, size):
    """(mean, cov) of one instance of a node as vector and matrix."""
    mean, cov = (belief.mean, belief.cov) if key[1] < 0 else (belief.mean[key[1]], belief.cov[key[1]])
    return mean.reshape(size), cov.reshape(size, size)


@ORDERS
@laws
@given(graph=trees())
def test_trees_as_under_sequential(order, graph):
    m, wanted = run(graph, schedule=settled(order)), run(graph, schedule=Sequential())
    assert m.total == pytest.approx(wanted.total, rel=1e-8, abs=1e-8)
    for key, _ in latent_instances(graph):
        for got, known in zip(m.belief[key[0]], wanted.belief[key[0]], strict=True):
            np.testing.assert_allclose(got, known, rtol=1e-7, atol=1e-8)
    for name, node in graph.nodes.items():
        if isinstance(node, Parameter):
            np.testing.assert_allclose(m.parameters[name], wanted.parameters[name], rtol=1e-6, atol=1e-7)


@ORDERS
@laws
@given(graph=chains())
def test_chains_are_trees(order, graph):
    m, dense = run(graph, schedule=settled(order)), dense_gaussian(graph)
    np.testing.assert_allclose(m.total, dense.total, rtol=1e-7, atol=1e-7)
    for key, _ in latent_instances(graph):
        mean, cov = rows(m.belief[key[0]], key, graph[key[0]].size)
        np.testing.assert_allclose(mean, dense.mean(key), rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(cov, dense.cov(key), rtol=1e-7, atol=1e-8)


@ORDERS
@laws
@given(graph=dominant(), damping=st.sampled_from([0.0, 0.4]))
def test_means_are_exact_with_loops(order, damping, graph):
    m, dense = run(graph, schedule=settled(order, damping)), dense_gaussian(graph)
    for key, _ in latent_instances(graph):
        mean, _ = rows(m.belief[key[0]], key, graph[key[0]].size)
        np.testing.assert_allclose(mean, dense.mean(key), rtol=1e-8, atol=1e-8)


@laws
@given(graph=dominant())
def test_orders_and_dampings_share_a_fixed_point(graph):
    wanted = run(graph, schedule=settled("flood"))
    for schedule in (settled("sequential"), settled("residual"), settled("flood", 0.6)):
        m = run(graph, schedule=schedule)
        assert m.total == pytest.approx(wanted.total, rel=1e-9, abs=1e-8)
        for name in graph.factors:
            for got, known in zip(m.belief[name], wanted.belief[name], strict=True):
                np.testing.assert_allclose(got, known, rtol=1e-7, atol=1e-8)


@laws
@given(graph=dominant())
def test_beliefs_of_factors_agree_with_those_of_their_variables(graph):
    flat = graph.unroll()
    m = run(flat, schedule=settled("sequential"))
    for (name, _), keys in neighbours(flat, Quadratic)[1].items():
        joint, start = m.belief[name], 0
        for key in keys:
            own = slice(start, start := start + flat[key[0]].size)
            mean, cov = rows(m.belief[key[0]], key, flat[key[0]].size)
            np.testing.assert_allclose(joint.mean[own], mean, rtol=1e-7, atol=1e-8)
            np.testing.assert_allclose(joint.cov[own, own], cov, rtol=1e-7, atol=1e-8)


@settings(max_examples=15)
@given(graph=dominant(), seed=seeds)
def test_what_arrives_is_the_gradient_of_bethe(graph, seed):
    rng = np.random.default_rng(seed)
    m = run(graph, schedule=settled("flood"))
    for name, node in graph.nodes.items():
        if not isinstance(node, Parameter | Observation):
            continue
        value = np.asarray(node.value, float)
        way = random_direction(rng, value, symmetric=not name.startswith(("h", "y")))
        up, down = (
            run(graph, values={name: value + e * way}, schedule=settled("flood")).total for e in (1e-5, -1e-5)
        )
        got = m.parameters[name] if isinstance(node, Parameter) else m.gradient[name]
        np.testing.assert_allclose((got * way).sum(), (up - down) / 2e-5, rtol=2e-5, atol=1e-5)


def test_variances_on_a_loop_are_those_of_the_loop_unrolled():
    """A ring of one coupling: variances satisfy m = −J²/(1 + m), B = 1 + 2m (Weiss and Freeman 2001)."""
    J, n = 0.3, 7
    g = FactorGraph()
    x = g.sequence("x", length=n)
    g.factor(Quadratic(np.zeros(2), [[0.0, J], [J, 0.0]]), x[np.arange(n)], x[(np.arange(n) + 1) % n])
    g.factor(Quadratic(1.0, [[1.0]]), x[:])
    m = run(g, schedule=settled("flood"))
    root = (-1 + np.sqrt(1 - 4 * J * J)) / 2
    np.testing.assert_allclose(m.belief["x"].cov, 1 / (1 + 2 * root), rtol=1e-9)
    np.testing.assert_allclose(m.belief["x"].mean, 1 / (1 + 2 * J), rtol=1e-9)


@ORDERS
def test_a_grid_of_ten_thousand(order):
    from scipy.sparse import coo_array
    from scipy.sparse.linalg import spsolve

    n = 100
    place = np.arange(n * n).reshape(n, n)
    i = np.concatenate([place[:, :-1].ravel(), place[:-1].ravel()])
    j = np.concatenate([place[:, 1:].ravel(), place[1:].ravel()])
    y = np.random.default_rng(0).normal(size=n * n)
    g = FactorGraph()
    x = g.sequence("x", length=n * n)
    g.factor(Quadratic.linear_gaussian(1.0, 0.5), x[i], x[j])
    g.factor(Quadratic.observation(1.0, 2.0), x[:], g.observe("y", y)[:])
    m = run(g, schedule=Flooding(order, tol=1e-9))
    ones = np.full(len(i), 2.0)
    K = coo_array((np.concatenate([ones, ones, -ones, -ones]), (np.r_[i, j, i, j], np.r_[i, j, j, i])))
    K = (K + coo_array((np.full(n * n, 0.5), (place.ravel(), place.ravel())))).tocsc()
    np.testing.assert_allclose(m.belief["x"].mean, spsolve(K, y / 2), atol=1e-7)


def test_stiff_relations_keep_their_digits():
    """A noise of 1e-14 beside observations of noise 1: every row is the mean of all data."""
    y = np.arange(6.0) + 1e3
    g = FactorGraph()
    x = g.sequence("x", length=6)
    g.factor(Quadratic.linear_gaussian(1.0, 1e-14), x[:-1], x[1:])
    g.factor(Quadratic.observation(1.0, 1.0), x[:], g.observe("y", y)[:])
    m = run(g, schedule=Flooding("sequential"))
    np.testing.assert_allclose(m.belief["x"].mean, y.mean(), rtol=1e-12)
    np.testing.assert_allclose(m.belief["x"].cov, 1 / 6, rtol=1e-10)


def test_total_does_not_cancel_far_from_zero():
    totals = []
    for shift in (0.0, 1e6):
        g = FactorGraph()
        x = g.sequence("x", length=4)
        ring = np.arange(4)
        g.factor(Quadratic.linear_gaussian(1.0, 1.0), x[ring], x[(ring + 1) % 4])
        g.factor(Quadratic.observation(1.0, 1.0), x[:], g.observe("y", np.arange(4.0) + shift)[:])
        totals.append(run(g, schedule=settled("sequential")).total)
    assert totals[1] == pytest.approx(totals[0], abs=1e-8)


def test_a_graph_without_pairs():
    g = FactorGraph()
    x = g.sequence("x", length=3)
    g.factor(Quadratic.prior(1.0, 2.0), x[:])
    g.factor(Quadratic.observation(1.0, 2.0), x[:], g.observe("y", [2.0, np.nan, 3.0])[:])
    m, wanted = run(g, schedule=Flooding()), run(g)
    assert m.total == pytest.approx(wanted.total)
    np.testing.assert_allclose(m.belief["x"].mean, wanted.belief["x"].mean)


@ORDERS
def test_a_run_may_begin_where_another_ended(order, rng):
    g = dominant_graph(rng)
    first = run(g, schedule=settled(order))
    again = run(g, schedule=Flooding(order, tol=1e-9, start=first))
    assert again.convergence.updates < first.convergence.updates / 3
    for name in g.factors:
        np.testing.assert_allclose(again.belief[name].mean, first.belief[name].mean, atol=1e-8)
    with pytest.raises(DataError, match="earlier run on the same graph"):
        run(dominant_graph(rng), schedule=Flooding(start=first))
    with pytest.raises(UnsupportedError, match="counting numbers are those of tables"):
        run(g, schedule=Flooding(counting="tree"))


def test_what_does_not_settle_warns(rng):
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 iterations.*JunctionTree"):
        assert not run(dominant_graph(rng), schedule=Flooding("flood", max_iter=1)).convergence
