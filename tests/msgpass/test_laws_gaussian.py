"""Laws of the Gaussian algebra under every exact schedule, on sliced and on flat graphs, against one dense
solve."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, ForwardOnly, ParallelScan, Quadratic, Sequential, run
from msgpass.nodes import Parameter
from tests.msgpass.gaussian_models import chains, covariance, gaps, trees
from tests.msgpass.laws import latent_instances, neighbours
from tests.msgpass.table_models import seeds
from tests.oracles import (
    along,
    condition_moments,
    dense_gaussian,
    finite_difference,
    linear_gaussian_joint,
    random_direction,
)

TOLERANCE = {"rtol": 1e-7, "atol": 1e-8}
GRADIENT = {"rtol": 2e-5, "atol": 1e-6}

laws = settings(max_examples=25)
models = st.one_of(chains(), trees())


@pytest.fixture(
    params=[Sequential(), Checkpointed(2), ParallelScan()],
    ids=["sequential", "checkpointed", "scan"],
    scope="module",
)
def schedule(request):
    return request.param


@pytest.fixture(params=[lambda g: g, lambda g: g.unroll()], ids=["sliced", "flat"], scope="module")
def layout(request):
    return request.param


def moments(belief, key, size):
    """(mean, cov) of one instance as vector and matrix."""
    row = (lambda a: a) if key[1] < 0 else (lambda a: a[key[1]])
    return row(belief.mean).reshape(size), row(belief.cov).reshape(size, size)


@laws
@given(models)
def test_total(schedule, layout, graph):
    graph, wanted = layout(graph), dense_gaussian(graph).total
    np.testing.assert_allclose(run(graph, schedule=schedule).total, wanted, **TOLERANCE)
    np.testing.assert_allclose(run(graph, schedule=ForwardOnly()).total, wanted, **TOLERANCE)


@laws
@given(models)
def test_beliefs_of_variables(schedule, layout, graph):
    graph = layout(graph)
    m, dense = run(graph, schedule=schedule), dense_gaussian(graph)
    for key, _ in latent_instances(graph):
        mean, cov = moments(m.belief[key[0]], key, graph[key[0]].size)
        np.testing.assert_allclose(mean, dense.mean(key), **TOLERANCE)
        np.testing.assert_allclose(cov, dense.cov(key), **TOLERANCE)


@laws
@given(models)
def test_beliefs_of_factors(schedule, layout, graph):
    graph = layout(graph)
    m, dense = run(graph, schedule=schedule), dense_gaussian(graph)
    for (name, j), keys in neighbours(graph, Quadratic)[1].items():
        belief = m.belief[name]
        if graph.factors[name].counts is not None:
            belief = type(belief)(belief.mean[j], belief.cov[j])
        np.testing.assert_allclose(belief.mean, dense.mean(*keys), **TOLERANCE)
        np.testing.assert_allclose(belief.cov, dense.cov(*keys), **TOLERANCE)


SYMMETRIC = {"cov", "Q", "R", "S", "W", "precision"}  # these move symmetrically only


@settings(max_examples=12)
@given(models, seeds)
def test_what_arrives_at_a_parameter_is_the_derivative_of_total(schedule, layout, graph, seed):
    graph, rng = layout(graph), np.random.default_rng(seed)
    m = run(graph, schedule=schedule)
    for name, node in graph.nodes.items():
        if isinstance(node, Parameter):
            direction = random_direction(rng, node.value, symmetric=name in SYMMETRIC)
            np.testing.assert_allclose(
                (m.parameters[name] * direction).sum(), along(graph, name, direction), **GRADIENT
            )


@settings(max_examples=12)
@given(chains())
def test_gradient_of_observations(graph):
    m = run(graph)
    for name in {"y", "v", "o", "u", "inputs", "drive"} & set(graph.nodes):
        np.testing.assert_allclose(m.gradient[name], finite_difference(graph, name), **GRADIENT)


@laws
@given(models)
def test_messages_at_a_variable_add_to_its_belief(schedule, layout, graph):
    graph = layout(graph)
    m, dense = run(graph, schedule=schedule), dense_gaussian(graph)
    of_variable, _ = neighbours(graph, Quadratic)
    for key, handle in latent_instances(graph):
        n = graph[key[0]].size
        arriving = {f: m.message(graph.factors[f[0]][f[1]], handle) for f in of_variable[key]}
        precision = np.linalg.inv(dense.cov(key))
        np.testing.assert_allclose(
            sum(a.precision.reshape(n, n) for a in arriving.values()), precision, rtol=1e-6, atol=1e-7
        )
        np.testing.assert_allclose(
            sum(a.h.reshape(n) for a in arriving.values()), precision @ dense.mean(key), rtol=1e-6, atol=1e-7
        )
        for f in arriving:
            sent = m.message(handle, graph.factors[f[0]][f[1]])
            others = [a for o, a in arriving.items() if o != f]
            np.testing.assert_allclose(
                sent.precision,
                sum((a.precision for a in others), np.zeros_like(sent.precision)),
                rtol=1e-6,
                atol=1e-7,
            )
            np.testing.assert_allclose(
                sent.h, sum((a.h for a in others), np.zeros_like(sent.h)), rtol=1e-6, atol=1e-7
            )


@laws
@given(chains())
def test_forward_is_the_filter_and_backward_the_rest(graph):
    m = run(graph)
    x, n = graph["x"], graph["x"].size
    forward, backward, belief = m.forward["x"], m.backward["x"], m.belief["x"]
    for first, length in zip(x.clock.offsets, x.clock.lengths, strict=False):
        for t in range(first, first + length):
            past = dense_gaussian(
                graph, keep=lambda keys, t=t, first=first: all(first <= k[1] <= t for k in keys)
            )
            np.testing.assert_allclose(forward.mean[t].reshape(n), past.mean(("x", t)), **TOLERANCE)
            np.testing.assert_allclose(forward.cov[t].reshape(n, n), past.cov(("x", t)), **TOLERANCE)
            both = (forward.precision[t] + backward.precision[t]).reshape(n, n)
            np.testing.assert_allclose(both, np.linalg.inv(belief.cov[t].reshape(n, n)), rtol=1e-6, atol=1e-7)
            np.testing.assert_allclose(
                (forward.h[t] + backward.h[t]).reshape(n),
                both @ belief.mean[t].reshape(n),
                rtol=1e-6,
                atol=1e-7,
            )
        assert not np.any(backward.h[first + length - 1]), "nothing comes after the last step"


@laws
@given(seeds, st.integers(1, 5), st.integers(0, 2), st.booleans())
def test_singular_transition_noise_and_a_known_start(schedule, layout, seed, T, rank, known):
    """Q of rank 0, 1 or 2 and a start without spread: against the joint moments, which invert neither."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(2, rank))
    F, Q, b, H, R = (
        0.8 * rng.normal(size=(2, 2)),
        half @ half.T,
        rng.normal(size=2),
        rng.normal(size=(1, 2)),
        covariance(rng, 1),
    )
    mean, cov = rng.normal(size=2), np.zeros((2, 2)) if known else covariance(rng, 2)
    y = gaps(rng, rng.normal(size=(T, 1)))
    g = FactorGraph()
    x = g.sequence("x", length=T, shape=(2,))
    g.factor(Quadratic.prior(mean, cov), x[0])
    g.factor(Quadratic.linear_gaussian(F, Q, b), x[:-1], x[1:], name="link")
    g.factor(Quadratic.observation(H, R), x[:], g.observe("y", y)[:])
    m, joint = run(layout(g), schedule=schedule), linear_gaussian_joint(mean, cov, F, Q, b, T)
    mean, cov, log_z = condition_moments(*joint, np.kron(np.eye(T), H), np.kron(np.eye(T), R), y.ravel())
    np.testing.assert_allclose(m.total, log_z, **TOLERANCE)
    for t in range(T):
        at = slice(2 * t, 2 * t + 2)
        belief = m.belief["x"] if "x" in m.graph.nodes else m.belief[f"x[{t}]"]
        got = (belief.mean[t], belief.cov[t]) if "x" in m.graph.nodes else belief
        np.testing.assert_allclose(got[0], mean[at], **TOLERANCE)
        np.testing.assert_allclose(got[1], cov[at, at], rtol=1e-6, atol=1e-7)


@settings(max_examples=12)
@given(seeds, st.integers(1, 4), st.integers(0, 2), st.booleans())
def test_gradients_at_singular_transition_noise_and_a_known_start(schedule, layout, seed, T, rank, known):
    """Finite differences along directions that keep covariances as singular as they are; a rank that only
    rounding fills up is one, too."""
    rng = np.random.default_rng(seed)
    half, start = rng.normal(size=(3, rank)), rng.normal(size=(3, 1 if known else 3))
    given = {
        "mean": rng.normal(size=3),
        "cov": start @ start.T,
        "F": 0.5 * rng.normal(size=(3, 4)),
        "Q": half @ half.T,
        "b": rng.normal(size=3),
    }
    g = FactorGraph()
    x, u = g.sequence("x", length=T, shape=(3,)), g.observe("u", rng.normal(size=(T, 1)))
    put = {name: g.parameter(name, value) for name, value in given.items()}
    g.factor(Quadratic.prior(put["mean"], put["cov"]), x[0])
    if T > 1:
        g.factor(Quadratic.linear_gaussian(put["F"], put["Q"], put["b"]), x[:-1], u[:-1], x[1:])
    y = g.observe("y", gaps(rng, rng.normal(size=(T, 2))))
    g.factor(Quadratic.observation(rng.normal(size=(2, 3)), np.eye(2)), x[:], y[:])
    m = run(layout(g), schedule=schedule)
    for name, value in given.items():
        turn = value if name in ("cov", "Q") else rng.normal(size=value.shape)
        up, down = (run(g, values={name: value + e * turn}).total for e in (1e-5, -1e-5))
        assert np.sum(m.parameters[name] * turn) == pytest.approx((up - down) / 2e-5, rel=2e-6, abs=1e-6)
    assert np.abs(m.parameters["Q"]).max() < 1e4
