"""Gaussian chains through their kernels: against the tree sweep, dense solves, and what the data never
say."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import Checkpointed, FactorGraph, FixedLag, ForwardOnly, Quadratic, run
from msgpass.errors import DataError, NumericalError
from msgpass.plan import GaussianChain
from msgpass.sweeps.gaussian_chain import GaussianChainRun
from msgpass.sweeps.information_chain import InformationChainRun
from msgpass.sweeps.tree import TreeRun
from tests.msgpass.gaussian_models import chain, chains, covariance
from tests.oracles import dense_gaussian

TOLERANCE = {"rtol": 1e-7, "atol": 1e-8}


def run_of(m):
    """The run of a graph's one component."""
    (made,) = m._x.runs.values()
    return made


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def walk(rng, T=6, q=1.0, r=2.0, start=10.0, y=None):
    """A local level."""
    g = FactorGraph()
    x = g.sequence("x", length=T)
    y = g.observe("y", rng.normal(size=T).cumsum() if y is None else y)
    if start is not None:
        g.factor(Quadratic.prior(0.0, start), x[0], name="prior")
    g.factor(Quadratic.linear_gaussian(1.0, g.parameter("q", q)), x[:-1], x[1:], name="walk")
    g.factor(Quadratic.observation(1.0, g.parameter("r", r)), x[:], y[:], name="see")
    return g


def test_the_plan_names_it(rng):
    (block,) = walk(rng).plan().blocks
    assert isinstance(block, GaussianChain)
    assert block.link.name == "walk" and {f.name for f in block.unaries} == {"prior", "see"}


@pytest.mark.parametrize("transition", ["shared", "by step", "inputs"])
def test_chains_are_swept_by_kernels(rng, transition):
    assert isinstance(
        run_of(run(chain(rng, transition=transition, locals_=("gappy", "canonical")))), GaussianChainRun
    )


def test_what_is_no_chain_is_a_tree(rng):
    assert isinstance(run_of(run(chain(rng, transition="canonical"))), TreeRun)
    g = FactorGraph()
    x = g.sequence("x", length=4)
    g.factor(Quadratic.prior(0.0, 1.0), x[-1])
    g.factor(Quadratic.linear_gaussian(0.5, 1.0), x[1:], x[:-1])  # against the clock
    assert isinstance(run_of(run(g)), TreeRun)


def test_a_linear_potential_alone_has_no_observation_form(rng):
    """exp(hᵀx) shifts the mean and leaves the covariance."""
    g = FactorGraph()
    x = g.sequence("x", length=3, shape=(2,))
    P = covariance(rng, 2)
    g.factor(Quadratic.prior(np.zeros(2), P), x[0])
    g.factor(Quadratic.linear_gaussian(np.eye(2), np.eye(2)), x[:-1], x[1:])
    g.factor(Quadratic([1.0, -2.0], np.zeros((2, 2))), x[0])
    m = run(g)
    assert isinstance(run_of(m), InformationChainRun)
    np.testing.assert_allclose(m.belief["x"].mean[0], P @ [1.0, -2.0])


@settings(max_examples=25)
@given(chains())
def test_statistics_are_summed_moments(graph):
    m, dense = run(graph), dense_gaussian(graph)
    for name in {"link", "see", "see some", "prior"} & set(graph.factors):
        factor, found = graph.factors[name], m.statistics[name]
        keys = _keys(graph, factor, dense)
        wanted = np.zeros_like(found.raw)
        for mean, cov in keys:
            z = np.concatenate([[1.0], mean])
            wanted += np.outer(z, z)
            wanted[1:, 1:] += cov
        assert found.count == len(keys)
        np.testing.assert_allclose(found.raw, wanted, rtol=1e-6, atol=1e-7)


def _keys(graph, factor, dense):
    """Moments of every instance's variables end to end, where something of an observed target is seen."""
    from msgpass.nodes import Observation
    from tests.oracles import places_of

    found = []
    for j in range(len(factor)):
        parts, seen = [], True
        for s, place in zip(factor.args, places_of(factor), strict=True):
            node, row = s.node, place[j]
            if not isinstance(node, Observation):
                at = dense.index((node.name, row))
                parts += [("free", c) for c in at]
                continue
            value = np.reshape(node.value if row < 0 else node.value[row], -1)
            seen = not (np.isnan(value).all() and s is factor.args[-1])
            axis = factor.args.index(s)
            for c, cell in enumerate(value):
                key = ("missing", factor.name, j, axis, c)
                parts.append(("free", dense.blocks[key].start) if np.isnan(cell) else ("known", cell))
        if not seen:
            continue
        mean = np.array([dense.mean_all[v] if kind == "free" else v for kind, v in parts])
        cov = np.zeros((len(parts), len(parts)))
        free = [i for i, (kind, _) in enumerate(parts) if kind == "free"]
        at = [parts[i][1] for i in free]
        cov[np.ix_(free, free)] = dense.cov_all[np.ix_(at, at)]
        found.append((mean, cov))
    return found


def test_a_flat_start_is_the_limit_of_wide_ones(rng):
    y = rng.normal(size=7).cumsum()
    flat, wide = (run(walk(rng, 7, start=start, y=y)) for start in (None, 1e9))
    np.testing.assert_allclose(flat.belief["x"].mean, wide.belief["x"].mean, rtol=1e-7)
    np.testing.assert_allclose(flat.belief["x"].cov, wide.belief["x"].cov, rtol=1e-7)
    np.testing.assert_allclose(flat.total, wide.total + 0.5 * np.log(2 * np.pi * 1e9), rtol=1e-7)


def test_a_flat_start_that_nothing_determines_is_named(rng):
    g = walk(rng, 4, start=None, y=np.full(4, np.nan))
    with pytest.raises(NumericalError, match="never determine"):
        run(g).total  # noqa: B018


def test_forecasts_of_steps_without_data_have_a_posterior(rng):
    m = run(walk(rng, 4, y=np.full(4, np.nan)))
    np.testing.assert_allclose(m.belief["x"].cov, [10.0, 11.0, 12.0, 13.0])
    assert m.total == 0.0


def test_draws_have_the_posterior_moments(rng):
    m = run(walk(rng, 5))
    draws, belief = m.sample("x", 1, n=40_000), m.belief["x"]
    assert draws.shape == (40_000, 5) and m.sample("x", 1).shape == (5,)
    np.testing.assert_allclose(draws.mean(0), belief.mean, atol=0.03)
    np.testing.assert_allclose(draws.var(0), belief.cov, rtol=0.04)
    pair = m.belief["walk"].cov[:, 0, 1]
    np.testing.assert_allclose([np.cov(draws[:, t : t + 2].T)[0, 1] for t in range(4)], pair, rtol=0.1)
    np.testing.assert_array_equal(m.sample("x", 3, n=2), m.sample("x", 3, n=2))


def test_totals_by_sequence_add_up(rng):
    m = run(chain(rng, lengths=(3, 1, 4), locals_=("observed", "canonical", "second prior")))
    parts = m.totals("x")
    assert parts.shape == (3,)
    np.testing.assert_allclose(parts.sum(), m.total)


def test_missing_inputs_are_named(rng):
    g = FactorGraph()
    x, u = g.sequence("x", length=3), g.observe("u", [[1.0], [np.nan], [2.0]])
    g.factor(Quadratic.prior(0.0, 1.0), x[0])
    g.factor(Quadratic.linear_gaussian([[1.0, 2.0]], 1.0), x[:-1], u[:-1], x[1:], name="driven")
    with pytest.raises(DataError, match=r"'driven' reads u.*missing"):
        run(g)


def test_a_covariance_of_a_run_is_checked(rng):
    with pytest.raises(DataError, match="walk: Q must be a covariance"):
        run(walk(rng), values={"q": -1.0})


def test_gradients_exist_for_singular_noise(rng):
    """By differences of the total, for a noise that a change of scale keeps singular."""
    g = FactorGraph()
    x, y = g.sequence("x", length=6, shape=(2,)), g.observe("y", rng.normal(size=(6, 1)))
    g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x[0])
    F, Q = np.array([[1.0, 1.0], [0.0, 1.0]]), np.diag([0.0, 0.5])
    g.factor(Quadratic.linear_gaussian(g.parameter("F", F), g.parameter("Q", Q)), x[:-1], x[1:])
    g.factor(Quadratic.observation([[1.0, 0.0]], g.parameter("R", 0.3)), x[:], y[:])
    m = run(g)
    for name, value in (("F", F), ("Q", Q)):
        ahead, behind = (run(g, values={name: value * (1 + s)}).total for s in (1e-5, -1e-5))
        np.testing.assert_allclose((m.parameters[name] * value).sum(), (ahead - behind) / 2e-5, rtol=1e-6)


def test_forward_only_is_the_filter(rng):
    g = walk(rng)
    m = run(g, schedule=ForwardOnly())
    np.testing.assert_allclose(m.forward["x"].mean, run(g).forward["x"].mean)
    with pytest.raises(Exception, match="ForwardOnly"):
        m.belief["x"]
    np.testing.assert_allclose(run(g, schedule=FixedLag(0)).belief["x"].mean, m.forward["x"].mean)
    np.testing.assert_allclose(run(g, schedule=Checkpointed(2)).total, m.total)


def test_a_covariance_of_a_parameter_is_checked_with_the_graph(rng):
    with pytest.raises(DataError, match="'walk': Q must be a covariance"):
        walk(rng, q=-1.0)
