"""Published numbers: small models whose answers stand in textbooks and test suites, through `run`."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import (
    FactorGraph,
    Flooding,
    Gaussian,
    JunctionTree,
    Loss,
    MaxProduct,
    Quadratic,
    Step,
    Table,
    Tangent,
    run,
)

TIGHT = {"rtol": 0, "atol": 5e-11}


def hmm(initial, transition, emission, observed):
    """A categorical hidden Markov model with named parameters."""
    g = FactorGraph()
    z = g.sequence("z", length=len(observed), states=len(initial))
    y = g.observe("y", observed, states=np.shape(emission)[1])
    for name, table, slices in (
        ("initial", initial, (z[0],)),
        ("transition", transition, (z[:-1], z[1:])),
        ("emission", emission, (z[:], y[:])),
    ):
        g.factor(Table(g.parameter(name, np.log(table))), *slices, name=f"{name} factor")
    return g


@pytest.fixture
def umbrella():
    """Russell & Norvig's umbrella world: rain is state 0, an umbrella symbol 1."""
    return hmm([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], [[0.1, 0.9], [0.8, 0.2]], [1, 1, 0, 1, 1])


def normalised(logs):
    return np.exp(logs - np.logaddexp.reduce(logs, axis=-1, keepdims=True))


def test_umbrella_filter_and_smoother(umbrella):
    m = run(umbrella)
    assert m.total == pytest.approx(-3.372502044332175, abs=1e-14)
    np.testing.assert_allclose(
        normalised(m.forward["z"])[:, 0],
        [0.8181818182, 0.8833570413, 0.1906679397, 0.7307940046, 0.8673388896],
        **TIGHT,
    )
    np.testing.assert_allclose(
        np.exp(m.belief["z"][:, 0]),
        [0.8673388896, 0.8204190536, 0.3074835760, 0.8204190536, 0.8673388896],
        **TIGHT,
    )


def test_umbrella_expected_transitions(umbrella):
    np.testing.assert_allclose(
        run(umbrella).parameters["transition"],
        [[2.0801861887, 0.73547438], [0.73547438, 0.44886504]],
        rtol=0,
        atol=5e-9,
    )


def test_umbrella_best_path(umbrella):
    m = run(umbrella, MaxProduct())
    assert m.assignment["z"].tolist() == [0, 0, 1, 0, 0]
    assert m.total == pytest.approx(-4.459028291034797, abs=1e-14)


def test_umbrella_path_entropy(umbrella):
    """H = log Z − E[log joint] = log Z − Σ counts · log tables; the value is the enumeration over the 32
    paths in fractions."""
    m = run(umbrella)
    expected = sum((m.parameters[name] * umbrella[name].value).sum() for name in m.parameters)
    assert m.total - expected == pytest.approx(2.2169288313, abs=5e-11)


def test_umbrella_one_step_of_baum_welch():
    """From B = ((.9, .1), (.2, .8)) and y = 0, 0, 1, 0, 0: the normalised counts, and the log-likelihood that
    they reach."""
    g = hmm([0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]], [[0.9, 0.1], [0.2, 0.8]], [0, 0, 1, 0, 0])
    counts = run(g).parameters
    new = {name: counts[name] / counts[name].sum(axis=-1, keepdims=True) for name in counts}
    np.testing.assert_allclose(
        new["transition"], [[0.7387915322, 0.2612084678], [0.6209996622, 0.3790003378]], **TIGHT
    )
    np.testing.assert_allclose(
        new["emission"], [[0.9165127285, 0.0834872715], [0.4741714948, 0.5258285052]], **TIGHT
    )
    assert run(g, values={name: np.log(p) for name, p in new.items()}).total == pytest.approx(
        -2.4583851294, abs=5e-11
    )


def test_rainy_sunny():
    g = hmm([0.6, 0.4], [[0.7, 0.3], [0.4, 0.6]], [[0.1, 0.4, 0.5], [0.6, 0.3, 0.1]], [0, 1, 2])
    m, best = run(g), run(g, MaxProduct())
    assert np.exp(m.total) == pytest.approx(0.033612, abs=1e-15)
    np.testing.assert_allclose(
        np.exp(m.belief["z"][:, 0]), [0.23170296, 0.62406283, 0.86397715], rtol=0, atol=5e-9
    )
    assert best.assignment["z"].tolist() == [1, 0, 0]
    assert np.exp(best.total) == pytest.approx(0.01344, abs=1e-15)
    transition, emission = m.parameters["transition"], m.parameters["emission"]
    np.testing.assert_allclose(
        transition / transition.sum(axis=1, keepdims=True),
        [[0.89361702, 0.10638298], [0.63213729, 0.36786271]],
        rtol=0,
        atol=6e-9,
    )
    np.testing.assert_allclose(
        emission[0] / emission[0].sum(), [0.13473116, 0.36288146, 0.50238738], rtol=0, atol=5e-9
    )


def test_long_chain_of_many_states_stays_finite():
    """T = 10⁴, K = 100, log-likelihoods scaled by 100: nothing underflows and the posterior is normalised."""
    rng = np.random.default_rng(5)
    g = FactorGraph()
    z = g.sequence("z", length=10_000, states=100)
    p = rng.dirichlet(np.ones(100), size=100)
    g.factor(Table.from_probabilities(p[0]), z[0])
    g.factor(Table.from_probabilities(p), z[:-1], z[1:])
    g.factor(Table(100 * rng.normal(size=(10_000, 100))), z[:])
    m = run(g)
    assert np.isfinite(m.total)
    belief = np.exp(m.belief["z"])
    np.testing.assert_allclose(belief.sum(axis=1), 1, rtol=1e-9)


def test_local_level():
    """x₀ ~ N(0, 10), q = 1, r = 2, y = 1, 3, 2, 5."""
    g = FactorGraph()
    x = g.sequence("x", length=4, shape=())
    g.factor(Quadratic.prior(0.0, 10.0), x[0])
    g.factor(Quadratic.linear_gaussian(1.0, 1.0), x[:-1], x[1:], name="walk")
    g.factor(Quadratic.observation(1.0, 2.0), x[:], g.observe("y", [1.0, 3, 2, 5])[:])
    m = run(g, Gaussian())
    np.testing.assert_allclose(
        m.belief["x"].mean, [1.8482905983, 2.4572649573, 2.7948717949, 3.5299145299], **TIGHT
    )
    np.testing.assert_allclose(
        m.belief["x"].cov, [0.9188034188, 0.7521367521, 0.7692307692, 1.0085470085], **TIGHT
    )
    assert m.belief["walk"].cov[0, 0, 1] == pytest.approx(0.4700854701, abs=5e-11)
    assert m.total == pytest.approx(-8.73171144370706, abs=1e-13)


COUPLING = 0.5
SPIN = np.array([1.0, -1.0])


def test_ising_open_chain():
    """log Z = ln 2 + 9 ln(2 cosh K), ⟨s₀ s₃⟩ = tanh³ K."""
    g = FactorGraph()
    s = g.sequence("s", length=10, states=2)
    g.factor(Table(COUPLING * np.outer(SPIN, SPIN)), s[:-1], s[1:])
    assert run(g).total == pytest.approx(8.01250236822395, abs=1e-13)
    signs = [
        run(g, values={"s": np.where(np.arange(10) == 0, a, np.where(np.arange(10) == 3, b, -1))}).total
        for a in (0, 1)
        for b in (0, 1)
    ]
    weights = np.exp(np.array(signs) - np.logaddexp.reduce(signs))
    assert weights @ [1, -1, -1, 1] == pytest.approx(0.0986861665682, abs=1e-12)


def test_ising_ring_of_merged_halves():
    """A ring is a chain of pairs: spin t of one half with spin t of the other, closed at both ends."""
    g = FactorGraph()
    pair = g.sequence("pair", length=5, states=4)
    a, b = np.repeat(SPIN, 2), np.tile(SPIN, 2)
    g.factor(Table(COUPLING * (np.outer(a, a) + np.outer(b, b))), pair[:-1], pair[1:])
    for end in (pair[0], pair[-1]):
        g.factor(Table(COUPLING * a * b), end)
    assert run(g).total == pytest.approx(8.1330609176471, abs=1e-12)


@pytest.mark.parametrize("vectorized", [False, True])
def test_tanh_network(vectorized):
    """h = tanh(W h + U x), L = ½ (v·h₃ − .3)²."""
    v = np.array([1.0, -1.0])
    g = FactorGraph()
    h, x = g.sequence("h", length=3, shape=(2,)), g.observe("x", [[1.0], [-0.5], [0.25]])
    W, U = g.parameter("W", [[0.5, -0.3], [0.2, 0.4]]), g.parameter("U", [[1.0], [-1.0]])
    step = Step(lambda h, x, W, U: np.tanh(h @ W.T + x @ U.T), vectorized=vectorized)
    g.factor(step, h.after(g.parameter("h0", np.zeros(2))), x[:], W, U, out=h[:])
    g.factor(Loss(lambda h: (0.5 * (v @ h - 0.3) ** 2, ((v @ h - 0.3) * v,))), h[-1])
    m = run(g)
    np.testing.assert_allclose(m.parameters["h0"], [0.0001054171, 0.0002533021], **TIGHT)
    np.testing.assert_allclose(
        m.parameters["W"], [[-0.0014038343, -0.0004834026], [0.0025334047, -0.0005838964]], **TIGHT
    )
    direction = np.array([[1.0, 2.0], [-1.0, 0.5]])
    assert run(g, Tangent({"W": direction})).total.tangent == pytest.approx(
        (m.parameters["W"] * direction).sum(), rel=1e-12
    )


@given(st.integers(1, 12), st.floats(0.1, 1.5))
def test_open_ising_chain_of_any_length(n, coupling):
    g = FactorGraph()
    s = g.sequence("s", length=n, states=2)
    g.factor(Table(coupling * np.outer(SPIN, SPIN)), s[:-1], s[1:])
    assert run(g).total == pytest.approx(np.log(2) + (n - 1) * np.log(2 * np.cosh(coupling)), rel=1e-12)


ASIA = {  # Lauritzen and Spiegelhalter (1988); 0 is yes, the last axis is the child
    "asia": [0.01, 0.99],
    "asia tub": [[0.05, 0.95], [0.01, 0.99]],
    "smoke": [0.5, 0.5],
    "smoke lung": [[0.1, 0.9], [0.01, 0.99]],
    "smoke bronc": [[0.6, 0.4], [0.3, 0.7]],
    "lung tub either": [[[1, 0], [1, 0]], [[1, 0], [0, 1]]],
    "either xray": [[0.98, 0.02], [0.05, 0.95]],
    "either bronc dysp": [[[0.9, 0.1], [0.7, 0.3]], [[0.8, 0.2], [0.1, 0.9]]],
}


def test_asia():
    g = FactorGraph()
    for name in ["asia", "smoke", "tub", "lung", "bronc", "either", "xray", "dysp"]:
        g.variable(name, states=2)
    for scope, p in ASIA.items():
        with np.errstate(divide="ignore"):
            g.factor(Table(np.log(p)), *(g[name] for name in scope.split()))

    def yes(names, **evidence):
        m = run(g, schedule=JunctionTree(), values=evidence)
        return [float(np.exp(m.belief[name][0])) for name in names.split()]

    known = [0.0104, 0.055, 0.45, 0.064828, 0.11029004, 0.4359706]
    np.testing.assert_allclose(yes("tub lung bronc either xray dysp"), known, atol=1e-12)
    known = [0.6212527967, 0.6818685385]
    np.testing.assert_allclose(yes("lung bronc", xray=0, dysp=0), known, **TIGHT)
    evidence = run(g, schedule=JunctionTree(), values={"xray": 0, "dysp": 0})
    assert np.exp(evidence.total) == pytest.approx(0.0706701044, abs=5e-11)


@pytest.mark.parametrize("order", Flooding.ORDERS)
def test_ising_triangle(order):
    """Loops count evidence twice: exact numbers, and Bethe's."""
    g = FactorGraph()
    s = g.sequence("s", length=3, states=2)
    g.factor(Table(0.5 * np.array([[1.0, -1.0], [-1.0, 1.0]])), s[[0, 1, 2]], s[[1, 2, 0]])
    g.factor(Table([-0.3, 0.3]), s[:])
    for schedule, mean, total in (
        (JunctionTree(), 0.574820513, 2.812378644),
        (Flooding(order, tol=1e-12), 0.637652644, 2.761855257),
    ):
        m = run(g, schedule=schedule)
        np.testing.assert_allclose(np.exp(m.belief["s"]) @ [-1, 1], mean, atol=1e-9)
        assert m.total == pytest.approx(total, abs=1e-9)
