"""L-BFGS on messages: slopes are differences of the objective; what it converges to is known."""

import itertools

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, Quadratic, Step, Table, run
from msgpass.errors import DataError, UnavailableError, UnsupportedError
from msgpass.learning import L2, Dirichlet, expectation, fit
from msgpass.potentials.structured import NoisyOr


def field(rng, n=3):
    """An undirected chain of spins whose pairs share a table, with a table a spin."""
    g = FactorGraph()
    s = [g.variable(f"s{k}", states=2) for k in range(n)]
    J = g.parameter("J", 0.3 * rng.normal(size=(2, 2)))
    for a, b in itertools.pairwise(s):
        g.factor(Table(J), a, b)
    for k, v in enumerate(s):
        g.factor(Table(g.parameter(f"h{k}", 0.3 * rng.normal(size=2))), v)
    return g


def names(g):
    return [n for n in g.nodes if n[0] in "Jh"]


def log_likelihood(g, values, data):
    """By enumeration: Σ_n log p(seen in row n)."""
    n = sum(name[0] == "s" for name in g.nodes)
    scores = {}
    for state in itertools.product(range(2), repeat=n):
        pairs = sum(values["J"][a, b] for a, b in itertools.pairwise(state))
        scores[state] = pairs + sum(values[f"h{k}"][v] for k, v in enumerate(state))
    log_z = np.logaddexp.reduce(list(scores.values()))
    total = 0.0
    for row in zip(*(data[f"s{k}"] for k in range(n)), strict=True):
        fits = [v for s, v in scores.items() if all(r in (-1, k) for r, k in zip(row, s, strict=True))]
        total += np.logaddexp.reduce(fits) - log_z
    return total


def rows(rng, n=3, size=30, missing=0.3):
    return {f"s{k}": np.where(rng.random(size) < missing, -1, rng.integers(0, 2, size)) for k in range(n)}


def test_the_objective_is_the_likelihood(rng):
    g, data = field(rng), rows(rng)
    start = {n: g.nodes[n].value for n in names(g)}
    fitted = fit(g, data, "lbfgs", n_iter=200, tol=1e-9)
    assert fitted.history[0] == pytest.approx(log_likelihood(g, start, data), rel=1e-12)
    assert fitted.objective == pytest.approx(log_likelihood(g, fitted.values, data), rel=1e-12)
    assert np.diff(fitted.history).min() >= 0 and fitted.converged
    # At the top no direction rises.
    for name, value in fitted.values.items():
        for place in np.ndindex(value.shape):
            slopes = []
            for sign in (1, -1):
                moved = {n: np.array(v) for n, v in fitted.values.items()}
                moved[name][place] += sign * 1e-4
                slopes.append(log_likelihood(g, moved, data))
            assert (slopes[0] - slopes[1]) / 2e-4 == pytest.approx(0, abs=2e-3)


def test_moments_of_complete_data_are_matched(rng):
    """Of an exponential family the maximum has the data's own moments."""
    g, data = field(rng), rows(rng, missing=0.0)
    fitted = fit(g, data, "lbfgs", tol=1e-10, n_iter=300)
    m = run(g, values=fitted.values)
    for k in range(3):
        assert np.exp(m.belief[f"s{k}"])[1] == pytest.approx(data[f"s{k}"].mean(), abs=1e-4)


def test_priors_pull_and_a_function_is_one(rng):
    g, data = field(rng), rows(rng)
    strong = fit(g, data, "lbfgs", prior=L2(1e6), tol=1e-8, n_iter=300)
    assert max(np.abs(v).max() for v in strong.values.values()) < 1e-3
    two = L2(2.0), lambda v: (-float((v * v).sum()), -2 * v)
    one, other = (fit(g, data, "lbfgs", prior=p, tol=1e-9, n_iter=300) for p in two)
    assert one.history == other.history
    assert one.objective == pytest.approx(
        log_likelihood(g, one.values, data) - sum((v**2).sum() for v in one.values.values()), rel=1e-12
    )


def test_given_columns_make_it_conditional(rng):
    """Σ log p(s1, s2 | s0) by enumeration."""
    g, data = field(rng), rows(rng)
    start = {n: g.nodes[n].value for n in names(g)}
    given = {"s0": data["s0"], "s1": np.full(30, -1), "s2": np.full(30, -1)}
    want = log_likelihood(g, start, data) - log_likelihood(g, start, given)
    assert fit(g, data, "lbfgs", given=["s0"], n_iter=0).objective == pytest.approx(want, rel=1e-12)


def test_a_labelled_graph_is_conditional_too(rng):
    """A conditional random field by conditioning and by given=: the same climb."""
    x, labels = rng.integers(0, 3, (6, 8)), rng.integers(-1, 2, (6, 8))

    def graph(conditioned):
        g = FactorGraph()
        z, o = g.sequence("z", length=8, states=2), g.observe("x", x[0], states=3)
        g.factor(Table(g.parameter("A", [[0.1, 0.0], [0.0, 0.2]])), z[:-1], z[1:])
        g.factor(Table(g.parameter("E", np.zeros((2, 3)))), z[:], o[:])
        if conditioned:
            g.condition(z, g.observe("y", labels[0], states=2))
        return g

    one = fit(graph(True), {"x": x, "y": labels}, "lbfgs", prior=L2(0.1), n_iter=200)
    other = fit(graph(False), {"x": x, "z": labels}, "lbfgs", given=["x"], prior=L2(0.1), n_iter=200)
    assert one.objective == pytest.approx(other.objective, rel=1e-6)


def test_normalised_tables_end_where_em_ends(rng):
    def graph():
        g = FactorGraph()
        z, x = g.sequence("z", length=12, states=2), g.observe("x", [0] * 12, states=3)
        g.factor(Table(g.parameter("pi", np.log([0.4, 0.6]))), z[0])
        g.factor(Table(g.parameter("A", np.log([[0.6, 0.4], [0.3, 0.7]]))), z[:-1], z[1:])
        g.factor(Table(g.parameter("B", np.log([[0.5, 0.2, 0.3], [0.2, 0.3, 0.5]]))), z[:], x[:])
        return g

    data = {"x": rng.integers(-1, 3, (10, 12))}
    axes = {"pi": "z", "A": 1, "B": "x"}
    em = fit(graph(), data, prior=Dirichlet(2.0), n_iter=2000, tol=1e-10)
    climb = fit(graph(), data, "lbfgs", prior=Dirichlet(2.0), axes=axes, n_iter=500, tol=1e-10)
    assert climb.objective == pytest.approx(em.objective, abs=1e-6)
    for name, p in climb.probabilities.items():
        np.testing.assert_allclose(p, em.probabilities[name], atol=1e-3)
        np.testing.assert_allclose(p.sum(axis=-1), 1.0)
    # Where the tables are not told to be normalised, log Z of no data is taken off: 0 here.
    assert fit(graph(), data, "lbfgs", n_iter=0).objective == pytest.approx(
        fit(graph(), data, n_iter=0).objective, abs=1e-9
    )


def test_minus_infinity_stays(rng):
    g = FactorGraph()
    a, b = g.variable("a", states=2), g.variable("b", states=2)
    g.factor(Table(g.parameter("p", [[0.0, -np.inf], [0.3, 0.1]])), a, b)
    data = {"a": [0, 1, 1, 1], "b": [0, 0, 1, -1]}
    found = fit(g, data, "lbfgs", tol=1e-10).values["p"]
    assert found[0, 1] == -np.inf and np.isfinite(found).sum() == 3


def test_parameters_of_any_graph(rng):
    """Regression by a step and a loss; its total is minus what is climbed."""
    x = rng.normal(size=(20, 2))
    y = x @ [1.0, -2.0] + 0.5
    g = FactorGraph()
    X, Y, W, b = g.observe("x", x), g.observe("y", y), g.parameter("w", [0.0, 0.0]), g.parameter("b", 0.0)
    o = g.sequence("o", length=20)
    g.factor(Step(lambda x, w, b: x @ w + b, vectorized=True), X[:], W, b, out=o[:])
    g.factor(Loss(lambda o, y: (0.5 * ((o - y) ** 2).sum(), (o - y, None)), vectorized=True), o[:], Y[:])
    fitted = fit(g, method="lbfgs", tol=1e-12)
    np.testing.assert_allclose(fitted.values["w"], [1, -2], atol=1e-5)
    assert fit(g, method="lbfgs", parameters=["w"]).values.keys() == {"w"}
    with pytest.raises(UnsupportedError, match=r"g\.condition"):
        fit(g, method="lbfgs", given=["x"])
    with pytest.raises(UnsupportedError, match="lbfgs"):
        fit(g, parameters=["w"])


def test_variances_stay_above_zero(rng):
    """A walk with drift; at the top no direction rises, by differences of the total."""
    T = 80
    y = np.cumsum(0.3 + 0.5 * rng.normal(size=T)) + 0.4 * rng.normal(size=T)
    y[7] = np.nan
    g = FactorGraph()
    x, seen = g.sequence("x", length=T), g.observe("y", y)
    g.factor(Quadratic.prior(0.0, 1.0), x[0])
    walk = Quadratic.linear_gaussian(1.0, g.parameter("Q", 1.0), b=g.parameter("b", 0.0))
    g.factor(walk, x[:-1], x[1:])
    g.factor(Quadratic.observation(1.0, g.parameter("R", 1.0)), x[:], seen[:])
    fitted = fit(g, method="lbfgs", domains={"Q": "positive", "R": "positive"}, n_iter=300, tol=1e-10)
    assert fitted.history[0] == pytest.approx(run(g).total)
    top = fitted.values
    for name in top:
        for factor in (0.98, 1.02):
            assert run(g, values={**top, name: top[name] * factor}).total < fitted.objective
    with pytest.raises(UnavailableError, match="domains names 'q'"):
        fit(g, method="lbfgs", domains={"q": "positive"})
    with pytest.raises(DataError, match="above zero"):
        fit(g, method="lbfgs", domains={"b": "positive"})
    with pytest.raises(UnsupportedError, match="is one of"):
        fit(g, method="lbfgs", domains={"Q": "above"})


def test_rows_together_are_rows_one_by_one(rng, monkeypatch):
    g, data = field(rng), rows(rng)
    together = fit(g, data, "lbfgs", n_iter=5, tol=0)
    monkeypatch.setattr(expectation, "alignable", lambda graph: False)
    assert fit(g, data, "lbfgs", n_iter=5, tol=0).history == pytest.approx(together.history, rel=1e-10)


def test_an_observation_in_two_places_is_given_or_a_variable(rng):
    g = FactorGraph()
    a, b, x = g.variable("a", states=2), g.variable("b", states=2), g.observe("x", 0, states=2)
    for k, v in enumerate((a, b)):
        g.factor(Table(g.parameter(f"t{k}", rng.normal(size=(2, 2)))), v, x)
    data = {"x": [0, 1], "a": [1, 0]}
    with pytest.raises(UnsupportedError, match=r"given=\['x'\]"):
        fit(g, data, "lbfgs")
    assert fit(g, data, "lbfgs", given=[x], prior=L2()).converged


def test_errors(rng):
    g, data = field(rng), rows(rng)
    for keywords, error, match in (
        ({"given": ["q"]}, UnavailableError, "no column"),
        ({"prior": {"q": L2()}}, DataError, "not learned"),
        ({"prior": 3.0}, DataError, "Dirichlet"),
        ({"axes": {"q": 0}}, UnavailableError, "no table"),
        ({"axes": {"J": 4}}, DataError, "no axis"),
        ({"axes": {"J": (0, 0)}}, DataError, "twice"),
        ({"parameters": ["q"]}, UnavailableError, "no parameter 'q'"),
        ({"tied": [("J", "h0")]}, DataError, "one shape"),
        ({"tied": [("h1", "h0"), ("h1", "h2")]}, UnavailableError, "two groups"),
        ({"values": {"s0": 1}}, UnavailableError, "no parameter"),
        ({"n_iter": -1}, DataError, "n_iter"),
        ({"tol": "x"}, DataError, "tol"),
    ):
        with pytest.raises(error, match=match):
            fit(g, data, "lbfgs", **keywords)
    with pytest.raises(UnsupportedError, match="method"):
        fit(g, data, "adam")


def test_factors_with_structure_learn_too(rng):
    """Noisy-OR: links and leak from incomplete data, against the likelihood of its full table."""
    true, n = np.array([0.9, 0.5]), 400
    g = FactorGraph()
    causes = [g.variable(f"d{k}", states=2) for k in range(2)]
    for v in causes:
        g.factor(Table.from_probabilities([0.7, 0.3]), v)
    outcome = g.variable("out", states=2)
    links, leak = g.parameter("links", [0.5, 0.5]), g.parameter("leak", 0.2)
    g.factor(NoisyOr(links, leak), *causes, outcome)
    x = rng.random((n, 2)) < 0.3
    y = rng.random(n) < 1 - 0.9 * np.prod(1 - x * true, axis=1)
    data = {f"d{k}": np.where(rng.random(n) < 0.3, -1, x[:, k]) for k in range(2)}
    data["out"] = y.astype(int)
    fitted = fit(g, data, "lbfgs", domains={"links": "unit", "leak": "unit"}, tol=1e-9)

    def likelihood(links, leak):
        h = FactorGraph()
        v = [h.variable(k, states=2) for k in ("d0", "d1", "out")]
        off = np.array(
            [[(1 - leak) * np.prod((1 - links) ** np.array([a, b])) for b in (0, 1)] for a in (0, 1)]
        )
        for cause in v[:2]:
            h.factor(Table.from_probabilities([0.7, 0.3]), cause)
        h.factor(Table(h.parameter("t", np.log(np.stack([off, 1 - off], axis=-1)))), *v)
        return fit(h, data, n_iter=0, axes={"t": "out"}).objective

    top = fitted.values["links"], fitted.values["leak"]
    assert fitted.objective == pytest.approx(likelihood(*top), rel=1e-10)
    for k in range(2):
        for shift in (-0.02, 0.02):
            assert likelihood(top[0] + shift * np.eye(2)[k], top[1]) < fitted.objective


def test_a_normalised_model_is_conditional_where_something_is_given(rng):
    """p(b | a) alone: what p(a) is takes no part."""
    g = FactorGraph()
    a, b = g.variable("a", states=2), g.variable("b", states=2)
    g.factor(Table(g.parameter("p", np.log([0.2, 0.8]))), a)
    g.factor(Table(g.parameter("q", np.log([[0.3, 0.7], [0.6, 0.4]]))), a, b)
    data, axes = {"a": [0, 1, 1], "b": [1, 0, 1]}, {"p": "a", "q": "b"}
    want = np.log([0.7, 0.6, 0.4]).sum()
    assert fit(g, data, "lbfgs", given=["a"], axes=axes, n_iter=0).objective == pytest.approx(want)
    joint = want + np.log([0.2, 0.8, 0.8]).sum()
    assert fit(g, data, "lbfgs", axes=axes, n_iter=0).objective == pytest.approx(joint)


def test_fixed_tables_that_are_no_distributions_are_divided_out(rng):
    """p(a) is learned and stays normalised; the fixed table beside it is not, so that log Z is taken off."""
    g = FactorGraph()
    a, b = (g.variable(n, states=2) for n in "ab")
    g.factor(Table(g.parameter("p", np.log([0.5, 0.5]))), a)
    table = rng.normal(size=(2, 2))
    g.factor(Table(table), a, b)
    data = {"a": [0, -1, 1, -1], "b": [0, 1, 1, -1]}
    fitted = fit(g, data, "lbfgs", axes={"p": "a"}, n_iter=20)
    for values, objective in (
        (np.log([0.5, 0.5]), fitted.history[0]),
        (fitted.values["p"], fitted.objective),
    ):
        joint = np.exp(values[:, None] + table)
        joint /= joint.sum()
        expected = np.log([joint[0, 0], joint[:, 1].sum(), joint[1, 1], 1.0]).sum()
        assert objective == pytest.approx(expected, rel=1e-12)


def test_a_likelihood_is_no_more_than_one_where_tables_only_start_normalised(rng):
    g = FactorGraph()
    a, b = (g.variable(n, states=2) for n in "ab")
    g.factor(Table(g.parameter("p", np.log([0.5, 0.5]))), a)
    g.factor(Table(g.parameter("q", np.log([[0.4, 0.6], [0.7, 0.3]]))), a, b)
    data = {"a": [0, 0, 1, 1], "b": [0, 1, 1, -1]}
    found = fit(g, data, "lbfgs", tol=1e-9)
    kept = fit(g, data, "lbfgs", axes={"p": "a", "q": "b"}, tol=1e-9)
    assert (
        found.converged and found.objective == pytest.approx(kept.objective, abs=1e-4) and found.objective < 0
    )
