"""Singular noise: equations between variables on loops, against the limit of small noise and against the same
graph with the equations put in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, JunctionTree, Quadratic, check_gradients, run
from msgpass.errors import GraphError, NumericalError
from msgpass.sweeps.gaussian_elimination import elimination
from tests.msgpass.gaussian_models import covariance
from tests.msgpass.table_models import seeds
from tests.oracles import condition_moments

EXACT = JunctionTree()


@pytest.fixture(params=[256, 0], ids=["full", "sparse"], scope="module", autouse=True)
def system(request):
    before, elimination.DENSE = elimination.DENSE, request.param
    yield
    elimination.DENSE = before


def ring(rng, ranks=(1, 0, 2), known=False):
    """Three vectors of two on a ring of relations whose noise has these ranks."""
    g = FactorGraph()
    nodes = [g.variable(name, shape=(2,)) for name in "abc"]
    for k, v in enumerate(nodes[:2]):
        cov = np.zeros((2, 2)) if known and k == 0 else covariance(rng, 2)
        g.factor(Quadratic.prior(g.parameter(f"mean{k}", rng.normal(size=2)), g.parameter(f"cov{k}", cov)), v)
    for k, (i, j) in enumerate([(0, 1), (1, 2), (2, 0)]):
        A = rng.normal(size=(2, ranks[k]))
        noise = g.parameter(f"Q{k}", A @ A.T)
        F = g.parameter(f"F{k}", rng.normal(size=(2, 2)))
        g.factor(Quadratic.linear_gaussian(F, noise, rng.normal(size=2)), nodes[i], nodes[j], name=f"f{k}")
    return g


def conditioned(g):
    """(mean, cov) of a, b, c and log Z: a joint of wide independent priors, conditioned on every relation.

    c has no prior of its own: it is given one that is wide, and put out of log Z again.
    """
    wide = 1e5
    value = lambda name: g[name].value  # noqa: E731
    mean = np.concatenate([value("mean0"), value("mean1"), np.zeros(2)])
    cov = np.zeros((6, 6))
    cov[:2, :2], cov[2:4, 2:4], cov[4:, 4:] = value("cov0"), value("cov1"), wide * np.eye(2)
    H, R, y = np.zeros((6, 6)), np.zeros((6, 6)), np.zeros(6)
    for k, (i, j) in enumerate([(0, 1), (1, 2), (2, 0)]):
        rows = slice(2 * k, 2 * k + 2)
        H[rows, 2 * i : 2 * i + 2] -= value(f"F{k}")
        H[rows, 2 * j : 2 * j + 2] += np.eye(2)
        R[rows, rows] = value(f"Q{k}")
        y[rows] = g.factors[f"f{k}"].potential.parts["b"]
    found, spread, log_z = condition_moments(mean, cov, H, R, y)
    return found, spread, log_z + np.log(2 * np.pi * wide)


@settings(max_examples=25)
@given(seeds, st.tuples(*[st.integers(0, 2)] * 3).filter(lambda r: sum(r) >= 1))
def test_equations_on_a_ring(seed, ranks):
    g = ring(np.random.default_rng(seed), ranks)
    m = run(g, schedule=EXACT)
    mean, cov, log_z = conditioned(g)
    for k, name in enumerate("abc"):
        own = slice(2 * k, 2 * k + 2)
        np.testing.assert_allclose(m.belief[name].mean, mean[own], rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(m.belief[name].cov, cov[own, own], rtol=1e-3, atol=1e-3)
    assert m.total == pytest.approx(log_z, rel=1e-3, abs=1e-2)


@settings(max_examples=15)
@given(seeds, st.booleans())
def test_gradients_of_singular_covariances(seed, known):
    """Totals go on smoothly where a covariance has a negative eigenvalue, so that differences exist."""
    g = ring(np.random.default_rng(seed), (1, 2, 2), known)
    assert not check_gradients(g, schedule=EXACT).failed


def test_small_noise_keeps_its_digits():
    """∂total/∂Q is a difference of numbers of 1/Q: as equations they do not cancel."""
    totals, gradients = [], []
    for noise in (1e-13, 1e-9, 1e-7, 0.0):
        g = ring(np.random.default_rng(4), (2, 2, 2))
        m = run(g, values={"Q0": noise * np.eye(2)}, schedule=EXACT)
        totals.append(m.total)
        gradients.append(m.parameters["Q0"])
    np.testing.assert_allclose(totals, totals[-1], atol=1e-5)
    for found in gradients:
        np.testing.assert_allclose(found, gradients[-1], atol=1e-4)


def test_a_known_variable_has_no_spread():
    m = run(ring(np.random.default_rng(0), (2, 0, 2), known=True), schedule=EXACT)
    np.testing.assert_allclose(m.belief["a"].cov, 0, atol=1e-14)
    assert (np.diag(m.belief["a"].cov) >= 0).all()


def test_equations_that_contradict_each_other():
    g = ring(np.random.default_rng(0), (2, 2, 2), known=True)
    g.factor(Quadratic.prior([1.0, 2.0], np.diag([0.0, 1.0])), g["a"], name="again")
    with pytest.raises(
        NumericalError, match=r"again.* is singular, and what it says exactly repeats or contra"
    ):
        run(g, schedule=EXACT)


def test_flat_and_rising_directions_are_named():
    g = FactorGraph()
    x, i = g.sequence("x", length=3, shape=()), np.arange(3)
    g.factor(Quadratic(np.zeros(2), [[1.0, -1.0], [-1.0, 1.0]]), x[i], x[(i + 1) % 3], name="near")
    with pytest.raises(NumericalError, match=r"nothing determines x\[\d\], x\[\d\], x\[\d\] .*add a prior"):
        run(g, schedule=EXACT)
    g.factor(Quadratic([0.0], [[-0.1]]), x[0], name="away")
    with pytest.raises(NumericalError, match=r"rises without end.*check the precision"):
        run(g, schedule=EXACT)
    lonely = FactorGraph()
    a, b = lonely.variable("a", shape=()), lonely.variable("b", shape=())
    lonely.factor(Quadratic([0.0, 0.0], [[1.0, 0.0], [0.0, 0.0]]), a, b)
    with pytest.raises(NumericalError, match="nothing determines b "):
        run(lonely, schedule=EXACT)


def test_sequential_names_the_schedules_that_take_loops():
    with pytest.raises(GraphError, match=r"loop.*JunctionTree\(\) is exact.*Flooding\(\) approximate"):
        run(ring(np.random.default_rng(0), (2, 2, 2)))
