"""EM against EM by enumeration; its laws; what it keeps."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msgpass import FactorGraph, JunctionTree, MaxProduct, Table, run
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    GraphError,
    ImpossibleEvidenceError,
    ProbabilityError,
    UnsupportedError,
)
from msgpass.learning import L2, Dirichlet, end_to_end, expectation, fit
from msgpass.potentials.structured import NoisyOr

SEEDS = st.integers(0, 2**32 - 1)


def log_tables(rng, *shape, axis=-1, zeros=0.0):
    """Random log probabilities along an axis."""
    p = rng.dirichlet(np.ones(shape[axis]), np.prod(shape, dtype=int) // shape[axis])
    p = np.where((rng.random(p.shape) < zeros) & (p < p.max(axis=1, keepdims=True)), 0.0, p)
    p /= p.sum(axis=1, keepdims=True)
    moved = [k for k in shape]
    moved.append(moved.pop(axis))
    with np.errstate(divide="ignore"):
        return np.log(np.moveaxis(p.reshape(moved), -1, axis))


def network(rng, zeros=0.0):
    """A tree-shaped Bayesian network; the child stands first, last or between."""
    g = FactorGraph()
    sizes = {"a": 2, "b": 3, "c": 2, "d": 3}
    a, b, c, d = (g.variable(n, states=k) for n, k in sizes.items())
    g.factor(Table(g.parameter("p(a)", log_tables(rng, 2))), a)
    g.factor(Table(g.parameter("p(b)", log_tables(rng, 3))), b)
    g.factor(Table(g.parameter("p(c|ab)", log_tables(rng, 2, 2, 3, axis=1, zeros=zeros))), a, c, b)
    g.factor(Table(g.parameter("p(d|c)", log_tables(rng, 3, 2, axis=0, zeros=zeros))), d, c)
    return g, sizes


def columns(rng, sizes, n, missing=0.4):
    """States with holes."""
    return {k: np.where(rng.random(n) < missing, -1, rng.integers(0, s, n)) for k, s in sizes.items()}


def drawn(rng, g, n):
    """States from the model itself."""
    p = {k: np.exp(g.nodes[k].value) for k in ("p(a)", "p(b)", "p(c|ab)", "p(d|c)")}
    joint = np.einsum("a,b,acb,dc->abcd", *p.values())
    places = rng.choice(joint.size, n, p=joint.ravel() / joint.sum())
    return dict(zip("abcd", np.unravel_index(places, joint.shape), strict=True))


def em_by_enumeration(values, data, pseudo=0.0):
    """(log-likelihood, next values) of :func:`network`, summing over all completions."""
    p = {k: np.exp(v) for k, v in values.items()}
    joint = np.einsum("a,b,acb,dc->abcd", p["p(a)"], p["p(b)"], p["p(c|ab)"], p["p(d|c)"])
    total, counts = 0.0, np.zeros_like(joint)
    for row in zip(*(data[k] for k in "abcd"), strict=True):
        key = tuple(slice(None) if s < 0 else slice(s, s + 1) for s in row)
        part = np.zeros_like(joint)
        part[key] = joint[key]
        total += np.log(part.sum())
        counts += part / part.sum()
    sums = {
        "p(a)": (counts.sum((1, 2, 3)), 0),
        "p(b)": (counts.sum((0, 2, 3)), 0),
        "p(c|ab)": (np.einsum("abcd->acb", counts), 1),
        "p(d|c)": (np.einsum("abcd->dc", counts), 0),
    }
    found = {}
    for name, (count, axis) in sums.items():
        mass = np.where(p[name] > 0, count + pseudo, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found[name] = np.log(mass / mass.sum(axis=axis, keepdims=True))
    return total, found


@settings(max_examples=15)
@given(SEEDS, st.sampled_from([0.0, 0.5]), st.booleans())
def test_iterations_are_those_of_enumeration(seed, pseudo, together):
    rng = np.random.default_rng(seed)
    g, sizes = network(rng)
    data = columns(rng, sizes, 12)
    values = {n: g.nodes[n].value for n in g.nodes if n not in sizes}
    with pytest.MonkeyPatch.context() as patch:
        if not together:
            patch.setattr(expectation, "alignable", lambda graph: False)
        fitted = fit(g, data, n_iter=2, tol=0, prior=Dirichlet(1 + pseudo))
    for expected_history in fitted.history:
        total, following = em_by_enumeration(values, data, pseudo)
        prior = pseudo * sum(v[np.isfinite(v)].sum() for v in values.values())
        assert expected_history == pytest.approx(total + prior, abs=1e-10)
        last, values = values, following
    for name, value in fitted.values.items():
        np.testing.assert_allclose(np.exp(value), np.exp(last[name]), atol=1e-12)


@settings(max_examples=10)
@given(SEEDS)
def test_it_never_goes_down_and_keeps_zeros(seed):
    rng = np.random.default_rng(seed)
    g, _ = network(rng, zeros=0.4)
    draws = drawn(rng, g, 10)
    data = {k: np.where(rng.random(10) < 0.5, -1, c) for k, c in draws.items()}
    fitted = fit(g, data, n_iter=20, tol=0, prior=Dirichlet(1.5))
    assert np.diff(fitted.history).min() > -1e-9
    for name, value in fitted.values.items():
        assert ((value == -np.inf) == (g.nodes[name].value == -np.inf)).all()


def test_rows_may_have_weights(rng):
    g, sizes = network(rng)
    data = columns(rng, sizes, 9)
    weights = rng.integers(0, 4, 9)
    repeated = {k: np.repeat(c, weights) for k, c in data.items()}
    one = fit(g, data, weights=weights, n_iter=3, tol=0)
    other = fit(g, repeated, n_iter=3, tol=0)
    assert one.history == pytest.approx(other.history, rel=1e-12)


def test_many_rows_run_in_pieces(rng, monkeypatch):
    g, sizes = network(rng)
    data = columns(rng, sizes, 40)
    whole = fit(g, data, n_iter=2, tol=0)
    monkeypatch.setattr(expectation, "ENTRIES", 12 * 7)
    assert fit(g, data, n_iter=2, tol=0).history == pytest.approx(whole.history, rel=1e-12)


def test_observations_are_columns_too(rng):
    """One that two tables read is summed out of each by itself, together or one after another."""
    g = FactorGraph()
    a, x = g.variable("a", states=2), g.observe("x", 1, states=3)
    g.factor(Table(g.parameter("p", log_tables(rng, 2))), a)
    g.factor(Table(g.parameter("q", log_tables(rng, 2, 3))), a, x)
    g.factor(Table(g.parameter("r", log_tables(rng, 3, 2, axis=0))), x, a)
    data = {"x": [0, 1, 2, -1, 1]}
    axes = {"r": "x"}
    one = fit(g, data, n_iter=3, tol=0, axes=axes)
    monkey = pytest.MonkeyPatch()
    monkey.setattr(expectation, "alignable", lambda graph: False)
    other = fit(g, data, n_iter=3, tol=0, axes=axes)
    monkey.undo()
    assert one.history == pytest.approx(other.history, rel=1e-12)
    assert np.diff(fit(g, n_iter=3, tol=0, axes=axes).history).min() > -1e-12


def chain(rng, T, x):
    """A hidden Markov model."""
    g = FactorGraph()
    z, x = g.sequence("z", length=T, states=2), g.observe("x", x, states=3)
    g.factor(Table(g.parameter("pi", log_tables(rng, 2))), z[0])
    g.factor(Table(g.parameter("A", log_tables(rng, 2, 2))), z[:-1], z[1:])
    g.factor(Table(g.parameter("B", log_tables(rng, 2, 3))), z[:], x[:])
    return g


def test_baum_welch():
    """One step of the umbrella world's relative, from a published table."""
    g = FactorGraph()
    z, y = g.sequence("z", length=5, states=2), g.observe("y", [0, 0, 1, 0, 0], states=2)
    g.factor(Table.from_probabilities([0.5, 0.5]), z[0])
    A = g.parameter("A", np.log([[0.7, 0.3], [0.3, 0.7]]))
    B = g.parameter("B", np.log([[0.9, 0.1], [0.2, 0.8]]))
    g.factor(Table(A), z[:-1], z[1:])
    g.factor(Table(B), z[:], y[:])
    fitted = fit(g, n_iter=1, tol=0)
    known = [[0.7387915322, 0.2612084678], [0.6209996622, 0.3790003378]]
    np.testing.assert_allclose(fitted.probabilities["A"], known, atol=1e-9)
    emission = [[0.9165127285, 0.0834872715], [0.4741714948, 0.5258285052]]
    np.testing.assert_allclose(fitted.probabilities["B"], emission, atol=1e-9)


def test_rows_of_sequences_are_a_ragged_graph(rng):
    x = rng.integers(-1, 3, (4, 6))
    one = chain(rng, 6, x[0])
    values = {n: one.nodes[n].value for n in ("pi", "A", "B")}
    g = FactorGraph()
    z, y = g.sequence("z", length=[6] * 4, states=2), g.observe("x", x.ravel(), states=3)
    for name, args in (("pi", (z[0],)), ("A", (z[:-1], z[1:])), ("B", (z[:], y[:]))):
        g.factor(Table(g.parameter(name, values[name])), *args)
    fitted, ragged = fit(one, {"x": x}, n_iter=4, tol=0), fit(g, n_iter=4, tol=0)
    assert fitted.history == pytest.approx(ragged.history, rel=1e-12)
    assert fitted.objective == pytest.approx(
        sum(run(one, values={**fitted.values, "x": row}).total for row in x), rel=1e-12
    )


@pytest.mark.parametrize("method", ["em", "lbfgs"])
def test_several_graphs_share_parameters(rng, method):
    """Chains of two lengths in two graphs are one ragged graph; the second also has a table of its own."""
    long, short = rng.integers(0, 3, 9), rng.integers(0, 3, (2, 4))
    one = chain(rng, 9, long)
    values = {n: one.nodes[n].value for n in ("pi", "A", "B")}

    def like(length, x):
        g = FactorGraph()
        z, y = g.sequence("z", length=length, states=2), g.observe("x", x, states=3)
        for name, args in (("pi", (z[0],)), ("A", (z[:-1], z[1:])), ("B", (z[:], y[:]))):
            g.factor(Table(g.parameter(name, values[name])), *args)
        return g

    other = like(4, short[0])
    other.factor(Table(other.parameter("own", [0.0])), other.variable("v", states=1))
    settings = {"n_iter": 5, "tol": 0}
    if method == "lbfgs":
        settings |= {"axes": {"pi": "z", "A": 1, "B": "x"}}
    shared = fit([one, other], [None, {"x": short}], method, **settings)
    ragged = like([9, 4, 4], np.concatenate([long, short.ravel()]))
    assert shared.history == pytest.approx(fit(ragged, None, method, **settings).history, rel=1e-9)
    assert set(shared.values) == {"pi", "A", "B"}


def test_what_graphs_share_has_one_shape(rng):
    one, other = chain(rng, 3, [0, 1, 2]), FactorGraph()
    other.factor(Table(other.parameter("A", np.zeros(2))), other.variable("v", states=2))
    with pytest.raises(GraphError, match="graphs share 'A'"):
        fit([one, other])
    other = FactorGraph()
    other.factor(Table(other.parameter("Q", np.zeros(2))), other.variable("v", states=2))
    with pytest.raises(GraphError, match="none of what is learned"):
        fit([one, other])
    with pytest.raises(DataError, match="one entry a graph"):
        fit([one, one], {"x": [[0, 1, 2]]})
    with pytest.raises(GraphError, match="or a list of them"):
        fit("graph")


@pytest.mark.parametrize("kind", ["full", "sparse", "grouped"])
def test_rows_laid_end_to_end_are_rows_one_by_one(rng, kind, monkeypatch):
    """Also with rows that stand there more than once, and in pieces."""
    g = FactorGraph()
    z, x, y = (
        g.sequence("z", length=5, states=2),
        g.observe("x", [0] * 5, states=3),
        g.observe("y", [1, -1] * 2 + [0], 2),
    )
    g.factor(Table(g.parameter("pi", log_tables(rng, 2))), z[0])
    A = g.parameter("A", log_tables(rng, 2, 2).ravel() if kind == "sparse" else log_tables(rng, 2, 2))
    rows, cols = np.nonzero(np.ones((2, 2)))
    g.factor(Table.sparse(A, rows, cols) if kind == "sparse" else Table(A), z[:-1], z[1:])
    B = g.parameter("B", log_tables(rng, 2, 3))
    g.factor(Table.grouped(B, [0, 1]) if kind == "grouped" else Table(B), z[:], x[:])
    g.factor(Table(g.parameter("C", log_tables(rng, 2, 2))), z[1:], y[1:])
    data = {"x": rng.integers(-1, 3, (7, 5))[[0, 1, 2, 3, 4, 5, 6, 0, 0, 1]]}
    assert end_to_end.layable(g)
    laid = fit(g, data, n_iter=3, tol=0)
    monkeypatch.setattr(expectation, "ENTRIES", 8 * 5 * 2)
    assert fit(g, data, n_iter=3, tol=0).history == pytest.approx(laid.history, rel=1e-12)
    monkeypatch.setattr(expectation, "layable", lambda graph: False)
    assert fit(g, data, n_iter=3, tol=0).history == pytest.approx(laid.history, rel=1e-12)


def test_what_is_not_laid_end_to_end(rng):
    g = chain(rng, 4, [0, 1, 2, 0])
    assert end_to_end.layable(g)
    g.factor(Table(rng.normal(size=(2, 2))), g.variable("v", states=2), g["z"][0])
    assert not end_to_end.layable(g)
    w = chain(rng, 4, [0, 1, 2, 0])
    w.weigh(w["z"], 0.5)
    assert not end_to_end.layable(w)
    h = chain(rng, 4, [0, 1, 2, 0])
    h.factor(Table(rng.normal(size=(4, 2))), h["z"][:])
    assert not end_to_end.layable(h)


def test_states_may_be_seen(rng):
    """Complete data: one step, and the tables are relative frequencies."""
    x, z = rng.integers(0, 3, (8, 5)), rng.integers(0, 2, (8, 5))
    fitted = fit(chain(rng, 5, x[0]), {"x": x, "z": z}, tol=1e-9)
    counts = np.zeros((2, 2))
    np.add.at(counts, (z[:, :-1].ravel(), z[:, 1:].ravel()), 1)
    np.testing.assert_allclose(fitted.probabilities["A"], counts / counts.sum(1, keepdims=True))
    assert fitted.converged and fitted.n_iter == 2


def test_a_distribution_that_nothing_is_known_of_keeps_its_values(rng):
    g = FactorGraph()
    a, b = g.variable("a", states=3), g.variable("b", states=2)
    g.factor(Table(g.parameter("p", log_tables(rng, 3))), a)
    q = log_tables(rng, 3, 2)
    g.factor(Table(g.parameter("q", q)), a, b)
    found = fit(g, {"a": [0, 0, 2], "b": [0, 1, 1]}).values["q"]
    np.testing.assert_array_equal(found[1], q[1])
    np.testing.assert_allclose(np.exp(found[[0, 2]]), [[0.5, 0.5], [0.0, 1.0]], atol=1e-12)


def test_tied_tables_and_frozen_ones(rng):
    g, sizes = FactorGraph(), dict.fromkeys("abc", 2)
    a, b, c = (g.variable(n, states=2) for n in "abc")
    g.factor(Table(g.parameter("p", log_tables(rng, 2))), a)
    g.factor(Table(g.parameter("q", log_tables(rng, 2, 2))), a, b)
    g.factor(Table(g.parameter("r", log_tables(rng, 2, 2))), b, c)
    data = columns(rng, sizes, 30, missing=0.2)
    fitted = fit(g, data, tied=[("q", "r")], frozen=["p"], n_iter=5, tol=0)
    assert set(fitted.values) == {"q", "r"}
    np.testing.assert_array_equal(fitted.values["q"], fitted.values["r"])
    # The same model with one parameter in both factors.
    h = FactorGraph()
    a, b, c = (h.variable(n, states=2) for n in "abc")
    h.factor(Table(g.nodes["p"].value), a)
    q = h.parameter("q", g.nodes["q"].value)
    h.factor(Table(q), a, b)
    h.factor(Table(q), b, c)
    assert fit(h, data, n_iter=5, tol=0).history == pytest.approx(fitted.history, rel=1e-12)


def test_tied_tables_have_one_child_axis(rng):
    g = FactorGraph()
    a, b, c = (g.variable(n, states=2) for n in "abc")
    g.factor(Table(g.parameter("p", np.log([0.5, 0.5]))), a)
    g.factor(Table(g.parameter("q", np.full((2, 2), -np.log(2)))), a, b)
    g.factor(Table(g.parameter("r", np.full((2, 2), -np.log(2)))), c, b)
    with pytest.raises(DataError, match="along one axis"):
        fit(g, {"a": [0], "b": [1], "c": [1]}, tied=[("q", "r")])


def test_a_joint_table_is_one_distribution(rng):
    g = FactorGraph()
    a, b, c = (g.variable(n, states=2) for n in "abc")
    g.factor(Table(g.parameter("ab", log_tables(rng, 4).reshape(2, 2))), a, b)
    g.factor(Table(g.parameter("p(c)", log_tables(rng, 2, 2))), b, c)
    data = columns(rng, dict.fromkeys("abc", 2), 50, missing=0.0)
    with pytest.raises(GraphError, match="no child that can be told"):
        fit(g, data)
    fitted = fit(g, data, axes={"ab": None, "p(c)": c})
    found = fitted.probabilities["ab"]
    counts = np.array([[((data["a"] == i) & (data["b"] == j)).sum() for j in (0, 1)] for i in (0, 1)])
    np.testing.assert_allclose(found, counts / 50, atol=1e-12)


def test_sparse_tables(rng):
    """Entries are distributions by row, as those of the full table are."""
    x = rng.integers(0, 3, 12)
    full, sparse = chain(rng, 12, x), FactorGraph()
    value = {n: full.nodes[n].value for n in ("pi", "A", "B")}
    rows, cols = np.nonzero(np.ones((2, 2)))
    z, y = sparse.sequence("z", length=12, states=2), sparse.observe("x", x, states=3)
    sparse.factor(Table(sparse.parameter("pi", value["pi"])), z[0])
    sparse.factor(Table.sparse(sparse.parameter("A", value["A"].ravel()), rows, cols), z[:-1], z[1:])
    sparse.factor(Table(sparse.parameter("B", value["B"])), z[:], y[:])
    one, other = fit(full, n_iter=3, tol=0), fit(sparse, n_iter=3, tol=0, n_init=1)
    assert one.history == pytest.approx(other.history, rel=1e-12)
    np.testing.assert_allclose(other.values["A"].reshape(2, 2), one.values["A"], rtol=1e-9)


def test_a_table_a_step(rng):
    g = FactorGraph()
    z = g.sequence("z", length=4, states=2)
    g.factor(Table(g.parameter("pi", log_tables(rng, 2))), z[0])
    g.factor(Table(g.parameter("A", log_tables(rng, 3, 2, 2))), z[:-1], z[1:])
    data = rng.integers(0, 2, (60, 4))
    found = fit(g, {"z": data}, axes={"A": z[1:].name}).probabilities["A"]
    assert fit(g, {"z": data}).probabilities["A"] == pytest.approx(found)
    for t, i, j in itertools.product(range(3), range(2), range(2)):
        at = data[:, t] == i
        assert found[t, i, j] == pytest.approx((at & (data[:, t + 1] == j)).sum() / at.sum())


def test_starts_are_random_but_the_first_and_the_best_is_kept(rng):
    x = rng.integers(0, 3, (3, 10))
    g = chain(rng, 10, x[0])
    fitted = fit(g, {"x": x}, n_init=4, random_state=5, n_iter=300)
    assert fitted.scores[0] == fit(g, {"x": x}, n_iter=300).objective
    assert fitted.objective == max(fitted.scores) and len(set(fitted.scores)) > 1
    again = fit(g, {"x": x}, n_init=4, random_state=5, n_iter=300)
    assert again.history == fitted.history


def test_running_out_of_iterations_warns(rng):
    g, sizes = network(rng)
    with pytest.warns(ConvergenceWarning, match="n_iter=1"):
        fitted = fit(g, columns(rng, sizes, 20), n_iter=1, tol=1e-9)
    assert not fitted.converged and fitted.n_iter == 1 and "not converged" in repr(fitted)


def test_what_it_prints(rng, capsys):
    g, sizes = network(rng)
    fit(g, columns(rng, sizes, 20, missing=0.0), verbose=True)
    assert len(capsys.readouterr().err.splitlines()) == 3


def test_counts_along_the_best_path(rng):
    """Viterbi training: every iteration counts the best paths, and their score never falls."""
    x = rng.integers(0, 3, (6, 9))
    g = chain(rng, 9, x[0])
    fitted = fit(g, {"x": x}, algebra=MaxProduct(), n_iter=1, tol=0)
    runs = [run(g, MaxProduct(), values={"x": row}) for row in x]
    assert fitted.history[0] == pytest.approx(sum(m.total for m in runs))
    counts = np.zeros((2, 3))
    for m, row in zip(runs, x, strict=True):
        np.add.at(counts, (m.assignment["z"], row), 1)
    seen = counts.sum(axis=1) > 0
    expected = counts[seen] / counts[seen].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fitted.probabilities["B"][seen], expected)
    assert np.diff(fit(g, {"x": x}, algebra=MaxProduct()).history).min() >= 0


class TestErrors:
    def test_an_impossible_row_is_named(self, rng):
        g = FactorGraph()
        a, o = g.variable("a", states=2), g.observe("o", 0, states=2)
        g.factor(Table.from_probabilities([0.5, 0.5]), a)
        g.factor(Table(g.parameter("p", [[0.0, -np.inf], [0.0, -np.inf]])), a, o)
        with pytest.raises(ImpossibleEvidenceError, match=r"row 2 of the data .*o=1"):
            fit(g, {"o": [0, 0, 1]})
        h = chain(rng, 3, [0, 1, 2])
        B = np.log([[1.0, 1e-3, 1e-9], [1.0, 1e-3, 1e-9]])
        B[:, 2] = -np.inf
        with pytest.raises(ImpossibleEvidenceError, match="row 1 of the data"):
            fit(h, {"x": [[0, 0, 0], [0, 2, 0]]}, frozen=["B"], values={"B": B})

    def test_tables_that_are_no_distributions(self, rng):
        g = FactorGraph()
        a = g.variable("a", states=2)
        g.factor(Table(g.parameter("p", [0.0, 0.0])), a)
        with pytest.raises(ProbabilityError, match=r"sums to 2 along axis -1"):
            fit(g, {"a": [0, 1]})

    def test_nothing_is_observed(self, rng):
        g, sizes = network(rng)
        for data in (None, {k: [-1, -1] for k in sizes}, {"a": [-1]}):
            with pytest.raises(DataError, match="no value is observed"):
                fit(g, data)
        h = FactorGraph()  # evidence in a table is evidence
        a = h.variable("a", states=2)
        h.factor(Table(h.parameter("p", np.log([0.5, 0.5]))), a)
        h.factor(Table(np.log([0.9, 0.1])), a)
        with pytest.warns(ConvergenceWarning):
            assert fit(h, n_iter=2, axes={"p": "a"}).probabilities["p"][0] > 0.9

    def test_what_em_does_not_do(self, rng):
        g, sizes = network(rng)
        data = columns(rng, sizes, 5)
        with pytest.raises(UnsupportedError, match="Dirichlet"):
            fit(g, data, prior=L2())
        with pytest.raises(UnsupportedError, match="lbfgs"):
            fit(g, data, given=["a"])
        h = FactorGraph()
        cause, outcome = h.variable("cause", states=2), h.variable("outcome", states=2)
        h.factor(Table(h.parameter("p", np.log([0.5, 0.5]))), cause)
        h.factor(NoisyOr(h.parameter("links", [0.5]), leak=0.1), cause, outcome)
        with pytest.raises(UnsupportedError, match=r"'links' is a part of .*, a NoisyOr"):
            fit(h, {"outcome": [0, 1, 1]}, parameters=["links"])
        known = fit(h, {"cause": [0, 1, 1], "outcome": [0, 0, 1]})
        np.testing.assert_allclose(known.probabilities["p"], [1 / 3, 2 / 3])
        g.condition(g.nodes["a"], 1)
        with pytest.raises(UnsupportedError, match="loss"):
            fit(g, data)


class TestLoops:
    """Networks with loops, under an exact schedule."""

    @staticmethod
    def diamond(rng):
        """a → b, c → d, and an observation at d."""
        g = FactorGraph()
        a, b, c, d = (g.variable(n, states=2) for n in "abcd")
        g.factor(Table(g.parameter("p(a)", log_tables(rng, 2))), a)
        g.factor(Table(g.parameter("p(b|a)", log_tables(rng, 2, 2))), a, b)
        g.factor(Table(g.parameter("p(c|a)", log_tables(rng, 2, 2, axis=0))), c, a)
        g.factor(Table(g.parameter("p(d|bc)", log_tables(rng, 2, 2, 2))), b, c, d)
        return g

    def test_the_child_is_found_and_rows_run_together(self, rng, monkeypatch):
        g, data = self.diamond(rng), columns(rng, dict.fromkeys("abcd", 2), 40)
        with pytest.raises(GraphError, match=r"JunctionTree\(\)"):
            fit(g, data)
        together = fit(g, data, schedule=JunctionTree(), n_iter=4, tol=0)
        assert np.diff(together.history).min() > -1e-9
        monkeypatch.setattr(expectation, "alignable", lambda graph: False)
        alone = fit(g, data, schedule=JunctionTree(), n_iter=4, tol=0)
        assert alone.history == pytest.approx(together.history, rel=1e-12)
        sums = {"p(b|a)": -1, "p(c|a)": 0, "p(d|bc)": -1}
        for name, axis in sums.items():
            np.testing.assert_allclose(together.probabilities[name].sum(axis=axis), 1.0)

    def test_coupled_chains(self, rng):
        """Two chains whose states depend on both: rows end to end are rows one by one."""
        g = FactorGraph()
        a, b = g.sequence("a", length=4, states=2), g.sequence("b", length=4, states=3)
        x = g.observe("x", [0, 1, 0, 1], states=2)
        g.factor(Table(g.parameter("a0", log_tables(rng, 2))), a[0])
        g.factor(Table(g.parameter("b0", log_tables(rng, 3))), b[0])
        g.factor(Table(g.parameter("A", log_tables(rng, 2, 3, 2))), a[:-1], b[:-1], a[1:])
        g.factor(Table(g.parameter("B", log_tables(rng, 2, 3, 3))), a[:-1], b[:-1], b[1:])
        g.factor(Table(g.parameter("E", log_tables(rng, 2, 3, 2))), a[:], b[:], x[:])
        data = {"x": rng.integers(-1, 2, (5, 4))}
        fitted = fit(g, data, schedule=JunctionTree(), n_iter=5, tol=0)
        assert np.diff(fitted.history).min() > -1e-9
        total = sum(
            run(g, schedule=JunctionTree(), values={**fitted.values, "x": row}).total for row in data["x"]
        )
        assert fitted.objective == pytest.approx(total, rel=1e-12)
