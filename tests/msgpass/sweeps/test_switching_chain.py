"""Switching chains: exact where Kim's filter is, near the exact mixture elsewhere, and what is refused."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import (
    AssumedDensity,
    Checkpointed,
    FactorGraph,
    FixedLag,
    ForwardOnly,
    Gaussian,
    Loss,
    Quadratic,
    Step,
    Table,
    run,
)
from msgpass.errors import ImpossibleEvidenceError, UnavailableError, UnsupportedError
from msgpass.plan import SwitchingChain
from tests.msgpass.gaussian_models import covariance, gaps
from tests.msgpass.table_models import seeds
from tests.oracles import along, condition_moments, random_direction

TOLERANCE = {"rtol": 1e-7, "atol": 1e-8}


def model(
    rng, K=2, n=2, p=1, lengths=(4,), gappy=False, inputs=False, same=False, switch="all"
) -> FactorGraph:
    """A random switching chain; with ``same`` every state has the matrices of the first."""
    T = sum(lengths)
    g = FactorGraph()
    z, x = g.sequence("z", length=list(lengths), states=K), g.sequence("x", length=list(lengths), shape=(n,))
    y = rng.normal(size=(T, p))
    y = g.observe("y", gaps(rng, y) if gappy else y)
    g.factor(Table(g.parameter("start", np.log(rng.dirichlet(np.ones(K))))), z[0], name="initial")
    g.factor(
        Table(g.parameter("A", np.log(rng.dirichlet(np.ones(K), size=K)))), z[:-1], z[1:], name="transition"
    )
    each = lambda draw: np.stack([draw()] * K if same else [draw() for _ in range(K)])  # noqa: E731
    mean, cov = (
        g.parameter("mean", each(lambda: rng.normal(size=n))),
        g.parameter("cov", each(lambda: covariance(rng, n))),
    )
    g.factor(Quadratic.prior(mean, cov), z[0], x[0], name="prior")
    wide = n + 2 * inputs
    F = g.parameter("F", each(lambda: 0.6 * rng.normal(size=(n, wide))))
    Q, b = (
        g.parameter("Q", each(lambda: covariance(rng, n))),
        g.parameter("b", each(lambda: rng.normal(size=n))),
    )
    sources = (x[:-1], g.observe("u", rng.normal(size=(T, 2)))[:-1]) if inputs else (x[:-1],)
    g.factor(Quadratic.linear_gaussian(F, Q, b), z[1:], *sources, x[1:], name="link")
    H, R = (
        g.parameter("H", each(lambda: rng.normal(size=(p, n)))),
        g.parameter("R", each(lambda: covariance(rng, p))),
    )
    if switch == "link":
        H, R = g.parameter("one H", rng.normal(size=(p, n))), covariance(rng, p)
        g.factor(Quadratic.observation(H, R), x[:], y[:], name="see")
    else:
        g.factor(Quadratic.observation(H, R), z[:], x[:], y[:], name="see")
    return g


def exact(g):
    """log Z, P(z), E x and Cov x by going through all paths of states of one sequence."""
    value = lambda name: g.nodes[name].value  # noqa: E731
    K, T = g["z"].states, g["z"].clock.total
    y, n = value("y"), g["x"].size
    H = value("H") if "H" in g.nodes and "see" in g.factors and len(g.factors["see"].args) == 3 else None
    found = []
    for path in itertools.product(range(K), repeat=T):
        m, P = value("mean")[path[0]], value("cov")[path[0]]
        mean, cov = m, P
        score = value("start")[path[0]]
        for t in range(1, T):
            F, s = value("F")[path[t]], path[t]
            b = value("b")[s] + (F[:, n:] @ value("u")[t - 1] if "u" in g.nodes else 0)
            F = F[:, :n]
            last = slice((t - 1) * n, t * n)
            score += value("A")[path[t - 1], s]
            mean = np.concatenate([mean, F @ mean[last] + b])
            cross = F @ cov[last]
            cov = np.block([[cov, cross.T], [cross, F @ cov[last, last] @ F.T + value("Q")[s]]])
        big = np.zeros((y.size, T * n))
        R = np.zeros((y.size, y.size))
        for t, s in enumerate(path):
            rows = slice(t * y.shape[1], (t + 1) * y.shape[1])
            if H is not None:
                big[rows, t * n : (t + 1) * n], R[rows, rows] = H[s], value("R")[s]
            else:
                see = g.factors["see"].potential.parts
                big[rows, t * n : (t + 1) * n], R[rows, rows] = value("one H"), see["R"]
        mean, cov, log_density = condition_moments(mean, cov, big, R, y.reshape(-1))
        found.append((path, score + log_density, mean, cov))
    scores = np.array([s for _, s, _, _ in found])
    total = np.logaddexp.reduce(scores)
    w = np.exp(scores - total)
    states = np.array([[w[[p[t] == k for p, *_ in found]].sum() for k in range(K)] for t in range(T)])
    mean = sum(a * m for a, (_, _, m, _) in zip(w, found, strict=True))
    second = sum(a * (P + np.outer(m, m)) for a, (_, _, m, P) in zip(w, found, strict=True))
    cov = second - np.outer(mean, mean)
    blocks = np.stack([cov[t * n : (t + 1) * n, t * n : (t + 1) * n] for t in range(T)])
    return total, states, mean.reshape(T, n), blocks


models = st.builds(
    lambda seed, K, n, p, T, gappy, inputs, switch: model(
        np.random.default_rng(seed), K, n, p, (T,), gappy, inputs, switch=switch
    ),
    seeds,
    st.integers(1, 3),
    st.integers(1, 2),
    st.integers(1, 2),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["all", "link"]),
)


@settings(max_examples=30)
@given(models)
def test_two_rows_are_exact(g):
    m, (total, states, mean, cov) = run(g), exact(g)
    np.testing.assert_allclose(m.total, total, **TOLERANCE)
    np.testing.assert_allclose(np.exp(m.forward["z"][-1]), states[-1], **TOLERANCE)
    np.testing.assert_allclose(m.forward["x"].mean[-1], mean[-1], **TOLERANCE)
    np.testing.assert_allclose(m.forward["x"].cov[-1], cov[-1], **TOLERANCE)


@settings(max_examples=15)
@given(seeds, st.booleans(), st.booleans())
def test_states_that_differ_in_nothing_are_the_kalman_smoother(seed, gappy, inputs):
    rng = np.random.default_rng(seed)
    g = model(rng, 3, 2, 1, (5, 3), gappy, inputs, same=True)

    def value(name):
        shared = name in ("mean", "cov", "F", "Q", "b", "H", "R")
        return g.nodes[name].value[0] if shared else g.nodes[name].value

    plain = FactorGraph()
    x, y = plain.sequence("x", length=[5, 3], shape=(2,)), plain.observe("y", value("y"))
    plain.factor(Quadratic.prior(value("mean"), value("cov")), x[0])
    sources = (x[:-1], plain.observe("u", value("u"))[:-1]) if inputs else (x[:-1],)
    plain.factor(Quadratic.linear_gaussian(value("F"), value("Q"), value("b")), *sources, x[1:], name="link")
    plain.factor(Quadratic.observation(value("H"), value("R")), x[:], y[:])
    ours, kalman = run(g, AssumedDensity()), run(plain)
    np.testing.assert_allclose(ours.total, kalman.total, **TOLERANCE)
    np.testing.assert_allclose(ours.belief["x"].mean, kalman.belief["x"].mean, **TOLERANCE)
    np.testing.assert_allclose(ours.belief["x"].cov, kalman.belief["x"].cov, **TOLERANCE)
    np.testing.assert_allclose(ours.belief["link"].cov, kalman.belief["link"].cov, **TOLERANCE)


@settings(max_examples=10)
@given(seeds)
def test_one_state_has_the_gradients_of_the_exact_total(seed):
    rng = np.random.default_rng(seed)
    g = model(rng, 1, 2, 2, (4, 2), gappy=True, inputs=True)
    m = run(g)
    for name in ("mean", "cov", "F", "Q", "b", "H", "R", "u", "y"):
        value = np.nan_to_num(g.nodes[name].value)
        direction = random_direction(rng, value, symmetric=name in ("cov", "Q", "R"))
        arrived = m.gradient[name] if name in ("u", "y") else m.parameters[name]
        if name == "y":
            direction = np.where(np.isnan(g.nodes["y"].value), 0.0, direction)
        np.testing.assert_allclose(
            (arrived * direction).sum(), along(g, name, direction), rtol=1e-5, atol=1e-6
        )


def test_beside_a_loss_gradients_are_of_minus_log_z():
    """With one state the posterior is exact, and so are they."""
    rng = np.random.default_rng(0)
    g = model(rng, 1, 2, 1, (4,), inputs=True)
    h, w = g.variable("h", shape=(1,)), g.parameter("w", np.ones(1))
    g.factor(Step(lambda w: 2 * w), w, out=h)
    g.factor(Loss(lambda h: (float((h**2).sum() / 2), (h,))), h)
    m = run(g)
    for name in ("A", "mean", "cov", "F", "Q", "b", "H", "R", "u", "y"):
        direction = random_direction(rng, g.nodes[name].value, symmetric=name in ("cov", "Q", "R"))
        arrived = (m.gradient[name] * direction).sum()
        np.testing.assert_allclose(arrived, along(g, name, direction), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("T", "off"), [(4, 0.1), (6, 0.35)])
def test_longer_chains_are_near_the_exact_mixture(T, off):
    """log Z, probabilities of states, and means in standard deviations of the exact posterior."""
    worst = np.zeros(3)
    for seed in range(8):
        g = model(np.random.default_rng(seed), 2, 1, 1, (T,))
        m, (total, states, mean, cov) = run(g), exact(g)
        states_off = abs(np.exp(m.belief["z"]) - states).max()
        means_off = (abs(m.belief["x"].mean - mean) / np.sqrt(cov[:, :, 0])).max()
        worst = np.maximum(worst, [abs(m.total - total), states_off, means_off])
    assert (worst < [0.01, 0.1, off]).all(), worst


def test_beliefs_are_consistent():
    rng = np.random.default_rng(1)
    g = model(rng, 3, 2, 1, (5, 1, 3), gappy=True)
    assert isinstance(g.plan().blocks[0], SwitchingChain)
    m = run(g)
    joint, single = np.exp(m.belief["transition"]), np.exp(m.belief["z"])
    np.testing.assert_allclose(single.sum(1), 1)
    earlier, later = [0, 1, 2, 3, 6, 7], [1, 2, 3, 4, 7, 8]
    np.testing.assert_allclose(joint.sum(1), single[later], atol=1e-12)
    np.testing.assert_allclose(joint.sum(2), single[earlier], atol=1e-12)
    np.testing.assert_allclose(m.parameters["A"], joint.sum(0))
    mixture = m.mixture("x")
    np.testing.assert_allclose(
        np.einsum("tk,tka->ta", np.exp(mixture.log_weights), mixture.means), m.belief["x"].mean
    )
    np.testing.assert_allclose(m.belief["link"].mean[:, 2:], m.belief["x"].mean[later])


def test_known_states_are_exact():
    """Clamping the states leaves one Gaussian."""
    g = model(np.random.default_rng(2), 2, 2, 1, (4,))
    path = [0, 1, 1, 0]
    m = run(g, values={"z": path})
    clamped = FactorGraph()
    value = lambda name: g.nodes[name].value  # noqa: E731
    x, y = clamped.sequence("x", length=4, shape=(2,)), clamped.observe("y", value("y"))
    clamped.factor(Quadratic.prior(value("mean")[0], value("cov")[0]), x[0])
    clamped.factor(Quadratic.linear_gaussian(*(value(n)[path[1:]] for n in ("F", "Q", "b"))), x[:-1], x[1:])
    clamped.factor(Quadratic.observation(*(value(n)[path] for n in ("H", "R"))), x[:], y[:])
    kalman = run(clamped)
    np.testing.assert_allclose(m.belief["x"].mean, kalman.belief["x"].mean, **TOLERANCE)
    log_path = value("start")[0] + value("A")[[0, 1, 1], [1, 1, 0]].sum()
    np.testing.assert_allclose(m.total, kalman.total + log_path, **TOLERANCE)


def test_forward_only_is_the_filter():
    g = model(np.random.default_rng(3))
    m = run(g, schedule=ForwardOnly())
    assert m.total == run(g).total
    np.testing.assert_array_equal(m.forward["z"], run(g).forward["z"])
    mixture = m.mixture("x", filtered=True)
    np.testing.assert_array_equal(mixture.log_weights, m.forward["z"])
    np.testing.assert_allclose(m.totals("x").sum(), m.total)
    with pytest.raises(UnavailableError, match="filtered=True"):
        m.mixture("x")
    with pytest.raises(UnsupportedError, match=r"m.mixture"):
        run(g).sample("z", 0)
    with pytest.raises(UnavailableError, match="ForwardOnly"):
        m.belief["z"]


def test_impossible_states_have_no_posterior():
    g = model(np.random.default_rng(4))
    m = run(g, values={"start": [-np.inf, -np.inf]})
    assert m.total == -np.inf
    with pytest.raises(ImpossibleEvidenceError, match="probability zero"):
        m.belief["x"]


def test_hard_zeros_in_the_transition_stay_finite():
    g = model(np.random.default_rng(5), lengths=(6,))
    m = run(g, values={"A": [[0.0, -np.inf], [-np.inf, 0.0]]})
    belief = np.exp(m.belief["z"])
    np.testing.assert_allclose(belief, np.tile(belief[:1], (6, 1)), atol=1e-12)
    assert np.isfinite(m.belief["x"].cov).all()


@pytest.mark.parametrize("schedule", [FixedLag(1), Checkpointed(2)])
def test_schedules_that_it_lacks_are_named(schedule):
    with pytest.raises(UnsupportedError, match="use Sequential"):
        run(model(np.random.default_rng(0)), schedule=schedule)


def test_what_is_not_there_says_what_is():
    g = model(np.random.default_rng(0))
    m = run(g)
    with pytest.raises(UnavailableError, match=r"m.forward\['x'\] is the filter"):
        m.backward["x"]
    with pytest.raises(UnsupportedError, match=r"m.mixture"):
        m.message(g.factors["link"][0], g["x"][1])
    with pytest.raises(UnsupportedError, match="AssumedDensity"):
        run(g, {"x": Gaussian()})


def test_a_mixed_graph_of_another_shape_names_the_way_out():
    g = FactorGraph()
    z, x = g.sequence("z", length=3, states=2), g.sequence("x", length=3)
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    g.factor(Quadratic.prior(0.0, 1.0), x[0])
    g.factor(Quadratic.linear_gaussian(np.ones((2, 1, 1)), np.ones((2, 1, 1))), z[:-1], x[:-1], x[1:])
    with pytest.raises(UnsupportedError, match=r"z\[1:\], x\[:-1\], x\[1:\]"):
        run(g)


@pytest.mark.parametrize("inputs", [False, True])
def test_statistics_of_one_state_are_those_of_the_gaussian_chain(inputs):
    rng = np.random.default_rng(6)
    g = model(rng, 1, 2, 3, (6, 3), gappy=True, inputs=inputs)
    value = lambda name: g.nodes[name].value  # noqa: E731
    plain = FactorGraph()
    x, y = plain.sequence("x", length=[6, 3], shape=(2,)), plain.observe("y", value("y"))
    sources = (x[:-1], plain.observe("u", value("u"))[:-1]) if inputs else (x[:-1],)
    plain.factor(Quadratic.prior(value("mean")[0], value("cov")[0]), x[0], name="prior")
    link = Quadratic.linear_gaussian(*(value(n)[0] for n in "FQb"))
    plain.factor(link, *sources, x[1:], name="link")
    plain.factor(Quadratic.observation(value("H")[0], value("R")[0]), x[:], y[:], name="see")
    ours, kalman = run(g).statistics, run(plain).statistics
    for name in ("prior", "link", "see"):
        for mine, wanted in zip(ours[name][0], kalman[name], strict=True):
            np.testing.assert_allclose(mine, wanted, rtol=1e-7, atol=1e-8)


def test_statistics_by_state_add_up():
    """Over states they are the moments whatever the state; of known states, those of its own rows."""
    g = model(np.random.default_rng(7), 3, 2, 1, (9,))
    m = run(g)
    for name in ("link", "see"):
        raws = sum(sums.raw for sums in m.statistics[name])
        belief = m.belief[name]
        mean, cov = belief.mean.reshape(len(belief.mean), -1), belief.cov
        first = mean.sum(0)
        np.testing.assert_allclose(raws[0, 1 : 1 + mean.shape[1]], first)
        second = cov.sum(0) + mean.T @ mean
        np.testing.assert_allclose(raws[1 : 1 + mean.shape[1], 1 : 1 + mean.shape[1]], second)
    counts = [sums.count for sums in m.statistics["see"]]
    np.testing.assert_allclose(counts, np.exp(m.belief["z"]).sum(0))
    with pytest.raises(UnavailableError, match="prior, see, link"):
        m.statistics["transition"]
