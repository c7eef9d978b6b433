"""Gaussian graphs with loops against one dense solve of the unrolled graph; full and sparse systems."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import JunctionTree, Sequential, run
from msgpass.nodes import Observation, Parameter
from msgpass.potentials import Quadratic
from msgpass.sweeps.gaussian_elimination import elimination
from tests.msgpass.gaussian_loopy_models import SYMMETRIC, loopy_gaussians
from tests.msgpass.gaussian_models import chains, trees
from tests.msgpass.laws import latent_instances, neighbours
from tests.msgpass.table_models import seeds
from tests.oracles import dense_gaussian, random_direction

TOLERANCE = {"rtol": 1e-8, "atol": 1e-9}
laws = settings(max_examples=40)
EXACT = JunctionTree()


@pytest.fixture(params=[256, 0], ids=["full", "sparse"], scope="module")
def system(request):
    before, elimination.DENSE = elimination.DENSE, request.param
    yield
    elimination.DENSE = before


def rows(belief, key, size):
    """(mean, cov) of one instance of a node as vector and matrix."""
    mean, cov = (belief.mean, belief.cov) if key[1] < 0 else (belief.mean[key[1]], belief.cov[key[1]])
    return mean.reshape(size), cov.reshape(size, size)


@laws
@given(loopy_gaussians())
def test_beliefs_and_total(system, graph):
    flat = graph.unroll()
    m, dense = run(graph, schedule=EXACT), dense_gaussian(flat)
    np.testing.assert_allclose(m.total, dense.total, **TOLERANCE)
    for name, node in graph.nodes.items():
        if isinstance(node, Observation | Parameter):
            continue
        sequence = hasattr(node, "clock")
        for row in range(node.clock.total) if sequence else [-1]:
            key = (f"{name}[{row}]" if sequence else name, -1)
            mean, cov = rows(m.belief[name], (name, row), node.size)
            np.testing.assert_allclose(mean, dense.mean(key), **TOLERANCE)
            np.testing.assert_allclose(cov, dense.cov(key), **TOLERANCE)


@laws
@given(loopy_gaussians())
def test_beliefs_of_factors(system, graph):
    graph = graph.unroll()
    m, dense = run(graph, schedule=EXACT), dense_gaussian(graph)
    for (name, _), keys in neighbours(graph, Quadratic)[1].items():
        np.testing.assert_allclose(m.belief[name].mean, dense.mean(*keys), **TOLERANCE)
        np.testing.assert_allclose(m.belief[name].cov, dense.cov(*keys), **TOLERANCE)


@settings(max_examples=15)
@given(loopy_gaussians(), seeds)
def test_what_arrives_is_the_derivative_of_total(system, graph, seed):
    rng = np.random.default_rng(seed)
    m = run(graph, schedule=EXACT)
    for name, node in graph.nodes.items():
        if not isinstance(node, Parameter) and (not isinstance(node, Observation) or _unavailable(node)):
            continue
        value = np.asarray(node.value, float)
        way = random_direction(rng, value, symmetric=name.startswith(SYMMETRIC))
        up, down = (run(graph, values={name: value + e * way}, schedule=EXACT).total for e in (1e-5, -1e-5))
        got = m.parameters[name] if isinstance(node, Parameter) else m.gradient[name]
        moved = np.where(np.isnan(value), 0.0, got * way).sum()
        np.testing.assert_allclose(moved, (up - down) / 2e-5, rtol=2e-5, atol=1e-5)


@laws
@given(trees())
def test_trees_as_under_sequential(system, graph):
    m, wanted = run(graph, schedule=EXACT), run(graph, schedule=Sequential())
    assert m.total == pytest.approx(wanted.total, rel=1e-9, abs=1e-8)
    for key, _ in latent_instances(graph):
        for got, known in zip(m.belief[key[0]], wanted.belief[key[0]], strict=True):
            np.testing.assert_allclose(got, known, rtol=1e-7, atol=1e-8)
    for name, node in graph.nodes.items():
        if isinstance(node, Parameter):
            np.testing.assert_allclose(m.parameters[name], wanted.parameters[name], rtol=1e-6, atol=1e-7)


@laws
@given(chains())
def test_unrolled_chains(system, graph):
    flat = graph.unroll()
    m, dense = run(flat, schedule=EXACT), dense_gaussian(flat)
    np.testing.assert_allclose(m.total, dense.total, rtol=1e-7, atol=1e-8)
    for key, _ in latent_instances(flat):
        mean, cov = rows(m.belief[key[0]], key, flat[key[0]].size)
        np.testing.assert_allclose(mean, dense.mean(key), rtol=1e-7, atol=1e-8)
        np.testing.assert_allclose(cov, dense.cov(key), rtol=1e-7, atol=1e-8)


def _unavailable(node):
    return node.value.dtype.kind != "f"
