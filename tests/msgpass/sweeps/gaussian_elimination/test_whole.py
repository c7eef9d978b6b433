"""Draws, entropies, totals of parts and joints of Gaussian graphs with loops."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import Gaussian, JunctionTree, Quadratic, Table, Tangent, run
from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.sweeps.gaussian_elimination import elimination
from tests.msgpass.gaussian_loopy_models import loopy_gaussian, loopy_gaussians
from tests.msgpass.gaussian_models import chain
from tests.msgpass.sweeps.gaussian_elimination.test_exact_relations import ring
from tests.oracles import dense_gaussian

EXACT = JunctionTree()


@pytest.fixture(params=[256, 0], ids=["full", "sparse"], scope="module", autouse=True)
def system(request):
    before, elimination.DENSE = elimination.DENSE, request.param
    yield
    elimination.DENSE = before


@settings(max_examples=20)
@given(loopy_gaussians())
def test_joints_and_parts(graph):
    flat = graph.unroll()
    m, dense = run(flat, schedule=EXACT), dense_gaussian(flat)
    names = [n for n in flat.nodes if (n, -1) in dense.blocks][::-1]
    joint = m.joint(*(flat[n] for n in names))
    keys = [(n, -1) for n in names]
    np.testing.assert_allclose(joint.mean, dense.mean(*keys), rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(joint.cov, dense.cov(*keys), rtol=1e-8, atol=1e-9)
    one_each = [block.nodes[0] for block in flat.plan().blocks]  # a flat graph's components are its parts
    assert sum(m.totals(n).item() for n in one_each) == pytest.approx(m.total)
    spread = sum(m.entropy(n).item() for n in one_each)
    latent = np.linalg.slogdet(2 * np.pi * np.e * joint.cov)[1]
    assert spread == pytest.approx(0.5 * latent, rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("ranks", [(2, 2, 2), (1, 0, 2)])
def test_draws_have_the_posterior_s_moments(ranks):
    g = ring(np.random.default_rng(3), ranks)
    m = run(g, schedule=EXACT)
    n = 20000
    draws = np.hstack([m.sample(name, 7, n) for name in "abc"])
    joint = m.joint(g["a"], g["b"], g["c"])
    scale = np.sqrt(np.diag(joint.cov))
    np.testing.assert_allclose((draws.mean(0) - joint.mean) / scale, 0, atol=0.04)
    np.testing.assert_allclose((np.cov(draws.T) - joint.cov) / np.outer(scale, scale), 0, atol=0.05)
    assert m.sample("a", 7).shape == (2,)
    if ranks[1] == 0:  # c follows b exactly in every draw
        F, b = g["F1"].value, g.factors["f1"].potential.parts["b"]
        np.testing.assert_allclose(draws[:, 4:], draws[:, 2:4] @ F.T + b, atol=1e-8)
        assert m.entropy("a").item() == -np.inf


def test_draws_of_rows():
    g = loopy_gaussian(np.random.default_rng(0), rows=5)
    m = run(g, schedule=EXACT)
    assert m.sample("s", 0, 3).shape == (3, 5, 2)
    np.testing.assert_array_equal(m.sample("s", 0, 3), m.sample("s", 0, 3))


def test_joints_of_chains_and_of_several_components():
    g = chain(np.random.default_rng(0), lengths=(6,))
    far = g.variable("far", shape=())
    g.factor(Quadratic.prior(2.0, 3.0), far)
    z = g.variable("z", states=2)
    g.factor(Table(np.zeros(2)), z)
    m = run(g)
    flat = g.unroll()
    dense, joint = dense_gaussian(flat), m.joint(g["x"][4], far, g["x"][-6])
    keys = [("x[4]", -1), ("far", -1), ("x[0]", -1)]
    np.testing.assert_allclose(joint.mean, dense.mean(*keys), atol=1e-9)
    np.testing.assert_allclose(joint.cov, dense.cov(*keys), atol=1e-9)
    with pytest.raises(UnsupportedError, match="not of both"):
        m.joint(far, z)


def test_readings_that_are_not_there():
    g = loopy_gaussian(np.random.default_rng(0), rows=5, kinds=["relation"] * 6)
    m = run(g, schedule=EXACT)
    with pytest.raises(UnavailableError, match="order that is not time"):
        m.forward["s"]
    with pytest.raises(UnavailableError, match="passes no message between"):
        m.message(g.factors["f0"][0], g.factors["f0"].args[0])
    with pytest.raises(UnavailableError, match=r"m\.parameters\['F0'\]"):
        m.message(g.factors["f0"][0], g["F0"])
    moving = run(g, Tangent({"F0": np.ones_like(g["F0"].value)}, over=Gaussian()), schedule=EXACT)
    assert np.isfinite(moving.total.tangent)
    with pytest.raises(UnsupportedError, match="without second derivatives"):
        moving.parameters["F0"]
