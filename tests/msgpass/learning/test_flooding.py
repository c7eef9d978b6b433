"""Learning under ``Flooding``: gradients are those of Bethe's log Z, trees are exact, rows run together."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, Flooding, JunctionTree, Loss, Table, run
from msgpass.errors import ConvergenceWarning, ImpossibleEvidenceError
from msgpass.learning import L2, expectation, fit, truncated_loopy
from msgpass.potentials.structured import NoisyOr

SEEDS = st.integers(0, 2**32 - 1)
SETTLED = Flooding("flood", damping=0.2, tol=1e-12, max_iter=3000)


def square(rng, scale=0.5):
    """Four variables in a ring with a chord, a table for three, and local tables."""
    g = FactorGraph()
    a, b, c, d = (g.variable(n, states=k) for n, k in zip("abcd", (2, 3, 2, 3), strict=True))
    J = g.parameter("J", scale * rng.normal(size=(2, 3)))
    for pair in ((a, b), (c, b), (c, d), (a, d)):
        g.factor(Table(J), *pair)
    g.factor(Table(g.parameter("T", scale * rng.normal(size=(2, 2, 3)))), a, c, d)
    for v in (a, b):
        g.factor(Table(g.parameter(f"h{v.name}", rng.normal(size=v.states))), v)
    return g


def rows(rng, n, missing=0.5):
    sizes = dict(zip("abcd", (2, 3, 2, 3), strict=True))
    return {k: np.where(rng.random(n) < missing, -1, rng.integers(0, s, n)) for k, s in sizes.items()}


def slope(total, value, step=1e-5):
    found = np.zeros_like(value)
    for place in np.ndindex(value.shape):
        moved = np.zeros_like(value)
        moved[place] = step
        found[place] = (total(value + moved) - total(value - moved)) / (2 * step)
    return found


@settings(max_examples=10)
@given(SEEDS)
def test_what_arrives_is_the_gradient_of_bethe(seed):
    g = square(np.random.default_rng(seed))
    m = run(g, schedule=SETTLED)
    for name in ("J", "T", "ha", "hb"):
        expected = slope(
            lambda v, name=name: run(g, schedule=SETTLED, values={name: v}).total, g.nodes[name].value
        )
        np.testing.assert_allclose(m.parameters[name], expected, atol=1e-7)


@settings(max_examples=10)
@given(SEEDS)
def test_settled_rounds_written_out_say_the_same(seed):
    """Bethe's log Z, beliefs, and gradients through the fixed point (identity 10) are those of flooding."""
    g = square(np.random.default_rng(seed))
    m, written = run(g, schedule=SETTLED), truncated_loopy(g, sweeps=None, bethe=True, tol=1e-12)
    written.factor(Loss(lambda z: (float(z), (1.0,))), written["log Z"])
    settled = run(written)
    assert settled.forward["log Z"] == pytest.approx(m.total, abs=1e-9)
    for name in "abcd":
        np.testing.assert_allclose(settled.forward[name], np.exp(m.belief[name]), atol=1e-9)
    for name in ("J", "T", "ha"):
        np.testing.assert_allclose(settled.parameters[name], m.parameters[name], atol=1e-7)


def test_fits_settle_where_beliefs_are_the_data(rng):
    g, data = square(rng, 0.2), rows(rng, 60, missing=0.0)
    fitted = fit(g, data, "lbfgs", schedule=SETTLED, prior=L2(1e-3), tol=1e-9, n_iter=200)
    assert fitted.converged and np.diff(fitted.history).min() >= 0
    beliefs = run(g, schedule=SETTLED, values=fitted.values).parameters["J"]
    counts = np.zeros((2, 3))
    for x, y in ("ab", "cb", "cd", "ad"):
        np.add.at(counts, (data[x], data[y]), 1.0)
    np.testing.assert_allclose(beliefs, (counts - 1e-3 * fitted.values["J"]) / 60, atol=1e-4)


@pytest.mark.parametrize("method", ["em", "lbfgs"])
def test_trees_are_exact(rng, method):
    g = FactorGraph()
    a, b, c = (g.variable(n, states=2) for n in "abc")
    g.factor(Table(g.parameter("p(a)", np.log([0.4, 0.6]))), a)
    for child in (b, c):
        table = np.log(rng.dirichlet([1, 1], 2))
        g.factor(Table(g.parameter(f"p({child.name})", table)), a, child)
    data = {n: column.clip(max=1) for n, column in rows(rng, 40).items() if n in "abc"}
    found = [fit(g, data, method, schedule=s, n_iter=5, tol=0) for s in (JunctionTree(), Flooding(tol=1e-9))]
    assert found[1].history == pytest.approx(found[0].history, rel=1e-9)


@pytest.mark.parametrize("order", ["residual", "flood", "sequential"])
def test_rows_together_are_rows_one_by_one(rng, order, monkeypatch):
    g, data, schedule = square(rng), rows(rng, 30), Flooding(order, tol=1e-12, max_iter=3000)
    own = {"schedule": schedule, "n_iter": 3, "tol": 0, "weights": rng.random(30)}
    together = fit(g, data, "lbfgs", **own)
    monkeypatch.setattr(expectation, "ENTRIES", 300)
    pieces = fit(g, data, "lbfgs", **own)
    monkeypatch.setattr(expectation, "alignable", lambda graph: False)
    alone = fit(g, data, "lbfgs", **own)
    assert together.history == pytest.approx(alone.history, rel=1e-8)
    assert pieces.history == pytest.approx(alone.history, rel=1e-8)


def test_totals_of_parts_are_those_of_the_parts_alone(rng):
    g = FactorGraph()
    s = g.sequence("s", length=7, states=2, shape=())
    J = rng.normal(size=(2, 2))
    g.factor(Table(J), s[[0, 1, 2, 4, 5, 6]], s[[1, 2, 0, 5, 6, 4]])
    g.factor(Table(g.parameter("h", rng.normal(size=2))), s[:])
    totals = run(g, schedule=SETTLED).totals("s")
    assert totals.shape == (3,) and totals[0] == pytest.approx(totals[2], abs=1e-9)
    assert totals[1] == pytest.approx(np.logaddexp.reduce(g.nodes["h"].value))
    assert totals.sum() == pytest.approx(run(g, schedule=SETTLED).total)


def frustrated():
    """A ring of three that repels strongly, and a local table: some rows do not settle undamped."""
    g = FactorGraph()
    v = [g.variable(n, states=2) for n in "abc"]
    J = g.parameter("J", [[-3.0, 3.0], [3.0, -3.0]])
    for x, y in ((0, 1), (1, 2), (2, 0)):
        g.factor(Table(J), v[x], v[y])
    g.factor(Table([0.0, 0.4]), v[0])
    return g


def test_rows_that_do_not_settle_keep_no_other_from_it():
    g = frustrated()
    data = {"a": [-1, 0, 1], "b": [-1, 0, 1], "c": [-1, -1, -1]}
    schedule = Flooding("flood", max_iter=20)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        fitted = fit(g, data, "lbfgs", n_iter=0, schedule=schedule, given=["c"])
    with pytest.warns(ConvergenceWarning):
        each = [
            run(g, values={n: column[r] for n, column in data.items() if column[r] >= 0}, schedule=schedule)
            for r in range(3)
        ]
        free = run(g, schedule=schedule).total
    assert fitted.objective == pytest.approx(sum(float(m.total) for m in each) - 3 * free, rel=1e-12)


def test_an_impossible_row_is_named():
    g = FactorGraph()
    a, b, c = (g.variable(n, states=2) for n in "abc")
    for pair in ((a, b), (b, c), (c, a)):
        g.factor(Table([[0.0, -np.inf], [0.3, 0.0]]), *pair)
    g.factor(Table(g.parameter("h", [0.0, 0.5])), a)
    with pytest.raises(ImpossibleEvidenceError, match="row 1 of the data"):
        fit(g, {"a": [0, 0, 1], "b": [-1, 1, 1]}, "lbfgs", schedule=Flooding())


def test_noisy_or_in_a_network_with_loops(rng):
    """Diseases and findings: Bethe's gradient by links and leak; a fit that gains."""
    g = FactorGraph()
    diseases = [g.variable(f"d{k}", states=2) for k in range(3)]
    for k, v in enumerate(diseases):
        g.factor(Table(g.parameter(f"p{k}", np.log([0.7, 0.3]))), v)
    for k, causes in enumerate(([0, 1], [1, 2], [0, 2])):
        links, leak = g.parameter(f"links{k}", [0.6, 0.3]), g.parameter(f"leak{k}", 0.1)
        g.factor(NoisyOr(links, leak), *(diseases[i] for i in causes), g.variable(f"f{k}", states=2))
    seen, schedule = {"f0": 1, "f1": 1, "f2": 0}, Flooding("sequential", tol=1e-12, max_iter=3000)
    m = run(g, values=seen, schedule=schedule)
    for name in ("links0", "leak1", "p2"):
        expected = slope(
            lambda v, name=name: run(g, values={**seen, name: v}, schedule=schedule).total,
            g.nodes[name].value,
        )
        np.testing.assert_allclose(m.parameters[name], expected, atol=1e-6)
    data = {f"f{k}": rng.integers(0, 2, 20) for k in range(3)}
    unit = {f"{part}{k}": "unit" for part in ("links", "leak") for k in range(3)}
    own = {"domains": unit, "axes": {f"p{k}": f"d{k}" for k in range(3)}, "n_iter": 5, "tol": 0}
    fitted = fit(g, data, "lbfgs", schedule=schedule, **own)
    assert fitted.history[-1] > fitted.history[0]
