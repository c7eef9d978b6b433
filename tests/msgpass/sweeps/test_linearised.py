"""Chains of noisy steps: exact where steps are affine, the MAP path, dense quadrature, whole derivatives."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from msgpass import FactorGraph, ForwardOnly, Gaussian, Quadratic, Step, Table, run
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    GraphError,
    NumericalError,
    ShapeError,
    UnavailableError,
    UnsupportedError,
)
from msgpass.linearisation import Cubature, Extended, GaussHermite, Iterated, Unscented
from msgpass.schedule import Checkpointed, Truncated
from tests.msgpass.nonlinear_models import MIXES, model, models
from tests.oracles import along, dense_gaussian, random_direction

ON_THE_WAY = [Extended(), Unscented(), Cubature(), GaussHermite(3)]
ITERATED = [Iterated(tol=1e-12, max_iter=300), Iterated(Cubature(), tol=1e-12, max_iter=300)]
DIFFERENTIABLE = [*ON_THE_WAY[:3], ITERATED[0]]
some = settings(max_examples=12)


def linear_twin(rng, lengths):
    """(a graph of affine noisy steps, the same as quadratics)."""
    g = model(rng, lengths, linear=True)
    twin = FactorGraph()
    x = twin.sequence("x", length=list(lengths), shape=(2,))
    y, u = (twin.observe(n, g[n].value) for n in "yu")
    a, b = g["theta"].value
    F = np.array([[a, b, 0.0], [0.0, 0.8, 1.0]])
    twin.factor(Quadratic.prior(g["mean"].value, g["cov"].value), x[0], name="start")
    twin.factor(Quadratic.linear_gaussian(F, g["Q"].value), x[:-1], u[:-1], x[1:], name="link")
    H = np.array([[1.0, 0.0], [1.0, -0.2]])
    twin.factor(Quadratic.linear_gaussian(H, g["R"].value, np.array([b, 0.0])), x[:], y[:], name="sensor")
    return g, twin


@pytest.mark.parametrize("rule", [*ON_THE_WAY, *ITERATED], ids=repr)
def test_affine_steps_are_exact_under_every_rule(rule, rng):
    g, twin = linear_twin(rng, [5, 1, 3])
    m, wanted, dense = run(g, Gaussian(rule)), run(twin), dense_gaussian(twin)
    assert m.total == pytest.approx(dense.total, abs=1e-9)
    for t in range(9):
        np.testing.assert_allclose(m.belief["x"].mean[t], dense.mean(("x", t)), atol=1e-8)
        np.testing.assert_allclose(m.belief["x"].cov[t], dense.cov(("x", t)), atol=1e-8)
    np.testing.assert_allclose(m.belief["link"].cov, wanted.belief["link"].cov, atol=1e-8)
    np.testing.assert_allclose(m.forward["x"].mean, wanted.forward["x"].mean, atol=1e-8)
    np.testing.assert_allclose(m.backward["x"].precision, wanted.backward["x"].precision, atol=1e-7)
    np.testing.assert_allclose(m.totals("x"), wanted.totals("x"), atol=1e-8)
    found, sums = m.statistics["link"], wanted.statistics["link"]
    assert found.count == sums.count
    places = [0, 1, 3, 4]  # the twin's relation has the input between
    np.testing.assert_allclose(found.mean, sums.mean[places], atol=1e-8)
    np.testing.assert_allclose(found.scatter, sums.scatter[np.ix_(places, places)], atol=1e-7)


@some
@given(models(), st.sampled_from([*ON_THE_WAY, *ITERATED]))
def test_flat_graphs_have_the_same_messages(graph, rule):
    m, flat = run(graph, Gaussian(rule)), run(graph.unroll(), Gaussian(rule))
    assert flat.total == pytest.approx(m.total, abs=1e-7)
    for t in range(len(graph["x"])):
        np.testing.assert_allclose(flat.belief[f"x[{t}]"].mean, m.belief["x"].mean[t], atol=1e-6)
        np.testing.assert_allclose(flat.belief[f"x[{t}]"].cov, m.belief["x"].cov[t], atol=1e-6)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("rule", DIFFERENTIABLE, ids=repr)
def test_arrivals_are_derivatives_of_total(mix, rule, rng):
    for by_step, vectorized in ((False, True), (True, False)):
        graph, algebra = model(rng, [4, 1, 3], mix, by_step, vectorized), Gaussian(rule)
        m = run(graph, algebra)
        for name in [n for n in graph.nodes if n != "x"]:
            if mix == "curved sensor" and name == "theta" and not by_step:
                assert np.abs(m.gradient[name]).sum() > 0
            direction = random_direction(rng, graph[name].value, name in ("Q", "R", "cov", "W"))
            wanted = along(graph, name, direction, algebra)
            assert (m.gradient[name] * direction).sum() == pytest.approx(wanted, rel=2e-5, abs=2e-6), name


@pytest.mark.parametrize("rule", DIFFERENTIABLE, ids=repr)
def test_derivatives_on_flat_graphs(rule, rng):
    graph, algebra = model(rng, [3, 2], "canonical beside").unroll(), Gaussian(rule)
    m = run(graph, algebra)
    for name in ("theta", "Q", "pull", "cov"):
        direction = random_direction(rng, graph[name].value, name in ("Q", "cov"))
        wanted = along(graph, name, direction, algebra)
        assert (m.parameters[name] * direction).sum() == pytest.approx(wanted, rel=2e-5, abs=2e-6), name


def test_a_step_with_its_own_vjp_has_the_same_derivatives(rng):
    """Second derivatives of a user's vjp are differences of it."""
    x0, y = np.array([0.3]), rng.normal(size=(6, 1))

    def vjp(inputs, cotangent):
        x, w = inputs
        slope = cotangent * np.cos(w * x)
        return slope * w, np.sum(slope * x)

    def graph(**own):
        g = FactorGraph()
        x, data, w = g.sequence("x", length=6, shape=(1,)), g.observe("y", y), g.parameter("w", 1.2)
        g.factor(Quadratic.prior(x0, np.eye(1)), x[0])
        g.factor(Step(lambda x, w: np.sin(w * x), noise=0.1, **own), x[:-1], w, out=x[1:])
        g.factor(Step(lambda x, w: np.sin(w * x), noise=0.1, **own), x[:], w, out=data[:])
        return g

    for rule in DIFFERENTIABLE:
        a, b = (run(graph(**own), Gaussian(rule)) for own in ({}, {"vjp": vjp}))
        assert a.total == pytest.approx(b.total, abs=1e-12)
        np.testing.assert_allclose(a.parameters["w"], b.parameters["w"], rtol=1e-8)


def residuals_of(graph, path):
    """Whitened residuals of a one-sequence model, written out."""
    x, u, y, theta = path.reshape(-1, 2), graph["u"].value, graph["y"].value, graph["theta"].value
    f, h = graph.factors["link"].potential.f, graph.factors["sensor"].potential.f
    white = lambda cov, r: np.linalg.solve(np.linalg.cholesky(cov), r)  # noqa: E731
    parts = [white(graph["cov"].value, x[0] - graph["mean"].value)]
    for t in range(len(x)):
        if t:
            parts.append(white(graph["Q"].value, x[t] - f(x[t - 1], u[t - 1], theta)))
        r, seen = y[t] - h(x[t], theta), ~np.isnan(y[t])
        parts.append(white(graph["R"].value[np.ix_(seen, seen)], r[seen]))
    return np.concatenate(parts)


@pytest.mark.parametrize("settings_", [{}, {"damping": 1.0}], ids=str)
def test_gauss_newton_rests_at_the_map_path(settings_, rng):
    graph = model(rng, [8])
    m = run(graph, Gaussian(Iterated(tol=1e-11, max_iter=300, **settings_)))
    best = least_squares(lambda p: residuals_of(graph, p), np.zeros(16), xtol=1e-15, ftol=1e-15, gtol=1e-15)
    np.testing.assert_allclose(m.belief["x"].mean, best.x.reshape(8, 2), atol=1e-6)
    report = m.linearisation["x"]
    assert report.converged
    assert report.objective[-1] == pytest.approx(best.cost, rel=1e-9)
    assert (np.diff(report.objective) <= 1e-10).all()
    J = best.jac  # Laplace's approximation with the Gauss-Newton Hessian
    covs = [graph["cov"].value, *[graph["Q"].value] * 7]
    for row in graph["y"].value:
        seen = ~np.isnan(row)
        covs.append(graph["R"].value[np.ix_(seen, seen)])
    constants = sum(0.5 * np.linalg.slogdet(2 * np.pi * c)[1] for c in covs)
    laplace = -best.cost - constants + 8 * np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(J.T @ J)[1]
    assert m.total == pytest.approx(laplace, abs=1e-5)


def test_a_line_search_helps_where_full_steps_do_not(rng):
    """arctan from afar: the full Gauss-Newton step overshoots for ever."""

    def graph():
        g = FactorGraph()
        x = g.variable("x", shape=(1,))
        g.factor(Quadratic.prior(np.array([0.0]), np.array([[1e4]])), x)
        g.factor(Step(np.arctan, noise=1e-4), x, out=g.observe("y", np.array([0.1])))
        return g

    start = {"x": np.array([5.0])}
    for settings_ in ({}, {"damping": 1.0}):
        m = run(graph(), Gaussian(Iterated(start=start, **settings_)))
        np.testing.assert_allclose(m.belief["x"].mean, np.tan(0.1), rtol=1e-4)
    with pytest.warns(ConvergenceWarning, match="still moving"):
        m = run(graph(), Gaussian(Iterated(start=start, line_search=False, max_iter=5)))
    assert not m.linearisation["x"].converged


GRID = np.linspace(-5, 5, 601)


def grid_chain(f, h, q, r, y):
    """The same model on a fine grid, through the engine's tables: (log Z, means, variances)."""
    dx = GRID[1] - GRID[0]
    log_normal = lambda d, v: -0.5 * d * d / v - 0.5 * np.log(2 * np.pi * v)  # noqa: E731
    g = FactorGraph()
    z = g.sequence("z", length=len(y), states=len(GRID))
    g.factor(Table(log_normal(GRID - 0.5, 0.3) + np.log(dx)), z[0])
    g.factor(Table(log_normal(GRID[None, :] - f(GRID)[:, None], q) + np.log(dx)), z[:-1], z[1:])
    local = np.where(np.isnan(y), 0.0, log_normal(np.nan_to_num(y) - h(GRID), r))
    g.factor(Table(local), z[:])
    m = run(g)
    p = np.exp(m.belief["z"])
    mean = p @ GRID
    return m.total, mean, p @ GRID**2 - mean**2


@pytest.mark.parametrize(
    ("rule", "of_total", "of_mean"),
    [
        (Extended(), 0.3, 0.06),
        (Unscented(), 0.2, 0.05),
        (Cubature(), 0.2, 0.05),
        (GaussHermite(7), 0.2, 0.05),
        (Iterated(), 0.2, 0.06),
        (Iterated(GaussHermite(7)), 0.08, 0.05),
    ],
    ids=repr,
)
def test_dense_quadrature_on_a_model_of_one_number(rule, of_total, of_mean, rng):
    """A mildly curved model; the figures are what each rule reaches here, rounded up."""
    f, h = (lambda x: x + 0.3 * np.sin(x)), (lambda x: x + 0.1 * x**2)
    q, r, T = 0.1, 0.2, 30
    x = [0.5]
    for _ in range(T - 1):
        x.append(0.8 * f(x[-1]) + np.sqrt(q) * rng.normal())
    y = (h(np.array(x)) + np.sqrt(r) * rng.normal(size=T))[:, None]
    y[7] = np.nan
    step = lambda x: 0.8 * f(x)  # noqa: E731
    total, mean, var = grid_chain(step, h, q, r, y)
    g = FactorGraph()
    v, data = g.sequence("x", length=T), g.observe("y", y[:, 0])
    g.factor(Quadratic.prior(0.5, 0.3), v[0])
    g.factor(Step(step, noise=q, vectorized=True), v[:-1], out=v[1:])
    g.factor(Step(h, noise=r, vectorized=True), v[:], out=data[:])
    m = run(g, Gaussian(rule))
    assert abs(m.total - total) < of_total
    assert np.abs(m.belief["x"].mean - mean).max() < of_mean
    assert np.abs(m.belief["x"].cov - var).max() < of_mean


def test_forward_only_filters(rng):
    graph = model(rng, [4, 3])
    for rule in (Extended(), Iterated()):
        m, whole = run(graph, Gaussian(rule), ForwardOnly()), run(graph, Gaussian(rule))
        assert m.total == pytest.approx(whole.total, abs=1e-9)
        np.testing.assert_allclose(m.forward["x"].mean, whole.forward["x"].mean, atol=1e-9)
        with pytest.raises(UnavailableError, match="ForwardOnly"):
            m.belief["x"]


def test_inputs_that_a_network_computes_get_their_gradient(rng):
    """A deterministic step feeds a noisy one: total is a loss, −log Z."""
    W, data = rng.normal(size=(1, 3)), rng.normal(size=(5, 3))

    def graph():
        g = FactorGraph()
        x, c = g.sequence("x", length=5, shape=(1,)), g.sequence("c", length=5, shape=(1,))
        w, features = g.parameter("w", W), g.observe("features", data)
        g.factor(Step(lambda a, w: np.tanh(w @ a)), features[:], w, out=c[:])
        g.factor(Quadratic.prior(np.zeros(1), np.eye(1)), x[0])
        g.factor(Step(lambda x, c: np.sin(x) + c, noise=0.2), x[:-1], c[:-1], out=x[1:])
        g.factor(Step(np.exp, noise=0.1), x[:], out=g.observe("y", rng.normal(size=(5, 1)))[:])
        return g

    g = graph()
    for rule in DIFFERENTIABLE:
        m, direction = run(g, Gaussian(rule)), rng.normal(size=W.shape)
        assert m.total == pytest.approx(-sum(r.total for r in m._x.runs.values()))
        wanted = along(g, "w", direction, Gaussian(rule))
        assert (m.parameters["w"] * direction).sum() == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def test_singular_noise_on_the_way(rng):
    """A second number that is the first one step ago: exact, and differentiable under Extended."""
    g = FactorGraph()
    x, y = g.sequence("x", length=6, shape=(2,)), g.observe("y", rng.normal(size=(6, 1)))
    w = g.parameter("w", 1.3)
    g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x[0])
    Q = np.diag([0.2, 0.0])
    g.factor(
        Step(lambda x, w: np.stack([np.sin(w * x[0]) - 0.3 * x[1], x[0]]), noise=Q), x[:-1], w, out=x[1:]
    )
    g.factor(Step(lambda x: x[:1] ** 2, noise=0.3), x[:], out=y[:])
    for rule in (Extended(), Cubature(), Iterated(line_search=False), Iterated(Cubature())):
        mean = run(g, Gaussian(rule)).belief["x"].mean
        np.testing.assert_allclose(mean[1:, 1], mean[:-1, 0], atol=1e-7)
    m = run(g)
    assert m.parameters["w"] == pytest.approx(along(g, "w", 1.0), rel=1e-6)
    with pytest.raises(NumericalError, match="positive definite"):
        run(g, Gaussian(Iterated())).parameters["w"]


# -- what cannot be ----------------------------------------------------------------------------------------


def parts():
    g = FactorGraph()
    return g, g.sequence("x", length=4, shape=(2,)), g.observe("y", np.zeros((4, 1)))


def dynamics(x):
    return np.sin(x)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (
            lambda g, x, y: g.factor(Step(dynamics, noise=np.eye(3)), x[:-1], out=x[1:]),
            ShapeError,
            r"\(2, 2\)",
        ),
        (
            lambda g, x, y: g.factor(Step(dynamics, noise=-np.eye(2)), x[:-1], out=x[1:]),
            DataError,
            "covariance",
        ),
        (
            lambda g, x, y: g.factor(Step(dynamics, noise=np.eye(2)), x[:-1], out=(x[1:], x[1:])),
            GraphError,
            "one output",
        ),
        (
            lambda g, x, y: g.factor(Step(dynamics, noise=x[:]), x[:-1], out=x[1:]),
            GraphError,
            "array or a parameter",
        ),
        (
            lambda g, x, y: g.factor(
                Step(dynamics, noise=np.eye(2)), x[:-1], out=g.parameter("p", [0.0, 0.0])
            ),
            GraphError,
            "real variable",
        ),
        (
            lambda g, x, y: g.factor(Step(dynamics, noise=np.eye(2)), x[:-1], out=x.all),
            GraphError,
            "out=",
        ),
        (
            lambda g, x, y: g.factor(Step(dynamics, noise=np.eye(2), kernel="tanh"), x[:-1], out=x[1:]),
            UnsupportedError,
            "kernel=",
        ),
        (
            lambda g, x, y: g.factor(
                Step(lambda z: z, noise=np.eye(2)), g.sequence("z", length=4, states=2)[:-1], out=x[1:]
            ),
            GraphError,
            "discrete",
        ),
    ],
)
def test_factors_that_do_not_fit(build, error, message):
    with pytest.raises(error, match=message):
        build(*parts())


def test_plans_that_do_not_fit():
    g, x, y = parts()
    g.factor(Step(lambda a, b: a + b, noise=np.eye(2)), x[:-2], x[1:-1], out=x[2:])
    with pytest.raises(UnsupportedError, match=r"second order.*hold x\[t\] and x\[t-1\]"):
        g.plan()
    g, x, y = parts()
    g.factor(Step(dynamics, noise=np.eye(2)), x[:-1], out=x[1:])
    g.factor(Step(lambda x: x[:1]), x[:], out=g.sequence("d", length=4, shape=(1,))[:])
    with pytest.raises(GraphError, match=r"is Gaussian.*noise=Q"):
        g.plan()
    g, x, y = parts()
    from msgpass import Loss

    g.factor(Step(dynamics, noise=np.eye(2)), x[:-1], out=x[1:])
    g.factor(Loss(lambda x: (0.0, x)), x[:])
    with pytest.raises(GraphError, match=r"Gaussian.*noise=R"):
        g.plan()
    g, x, y = parts()
    g.factor(Step(dynamics, noise=np.eye(2)), x[:-1], out=x[1:])
    g.factor(Step(dynamics), x.after(g.parameter("s", np.zeros(2))), out=x[:])
    with pytest.raises(UnsupportedError, match="either deterministic"):
        g.plan()
    g, x, y = parts()
    g.factor(Step(dynamics, noise=np.eye(2)), x.after(g.parameter("s", np.zeros(2))), out=x[:])
    with pytest.raises(UnsupportedError, match=r"Quadratic\.prior"):
        g.plan()
    g, x, y = parts()
    w = g.variable("w", shape=(2,))
    g.factor(Step(dynamics, noise=np.eye(2)), x[:-1], out=x[1:])
    g.factor(Step(lambda w: w[:1], noise=1.0), w, out=y[:])
    with pytest.raises(UnsupportedError, match="closes loops"):
        g.plan()
    g, x, y = parts()
    w = g.sequence("w", length=4, shape=(2,))
    g.factor(Step(lambda a, b: a + b, noise=np.eye(2)), x[:-1], w[:-1], out=x[1:])
    with pytest.raises(UnsupportedError, match="one state vector"):
        g.plan()


def test_runs_that_cannot_be(rng):
    g, x, y = parts()
    g.factor(Step(dynamics, noise=np.eye(2)), x[:-1], out=x[1:])
    g.factor(Step(lambda x: x[:1], noise=1.0), x[:], out=y[:])
    with pytest.raises(UnsupportedError, match=r"nothing is known of x\[0\]"):
        run(g)
    start = {"x": np.ones((4, 2))}
    g.factor(Quadratic.observation(np.eye(2), np.eye(2), np.ones(2)), x[0])
    assert run(g, Gaussian(Iterated(start=start))).linearisation["x"].converged
    with pytest.raises(DataError, match="no path"):
        run(g, Gaussian(Iterated(start={"z": 0})))
    with pytest.raises(ShapeError, match="start"):
        run(g, Gaussian(Iterated(start={"x": np.ones(3)})))
    graph = model(rng, [4])
    for schedule in (Checkpointed(2), Truncated(1, 2)):
        with pytest.raises(UnsupportedError, match="Sequential"):
            run(graph, schedule=schedule)
    with pytest.raises(DataError, match="missing"):
        run(graph, values={"u": np.full((4, 1), np.nan)})
    with pytest.raises(DataError, match="covariance"):
        run(graph, values={"Q": -np.eye(2)})
    with pytest.raises(UnsupportedError, match="on the way"):
        run(graph, Gaussian(Iterated(Cubature()))).parameters["theta"]
    with pytest.raises(UnsupportedError, match="linearisation"):
        Gaussian("extended")
    with pytest.raises(UnavailableError):
        run(graph).linearisation["y"]
    with pytest.raises(UnsupportedError, match="not kept"):
        run(graph).message(graph["link"][0], graph["theta"])


def test_a_step_that_overflows_says_where():
    g = FactorGraph()
    x = g.sequence("x", length=6)
    g.factor(Quadratic.prior(3.0, 1.0), x[0])
    g.factor(Step(lambda x: np.exp(x), noise=1.0), x[:-1], out=x[1:])
    with pytest.raises(NumericalError, match="derivative of 'step' is NaN or infinite in instance 2"):
        run(g)
    with pytest.raises(NumericalError, match="'step' became NaN or infinite in instance"):
        run(g, Gaussian(Cubature()))


def test_messages_of_single_instances(rng):
    graph = model(rng, [4])
    m = run(graph)
    said = m.message(graph["link"][1], graph["x"][1])
    np.testing.assert_allclose(np.ravel(said.h), m.backward["x"].h[1], atol=1e-8)
    assert m.sample("x", 0, 5).shape == (5, 4, 2)
