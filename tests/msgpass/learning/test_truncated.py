"""Loopy rounds as steps: against rounds written out by hand, exact marginals on trees, and differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, Loss, Step, Table, check_gradients, run
from msgpass.errors import DataError, GraphError, ImpossibleEvidenceError, UnsupportedError
from msgpass.learning import L2, fit, marginal_loss, truncated_loopy
from msgpass.learning.message_round import Round
from msgpass.learning.round_readings import Readings
from msgpass.potentials.structured import NoisyOr

SEEDS = st.integers(0, 2**32 - 1)


def rounds_by_hand(states, factors, sweeps, damping=0.0):
    """Marginals after some rounds; ``factors`` are (variables, log table). Messages one by one, in logs."""
    edges = [(k, a) for k, (scope, _) in enumerate(factors) for a in range(len(scope)) if len(scope) > 1]
    messages = {
        e: np.full(states[factors[e[0]][0][e[1]]], -np.log(states[factors[e[0]][0][e[1]]])) for e in edges
    }

    def known(v, but=None):
        total = np.zeros(states[v])
        for k, (scope, table) in enumerate(factors):
            if scope == (v,):
                total = total + table
            for a, u in enumerate(scope):
                if u == v and len(scope) > 1 and (k, a) != but:
                    total = total + messages[k, a]
        return total

    for _ in range(sweeps):
        new = {}
        for k, a in edges:
            scope, table = factors[k]
            for b, u in enumerate(scope):
                if b != a:
                    shape = [1] * len(scope)
                    shape[b] = states[u]
                    table = table + known(u, (k, b)).reshape(shape)
            others = tuple(b for b in range(len(scope)) if b != a)
            said = np.logaddexp.reduce(table, axis=others) if len(others) == 1 else _lse(table, others)
            said = said - np.logaddexp.reduce(said)
            with np.errstate(invalid="ignore"):
                mixed = (1 - damping) * said + damping * np.where(said == -np.inf, 0, messages[k, a])
            new[k, a] = mixed - np.logaddexp.reduce(mixed)
        messages = new
    beliefs = [known(v) for v in range(len(states))]
    return [np.exp(b - np.logaddexp.reduce(b)) for b in beliefs]


def _lse(table, axes):
    for axis in sorted(axes, reverse=True):
        table = np.logaddexp.reduce(table, axis=axis)
    return table


def loopy(rng, zeros=False):
    """Spins on a ring with chords, a factor over three, one table a spin, one observed."""
    g = FactorGraph()
    s, v = g.sequence("s", length=4, states=2), g.variable("v", states=3)
    pair, three = rng.normal(size=(2, 2)), rng.normal(size=(2, 3, 2))
    if zeros:
        pair[0, 1] = -np.inf
        three[1, 2, 0] = -np.inf
    x = g.observe("x", rng.integers(-1, 2, 4), states=2)
    g.factor(Table(g.parameter("J", pair)), s[[0, 1, 2, 3]], s[[1, 2, 3, 0]])
    g.factor(Table(g.parameter("T", three)), s[0], v, s[2])
    g.factor(Table(g.parameter("h", rng.normal(size=(4, 2)))), s[:])
    g.factor(Table(g.parameter("B", rng.normal(size=(2, 2)))), s[:], x[:])
    return g


def factors_of(g):
    J, T, h, B = (g.nodes[n].value for n in "JThB")
    local = [
        (
            h
            + np.column_stack(
                [np.logaddexp.reduce(B, axis=1) if o < 0 else B[:, o] for o in g.nodes["x"].value]
            ).T
        )
    ]
    found = [((i, (i + 1) % 4), J) for i in range(4)]
    found.append(((0, 4, 2), T))
    return found + [((i,), local[0][i]) for i in range(4)]


@settings(max_examples=12)
@given(SEEDS, st.sampled_from([1, 2, 5]), st.sampled_from([0.0, 0.4]), st.booleans())
def test_rounds_are_those_by_hand(seed, sweeps, damping, zeros):
    g = loopy(np.random.default_rng(seed), zeros)
    m = run(truncated_loopy(g, sweeps, damping=damping))
    want = rounds_by_hand([2, 2, 2, 2, 3], factors_of(g), sweeps, damping)
    np.testing.assert_allclose(m.forward["s"], want[:4], atol=1e-12)
    np.testing.assert_allclose(m.forward["v"], want[4], atol=1e-12)


@settings(max_examples=6)
@given(SEEDS, st.sampled_from([1, 3, None]), st.sampled_from([0.0, 0.4]))
def test_gradients_are_differences(seed, sweeps, damping):
    rng = np.random.default_rng(seed)
    t = truncated_loopy(loopy(rng), sweeps, damping=damping, tol=1e-13)
    weight = rng.normal(size=3)
    t.factor(Loss(lambda b: (float(weight @ b), (weight,))), t["v"])
    t.factor(marginal_loss(), t["s"][:], t.observe("y", [0, 1, -1, 1], states=2)[:])
    check_gradients(t, ["J", "T", "h", "B"], entries=3)


def test_zeros_stay_and_say_nothing(rng):
    t = truncated_loopy(loopy(rng, zeros=True), 3)
    t.factor(marginal_loss(), t["s"][:], t.observe("y", [0, 1, 1, 1], states=2)[:])
    m = run(t)
    assert m.parameters["J"][0, 1] == 0 and m.parameters["T"][1, 2, 0] == 0
    assert all(np.isfinite(m.parameters[n]).all() for n in "JThB")
    check_gradients(t, ["h", "B"])


def test_exact_on_trees(rng):
    """Rounds as many as the tree is deep."""
    g = FactorGraph()
    s = g.sequence("s", length=7, states=3)
    g.factor(Table(g.parameter("J", rng.normal(size=(3, 3)))), s[[0, 0, 1, 1, 2, 2]], s[[1, 2, 3, 4, 5, 6]])
    g.factor(Table(g.parameter("h", rng.normal(size=(7, 3)))), s[:])
    exact = run(g)
    m = run(truncated_loopy(g, 4))
    np.testing.assert_allclose(m.forward["s"], np.exp(exact.belief["s"]), atol=1e-12)
    # −log of one marginal has the gradient that conditioning has: expected counts less clamped ones.
    t = truncated_loopy(g, 4)
    t.factor(marginal_loss(), t["s"][3], t.observe("y", 2, states=3))
    labels = np.full(7, -1)
    labels[3] = 2
    h = FactorGraph()
    z = h.sequence("s", length=7, states=3)
    h.factor(Table(h.parameter("J", g.nodes["J"].value)), z[[0, 0, 1, 1, 2, 2]], z[[1, 2, 3, 4, 5, 6]])
    h.factor(Table(h.parameter("h", g.nodes["h"].value)), z[:])
    h.condition(z, labels)
    one, other = run(t), run(h)
    assert one.total == pytest.approx(other.total)
    for name in "Jh":
        np.testing.assert_allclose(one.parameters[name], other.parameters[name], atol=1e-12)


def test_settled_messages_have_the_gradient_of_many_rounds(rng):
    """Back-belief-propagation, in full and cut short."""

    def gradient(sweeps, terms=None):
        t = truncated_loopy(loopy(np.random.default_rng(3)), sweeps, damping=0.2, tol=1e-13, terms=terms)
        t.factor(marginal_loss(), t["s"][:], t.observe("y", [0, 1, 0, 1], states=2)[:])
        return run(t).parameters["J"]

    settled = gradient(None)
    np.testing.assert_allclose(gradient(200), settled, atol=1e-9)
    gaps = [np.abs(gradient(None, terms) - settled).max() for terms in (2, 8, 32)]
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]
    assert np.abs(gradient(4) - settled).max() > 1e-6


def with_total(g, sweeps, **keywords):
    """The graph of rounds whose loss is minus Bethe's log Z."""
    t = truncated_loopy(g, sweeps, bethe=True, **keywords)
    t.factor(Loss(lambda z: (-z, -1.0)), t["log Z"])
    return t


def test_bethe_is_exact_on_trees(rng):
    g = FactorGraph()
    s, v = g.sequence("s", length=4, states=3), g.variable("v", states=2)
    pair = rng.normal(size=(3, 3))
    pair[0, 1] = -np.inf
    g.factor(Table(g.parameter("J", pair)), s[[0, 0, 1]], s[[1, 2, 3]])
    g.factor(Table(g.parameter("h", 5 + rng.normal(size=(4, 3)))), s[:])
    g.factor(Table(g.parameter("T", rng.normal(size=(3, 2)))), s[3], v)
    m, exact = run(with_total(g, 6)), run(g)
    assert -m.total == pytest.approx(exact.total, rel=1e-12)
    for name in "JhT":
        np.testing.assert_allclose(-m.parameters[name], exact.parameters[name], atol=1e-12)


def test_bethe_of_the_triangle():
    """Known: E[s] .637652644 and Bethe's log Z 2.761855257, where .574820513 and 2.812378644 are exact."""
    g = FactorGraph()
    s = g.sequence("s", length=3, states=2)
    g.factor(Table(g.parameter("J", [[0.5, -0.5], [-0.5, 0.5]])), s[[0, 1, 2]], s[[1, 2, 0]])
    g.factor(Table(g.parameter("h", [-0.3, 0.3])), s[:])
    m = run(with_total(g, None))
    assert m.total == pytest.approx(-2.761855257, abs=1e-9)
    assert m.forward["s"][0] @ [-1, 1] == pytest.approx(0.637652644, abs=1e-9)
    # Settled, the gradient is what beliefs expect, and the difference of the settled log Z.
    np.testing.assert_allclose(-m.parameters["h"], m.forward["s"].sum(axis=0), atol=1e-8)
    assert -m.parameters["J"].sum() == pytest.approx(3)
    check_gradients(with_total(g, None, tol=1e-13), ["J", "h"])


@pytest.mark.parametrize("given", ["array", "observation"])
def test_labels_are_a_loss_as_they_are_in_the_graph(rng, given):
    """On a tree the conditional likelihood is exact; on loops its gradient is its difference. Constant tables
    take part."""
    h, J = rng.normal(size=(4, 2)), rng.normal(size=(2, 2))
    labels = np.array([1, -1, 0, -1])

    def graph(loop):
        g = FactorGraph()
        s, v = g.sequence("s", length=4, states=2), g.variable("v", states=2)
        ends = ([0, 1, 2, 3], [1, 2, 3, 0]) if loop else ([0, 1, 2], [1, 2, 3])
        g.factor(Table(g.parameter("J", J)), s[ends[0]], s[ends[1]])
        g.factor(Table(g.parameter("h", h)), s[:])
        g.factor(Table([[0.5, -0.2], [0.1, 0.3]]), s[0], v)
        g.condition(s, labels if given == "array" else g.observe("y", labels, states=2))
        g.condition(v, 1)
        return g

    exact, m = run(graph(loop=False)), run(truncated_loopy(graph(loop=False), 5))
    assert m.total == pytest.approx(exact.total)
    for name in "Jh":
        np.testing.assert_allclose(m.parameters[name], exact.parameters[name], atol=1e-12)
    for sweeps in (2, None):
        check_gradients(truncated_loopy(graph(loop=True), sweeps, tol=1e-13), ["J", "h"])


@settings(max_examples=6)
@given(SEEDS, st.sampled_from([1, 3, None]), st.sampled_from([0.0, 0.3]))
def test_gradients_of_bethe_are_differences(seed, sweeps, damping):
    """Settled or not: K rounds, and the log Z of what they say."""
    g = loopy(np.random.default_rng(seed))
    check_gradients(with_total(g, sweeps, damping=damping, tol=1e-13), ["J", "T", "h", "B"], entries=3)


def test_a_network_computes_the_log_values(rng):
    """A conditional random field on a ring: weights of a step get gradients through the rounds."""
    g = FactorGraph()
    s = g.sequence("s", length=5, states=2)
    x, W = g.observe("x", rng.normal(size=(5, 3))), g.parameter("W", rng.normal(size=(2, 3)))
    scores = g.sequence("scores", length=5, shape=(2,))
    g.factor(Step(lambda x, W: x @ W.T, vectorized=True), x[:], W, out=scores[:])
    g.factor(Table(scores[:]), s[:])
    g.factor(Table(g.parameter("J", rng.normal(size=(2, 2)))), s[[0, 1, 2, 3, 4]], s[[1, 2, 3, 4, 0]])
    t = truncated_loopy(g, 4)
    t.factor(marginal_loss(), t["s"][:], t.observe("y", [0, 1, 1, -1, 0], states=2)[:])
    check_gradients(t, ["W", "J"])
    fitted = fit(t, method="lbfgs", prior=L2(0.1), n_iter=200)
    assert fitted.objective > fitted.history[0] and fitted.values.keys() == {"W", "J"}
    moved = run(t, values=fitted.values).total
    assert fitted.objective == pytest.approx(
        -moved - 0.05 * sum((v**2).sum() for v in fitted.values.values())
    )


def test_variables_that_no_pair_links(rng):
    g = FactorGraph()
    v = g.variable("v", states=3)
    h = rng.normal(size=3)
    g.factor(Table(g.parameter("h", h)), v)
    np.testing.assert_allclose(run(truncated_loopy(g)).forward["v"], np.exp(h) / np.exp(h).sum())


def test_the_vjp_of_a_round(rng):
    """By itself, entry by entry, with tables that are shared and tables that are not."""
    states = np.array([2, 3, 2])
    scopes = np.array([[0, 1], [2, 1]]), np.array([[0], [2]]), np.array([[0, 1, 2]])
    around = Round(states, scopes, 0.25)
    tables = [-0.1 - rng.random(shape) for shape in ((1, 2, 3), (2, 2), (1, 2, 3, 2))]
    inputs = [around.f(around.start, *tables), *tables]
    said = Readings(around)
    pairs = (around.f, around.vjp), (said.beliefs, said.beliefs_vjp), (said.bethe, said.bethe_vjp)
    for f, vjp in pairs:
        cotangent = rng.normal(size=f(*inputs).shape)
        found = vjp(inputs, cotangent)
        for k, value in enumerate(inputs):
            for place in np.ndindex(value.shape):
                sides = []
                for step in (1e-6, -1e-6):
                    moved = [np.array(v) for v in inputs]
                    moved[k][place] += step
                    sides.append(float(np.sum(f(*moved) * cotangent)))
                assert found[k][place] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-7)


class TestErrors:
    def test_impossible_evidence_names_a_variable(self):
        g = FactorGraph()
        s = g.sequence("s", length=3, states=2)
        g.factor(Table([[-np.inf, 0.0], [0.0, -np.inf]]), s[[0, 1, 2]], s[[1, 2, 0]])
        g.factor(Table([[0.0, -np.inf], [0.0, -np.inf], [0.0, 0.0]]), s[:])
        with pytest.raises(ImpossibleEvidenceError, match=r"no state of s\[\d\] is possible"):
            run(truncated_loopy(g, 5))

    def test_observed_states_are_looked_at(self, rng):
        t = truncated_loopy(loopy(rng), 2)
        t.factor(marginal_loss(), t["s"][:], t.observe("y", [0] * 4, states=2)[:])
        for bad in ([0, 1, 2, 0], [0.5, 0, 0, 0]):
            with pytest.raises(DataError, match="'x' holds states"):
                run(t, values={"x": bad})

    @pytest.mark.parametrize(
        ("keywords", "match"),
        [({"sweeps": 0}, "sweeps"), ({"sweeps": 2.5}, "sweeps"), ({"damping": 1}, "damping")],
    )
    def test_settings(self, rng, keywords, match):
        with pytest.raises(DataError, match=match):
            truncated_loopy(loopy(rng), **keywords)

    def test_factors_with_structure(self):
        g = FactorGraph()
        a, b = (g.variable(n, states=2) for n in "ab")
        g.factor(NoisyOr([0.5]), a, b, name="cause")
        with pytest.raises(UnsupportedError, match="'cause', a NoisyOr"):
            truncated_loopy(g)

    def test_graphs_that_it_does_not_take(self, rng):
        g = loopy(rng)
        g.weigh(g["v"], 0.5)
        with pytest.raises(UnsupportedError, match="weigh"):
            truncated_loopy(g)
        with pytest.raises(GraphError, match="FactorGraph"):
            truncated_loopy(run)
        h = FactorGraph()
        a = h.variable("a", states=2, shape=(3,))
        h.factor(Table(np.zeros(2)), a)
        with pytest.raises(UnsupportedError, match="aligned batch"):
            truncated_loopy(h)
        k = FactorGraph()
        k.factor(Step(lambda w: 2 * w), k.parameter("w", 1.0), out=k.variable("x"))
        with pytest.raises(GraphError, match="no table"):
            truncated_loopy(k)
