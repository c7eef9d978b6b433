"""Factors with structure in graphs: on trees through their tables, with observations, parameters and slices,
and their messages on graphs of any shape."""

import numpy as np
import pytest

from msgpass import (
    And,
    AtMostOne,
    Cardinality,
    Equal,
    ExactlyOne,
    FactorGraph,
    MaxProduct,
    NoisyOr,
    Or,
    Parity,
    Pool,
    Potts,
    Table,
    run,
)
from msgpass.errors import GraphError, ImpossibleEvidenceError, ProbabilityError, ShapeError, UnsupportedError
from msgpass.gradient_check import check_gradients
from msgpass.sweeps.expanded import table_instances


def tree(potential, rng, sizes=(2, 2, 2, 2)):
    """One factor over variables with evidence of their own."""
    g = FactorGraph()
    made = [g.variable(f"x{k}", states=n) for k, n in enumerate(sizes)]
    for k, x in enumerate(made):
        g.factor(Table(rng.normal(size=sizes[k])), x)
    g.factor(potential, *made, name="f")
    return g


def replaced(g):
    """The graph with the factor written out as a Table."""
    fresh = FactorGraph()
    for f in g.factors.values():
        args = [
            fresh.nodes.get(s.node.name) or fresh.variable(s.node.name, states=s.node.states) for s in f.args
        ]
        potential = f.potential
        if f.name == "f":
            potential = Table(potential.as_table(len(args), args[0].states)[0])
        fresh.factor(potential, *args, name=f.name)
    return fresh


FACTORS = {
    "parity": Parity(),
    "or": Or(),
    "and": And(),
    "one": ExactlyOne(),
    "most": AtMostOne(),
    "pool": Pool(),
    "count": Cardinality([0.0, 1.0, -np.inf, 0.5, -1.0]),
    "noisy": NoisyOr([0.7, 0.2, 0.5], 0.1),
    "equal": Equal(),
}


@pytest.mark.parametrize("algebra", [None, MaxProduct()], ids=["sum", "max"])
@pytest.mark.parametrize("kind", FACTORS)
def test_on_a_tree_it_is_its_table(kind, algebra, rng):
    g = tree(FACTORS[kind], rng)
    a, b = run(g, algebra), run(replaced(g), algebra)
    assert np.isclose(a.total, b.total, rtol=1e-12)
    for name in ["f", "x0", "x3"]:
        np.testing.assert_allclose(a.belief[name], b.belief[name], rtol=1e-9, atol=1e-12)
    if algebra is not None:
        for name in ["x0", "x1", "x2", "x3"]:
            assert a.assignment[name] == b.assignment[name]


def syndrome_graph(data, stepped):
    """A parity check over steps whose target is observed."""
    g = FactorGraph()
    x, y = g.sequence("x", length=3, states=2), g.sequence("y", length=3, states=2)
    s = g.observe("s", data, states=2)
    g.factor(Table(np.log([0.7, 0.3])), x[:])
    g.factor(Table(np.log([0.2, 0.8])), y[:])
    if stepped:
        g.factor(Parity(), x[:], y[:], s[:], name="f")
    else:
        g.factor(Parity(np.maximum(data, 0)), x[:], y[:], name="f")
    return g


def test_an_observed_parity_is_a_constant_one():
    a, b = run(syndrome_graph([0, 1, 1], True)), run(syndrome_graph([0, 1, 1], False))
    assert np.isclose(a.total, b.total)
    np.testing.assert_allclose(a.belief["x"], b.belief["x"])
    np.testing.assert_allclose(np.exp(a.belief["x"][0, 1]), 0.24 / (0.24 + 0.14))


def test_a_missing_parity_says_nothing():
    m = run(syndrome_graph([-1, 1, 1], True))
    np.testing.assert_allclose(np.exp(m.belief["x"][0]), [0.7, 0.3])


@pytest.mark.parametrize("data", [[0, 1, 1], [0, -1, 1]])
def test_messages_with_observations_are_those_of_the_table(data, rng):
    g = syndrome_graph(data, True)
    family = next(f for b in g.plan().blocks for f in b.families if f.name == "f")
    made = table_instances(family, {n.name: n.value for n in g.nodes.values() if hasattr(n, "value")})
    incoming = rng.normal(size=(3, 2, 2))
    out = made.log_messages(incoming)
    for j in range(3):
        table = made.table(j)
        np.testing.assert_allclose(out[j, 0], np.logaddexp.reduce(table + incoming[j, 1], axis=1))
        np.testing.assert_allclose(out[j, 1], np.logaddexp.reduce(table.T + incoming[j, 0], axis=1))
    np.testing.assert_allclose(made.log_messages(incoming[[2]], chosen=[2]), out[[2]])
    np.testing.assert_allclose(
        made.log_partition(incoming), np.logaddexp.reduce(incoming + out, axis=-1)[:, 0], rtol=1e-12
    )
    if -1 in data:
        with pytest.raises(UnsupportedError, match="missing observations under max-product"):
            made.log_messages(incoming, maximise=True)


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("missing", [False, True])
def test_what_arrives_at_parameters_is_the_gradient(stepped, missing, rng):
    g, n = FactorGraph(), 3
    x, y, z = (g.sequence(name, length=n, states=2) for name in "xyz")
    for v in (x, y, z):
        g.factor(Table(rng.normal(size=(n, 2))), v[:])
    links = g.parameter("links", rng.uniform(0.1, 0.9, (n, 3) if stepped else 3))
    leak = g.parameter("leak", rng.uniform(0.1, 0.9, n) if stepped else 0.2)
    seen = g.observe("seen", [1, -1 if missing else 0, 1], states=2)
    g.factor(NoisyOr(links, leak), x[:], y[:], z[:], seen[:])
    check_gradients(g)


def test_counts_and_strengths_have_gradients(rng):
    g = FactorGraph()
    x, y = g.sequence("x", length=3, states=2), g.variable("y", states=4)
    z = g.variable("z", states=4)
    g.factor(Table(rng.normal(size=(3, 2))), x[:])
    g.factor(Table(rng.normal(size=4)), y)
    w, strength = g.parameter("w", rng.normal(size=4)), g.parameter("strength", 0.7)
    g.factor(Cardinality(w), x[0], x[1], x[2])
    g.factor(Potts(strength), y, z)
    m = run(g)
    assert np.isclose(m.parameters["w"].sum(), 1)
    check_gradients(g)


def test_gradients_from_messages_are_those_through_tables(rng):
    g = FactorGraph()
    x = [g.variable(f"x{k}", states=2) for k in range(3)]
    logs = rng.normal(size=(3, 2))
    for k in range(3):
        g.factor(Table(logs[k]), x[k])
    links = g.parameter("links", [0.3, 0.6])
    g.factor(NoisyOr(links, g.parameter("leak", 0.1)), *x, name="f")
    m = run(g)
    family = next(f for b in g.plan().blocks for f in b.families if f.name == "f")
    made = table_instances(family, {"links": links.value, "leak": np.array(0.1)})
    store = {"links": np.zeros(2), "leak": np.zeros(())}
    made.add_gradient(logs[None], store)
    np.testing.assert_allclose(store["links"], m.parameters["links"])
    np.testing.assert_allclose(store["leak"], m.parameters["leak"])


def test_unrolled_it_is_the_same(rng):
    g = FactorGraph()
    x, y, z = (g.sequence(name, length=3, states=2) for name in "xyz")
    g.factor(Table(rng.normal(size=(3, 2))), x[:])
    g.factor(NoisyOr(g.parameter("links", rng.uniform(0.1, 0.9, (3, 2))), 0.1), x[:], y[:], z[:])
    g.factor(Table(g.parameter("w", rng.normal(size=2))), z[:])
    a, b = run(g), run(g.unroll())
    assert np.isclose(a.total, b.total)
    for j in range(3):
        np.testing.assert_allclose(a.parameters["links"][j], b.parameters[f"links[{j}]"])


def flooded(g, sweeps):
    """Messages by plain flooding over all factors, in a few lines; variable beliefs by name."""
    values = {n.name: n.value for n in g.nodes.values() if hasattr(n, "value")}
    block = g.plan().blocks[0]
    from msgpass.sweeps.flattened import flatten

    flat = flatten(block)
    made = [table_instances(f, values) for f in block.families]
    out = [np.zeros((*scope.shape, 2)) for scope in flat.scopes]
    for _ in range(sweeps):
        total = np.zeros((len(flat), 2))
        for scope, m in zip(flat.scopes, out, strict=True):
            np.add.at(total, scope, m)
        for k, scope in enumerate(flat.scopes):
            incoming = total[scope] - out[k]
            if hasattr(made[k], "log_messages"):
                fresh = made[k].log_messages(incoming)
                out[k] = fresh - np.logaddexp.reduce(fresh, axis=-1)[..., None]
            else:
                out[k] = made[k].stacked().reshape(out[k].shape)
    return total - np.logaddexp.reduce(total, axis=-1)[:, None]


def test_flooding_a_tree_is_exact(rng):
    g = tree(Parity(), rng)
    x0, extra = g["x0"], g.variable("x4", states=2)
    g.factor(Or(), x0, g["x1"].graph.variable("x5", states=2), extra)
    found, m = flooded(g, 6), run(g)
    for k, name in enumerate(["x0", "x1", "x2", "x3"]):
        np.testing.assert_allclose(found[g.plan().blocks[0].nodes.index(name)], m.belief[name], atol=1e-12), k


def test_a_code_corrects_a_flip():
    """The Hamming code (7, 4): flooding finds the word from six right bits and a wrong one."""
    H = np.array([[1, 0, 1, 0, 1, 0, 1], [0, 1, 1, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1, 1]])
    g = FactorGraph()
    x = g.sequence("x", length=7, states=2)
    received = np.zeros(7, int)
    received[6] = 1
    g.factor(Table(np.where(np.eye(2)[received] == 1, np.log(0.9), np.log(0.1))), x[:])
    rows = np.array([np.flatnonzero(h) for h in H])
    g.factor(Parity(), *(x[rows[:, k]] for k in range(4)))
    np.testing.assert_array_equal(flooded(g, 20).argmax(axis=-1), np.zeros(7))


def test_a_loop_says_which_schedules_run():
    g = FactorGraph()
    x = g.sequence("x", length=4, states=2)
    g.factor(Parity(), x[[0, 1]], x[[1, 2]], x[[2, 3]])
    with pytest.raises(GraphError, match=r"loop.*JunctionTree.*Flooding"):
        run(g)


@pytest.mark.parametrize(
    ("potential", "states", "error", "said"),
    [
        (Parity(), (2, 3), ShapeError, r"Parity relates variables of two states each, but x1 has 3"),
        (Or(), (2,), GraphError, "Or needs at least 2 variables, got x0"),
        (Equal(), (3, 4), ShapeError, "the same number of states, but x1 has 4"),
        (Potts(1.0), (3, 3, 3), GraphError, "Potts relates two variables, got 3"),
        (Cardinality([0.0, 0.0]), (2, 2), ShapeError, r"log_weights has shape \(2,\), wanted \(3,\)"),
        (NoisyOr([0.5]), (2, 2, 2), ShapeError, r"links has shape \(1,\), wanted \(2,\)"),
        (Parity([0, 1]), (2, 2), ShapeError, r"target has shape \(2,\)"),
    ],
)
def test_what_does_not_fit_is_refused(potential, states, error, said):
    g = FactorGraph()
    with pytest.raises(error, match=said):
        g.factor(potential, *(g.variable(f"x{k}", states=n) for k, n in enumerate(states)))


def test_a_class_is_no_factor():
    g = FactorGraph()
    with pytest.raises(GraphError, match=r"such as Parity\(\), got the class Parity"):
        g.factor(Parity, g.variable("x", states=2))
    with pytest.raises(GraphError, match="got int"):
        g.factor(3, g.variable("y", states=2))


def test_a_real_variable_is_refused():
    g = FactorGraph()
    with pytest.raises(GraphError, match="a Parity relates discrete variables"):
        g.factor(Parity(), g.variable("x", shape=()), g.variable("y", states=2))


def test_a_run_checks_its_probabilities(rng):
    g = FactorGraph()
    x, y = g.variable("x", states=2), g.variable("y", states=2)
    g.factor(NoisyOr(g.parameter("links", [0.5])), x, y)
    with pytest.raises(ProbabilityError, match=r"links \(links\) are probabilities between 0 and 1, got 2"):
        run(g, values={"links": [2.0]})


def test_contradicting_evidence_names_the_factor():
    g = FactorGraph()
    x, y = g.sequence("x", length=2, states=2), g.sequence("y", length=2, states=2)
    g.factor(Parity(), x[:], y[:], name="check")
    made = table_instances(g.plan().blocks[0].families[0], {})
    hard = np.where(np.array([[[1, 0], [1, 0]], [[1, 0], [0, 1]]]) == 1, 0.0, -np.inf)
    with pytest.raises(ImpossibleEvidenceError, match=r"factor check\[1\], a Parity"):
        made.refuse_contradictions(hard)
    made.refuse_contradictions(hard[:1].repeat(2, axis=0))
