"""pgmpy's networks there and back, and its marginals beside ours (skipped where it is not installed)."""

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest

from msgpass import FactorGraph, JunctionTree, MaxProduct, Table, run
from msgpass.errors import DataError, GraphError, UnsupportedError
from msgpass.interop.bif import parse_bif
from msgpass.interop.pgmpy import from_pgmpy, pgmpy_evidence, to_pgmpy

pytestmark = pytest.mark.peers
SMALL = [
    "asia",
    "cancer",
    "earthquake",
    "sachs",
    "survey",
    "child",
    "insurance",
    "alarm",
    "hailfinder",
    "win95pts",
    "hepar2",
]
LARGE = [
    "andes",
    "barley",
    "diabetes",
    "link",
    "mildew",
    "munin1",
    "pathfinder",
    "pigs",
    "water",
    "munin",
    "munin2",
    "munin3",
    "munin4",
]


@pytest.fixture(scope="module")
def pgmpy():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own imports
        found = pytest.importorskip("pgmpy")
        for module in ("models", "factors.discrete", "inference", "readwrite"):
            pytest.importorskip(f"pgmpy.{module}")
    return found


def text_of(pgmpy, name):
    """A network that pgmpy carries."""
    path = Path(pgmpy.__file__).parent / "utils" / "example_models" / f"{name}.bif.gz"
    return gzip.decompress(path.read_bytes()).decode()


def model_of(pgmpy, text):
    return pgmpy.readwrite.BIFReader(string=text).get_model()


def check_round_trip(pgmpy, name):
    """Their reader and ours, to a graph and back, with the same tables everywhere."""
    text = text_of(pgmpy, name)
    model, own = model_of(pgmpy, text), parse_bif(text)
    graph = from_pgmpy(model)
    assert graph.state_names == own.state_names
    for variable in model.nodes():
        theirs, ours = graph[f"table of {variable}"], own[f"table of {variable}"]
        (factor,) = (f for f in own.factors.values() if f.potential.source is ours)
        assert [s.name for s in factor.args] == [*model.get_cpds(variable).variables[1:], variable]
        np.testing.assert_array_equal(ours.value, theirs.value)
    back = to_pgmpy(graph, "bayes")
    assert back.check_model()
    assert set(back.nodes()) == set(model.nodes()) and set(back.edges()) == set(model.edges())
    for variable in model.nodes():
        before, after = model.get_cpds(variable), back.get_cpds(variable)
        assert before.variables == after.variables and before.state_names == after.state_names
        np.testing.assert_allclose(after.values, before.values, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("name", SMALL)
def test_small_networks(pgmpy, name):
    check_round_trip(pgmpy, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_large_networks(pgmpy, name):
    check_round_trip(pgmpy, name)


def test_all_networks_are_named(pgmpy):
    folder = Path(pgmpy.__file__).parent / "utils" / "example_models"
    assert {p.name.removesuffix(".bif.gz") for p in folder.glob("*.bif.gz")} == {*SMALL, *LARGE}


@pytest.mark.parametrize("name", ["asia", "child", "insurance", "alarm"])
def test_marginals(pgmpy, name):
    model = model_of(pgmpy, text_of(pgmpy, name))
    graph = from_pgmpy(model)
    variables = list(model.nodes())
    evidence = {v: graph.state_names[v][0] for v in variables[-2:]}
    m = run(graph, schedule=JunctionTree(), values=evidence)
    inference = pgmpy.inference.VariableElimination(model)
    for v in variables[:-2]:
        theirs = inference.query([v], evidence=evidence, show_progress=False)
        assert theirs.state_names[v] == list(graph.state_names[v])
        assert np.exp(m.belief[v]) == pytest.approx(theirs.values, abs=1e-7)  # rows sum to 1 ± 1e-7
    best = run(graph, MaxProduct(), JunctionTree(), values=evidence)
    states = graph.decode(best.assignment)
    assert {v: states[v] for v in evidence} == evidence
    assert m.parameters[f"table of {variables[0]}"].sum() == pytest.approx(1)


# -- the other kinds


def loop():
    g = FactorGraph()
    a = g.variable("a", states=["x", "y"])
    b, c = g.variable("b", states=3), g.variable("c", states=[1, 2])
    rng = np.random.default_rng(0)
    g.factor(Table(rng.normal(size=(2, 3))), a, b)
    g.factor(Table(rng.normal(size=(2, 3))), c, b)
    g.factor(Table(rng.normal(size=(2, 2))), c, a)
    g.factor(Table(rng.normal(size=(2, 3))), a, b, name="again")
    return g


@pytest.mark.parametrize("kind", ["factor", "markov"])
def test_undirected(pgmpy, kind):
    model = to_pgmpy(loop(), kind)
    assert model.check_model()
    found = from_pgmpy(model)
    assert found.state_names == {"a": ("x", "y"), "c": (1, 2)}
    assert list(found.factors) == ["phi(a, b)", "phi(c, b)", "phi(c, a)", "phi(a, b) #2"]
    before, after = (run(g, schedule=JunctionTree()) for g in (loop(), found))
    assert after.total == pytest.approx(before.total)
    assert after.parameters["table of phi(c, a)"].sum() == pytest.approx(1)
    assert np.exp(before.total) == pytest.approx(model.get_partition_function())
    values = found.evidence(c=2)
    assert values == {"c": 1}
    assert from_pgmpy(model, parameters=False)["phi(c, a)"].potential.parameters == {}


def test_the_kind_is_found(pgmpy):
    assert type(to_pgmpy(loop())).__name__ == "FactorGraph"
    asia = from_pgmpy(model_of(pgmpy, text_of(pgmpy, "asia")))
    assert type(to_pgmpy(asia)).__name__ == "DiscreteBayesianNetwork"
    assert type(to_pgmpy(asia, "DiscreteMarkovNetwork")).__name__ == "DiscreteMarkovNetwork"
    tree = to_pgmpy(asia, "markov").to_junction_tree()
    assert run(from_pgmpy(tree), schedule=JunctionTree()).total == pytest.approx(0, abs=1e-9)
    with pytest.raises(UnsupportedError, match="no distribution"):
        to_pgmpy(loop(), "bayes")
    with pytest.raises(DataError, match="kind must be one of"):
        to_pgmpy(loop(), "tree")


def test_learned_tables_and_evidence_go_along(pgmpy):
    g = FactorGraph()
    z, y = g.sequence("z", length=2, states=2), g.observe("y", ["hi", None], states=["lo", "hi"])
    a = g.parameter("A", np.log(np.full((2, 2), 0.5)))
    half = Table.from_probabilities([0.5, 0.5])
    g.factor(half, z[0])
    g.factor(Table(a), z[:-1], z[1:])
    g.factor(Table.from_probabilities([[0.9, 0.1], [0.3, 0.7]]), z[:], y[:])
    values = {"A": np.log([[0.9, 0.1], [0.2, 0.8]])}
    model = to_pgmpy(g, values=values)
    evidence = pgmpy_evidence(g, {"z": [-1, 1]})
    assert evidence == {"y[0]": "hi", "z[1]": 1}
    theirs = pgmpy.inference.VariableElimination(model).query(["z[0]"], {"y[0]": "hi"}, show_progress=False)
    assert theirs.values == pytest.approx(np.exp(run(g, values=values).belief["z"][0]))


# -- slices


def dynamic(pgmpy, initialised=False):
    """Two hidden chains that meet in an observation, in the order (variable, evidence) of pgmpy."""
    make = pgmpy.factors.discrete.TabularCPD
    model = pgmpy.models.DynamicBayesianNetwork(
        [(("D", 0), ("G", 0)), (("I", 0), ("G", 0)), (("D", 0), ("D", 1)), (("I", 0), ("I", 1))]
    )
    grades = [[0.3, 0.05, 0.9, 0.5], [0.4, 0.25, 0.08, 0.3], [0.3, 0.7, 0.02, 0.2]]
    model.add_cpds(
        make(("G", 0), 3, grades, [("D", 0), ("I", 0)], [2, 2]),
        make(("D", 0), 2, [[0.6], [0.4]]),
        make(("I", 0), 2, [[0.7], [0.3]]),
        make(("D", 1), 2, [[0.6, 0.3], [0.4, 0.7]], [("D", 0)], [2]),
        make(("I", 1), 2, [[0.5, 0.4], [0.5, 0.6]], [("I", 0)], [2]),
    )
    if initialised:
        model.initialize_initial_state()
    return model


@pytest.mark.parametrize("initialised", [False, True])
def test_dynamic(pgmpy, initialised):
    g = from_pgmpy(dynamic(pgmpy, initialised), length=3)
    assert [s.name for s in g["P(G[:] | D[:], I[:])"].args] == ["D[:]", "I[:]", "G[:]"]
    assert sorted(n for n in g.nodes if n.startswith("table")) == [
        "table of D, start",
        "table of D, step",
        "table of G",
        "table of I, start",
        "table of I, step",
    ]
    d, i = np.array([0.6, 0.4]), np.array([0.7, 0.3])
    d_next, i_next = np.array([[0.6, 0.4], [0.3, 0.7]]), np.array([[0.5, 0.5], [0.4, 0.6]])
    grade = np.array([[[0.3, 0.4, 0.3], [0.05, 0.25, 0.7]], [[0.9, 0.08, 0.02], [0.5, 0.3, 0.2]]])
    seen = grade[:, :, 1]
    joint = np.einsum(
        "a,b,ab,ac,bd,cd,ce,df,ef->abcdef", d, i, seen, d_next, i_next, seen, d_next, i_next, seen
    )
    m = run(g, schedule=JunctionTree(), values={"G": [1, 1, 1]})
    assert m.total == pytest.approx(np.log(joint.sum()))
    assert np.exp(m.belief["I"][1]) == pytest.approx(joint.sum((0, 1, 2, 4, 5)) / joint.sum())
    back = to_pgmpy(g, "dynamic")
    assert back.check_model()
    assert set(back.edges()) == set(dynamic(pgmpy, True).edges())
    for cpd in dynamic(pgmpy).cpds:
        (same,) = (c for c in back.cpds if tuple(c.variables[0]) == tuple(cpd.variables[0]))
        assert list(map(tuple, same.variables)) == list(map(tuple, cpd.variables))
        assert same.values == pytest.approx(cpd.values)
    assert list(from_pgmpy(back, 3).factors) == list(g.factors)


def test_two_slice_network_of_the_docstring(pgmpy):
    """Row 11 of the reference numbers: pgmpy's own answer to the second query is wrong."""
    make = pgmpy.factors.discrete.TabularCPD
    model = pgmpy.models.DynamicBayesianNetwork([(("X", 0), ("X", 1)), (("X", 0), ("Y", 0))])
    names = {("X", 0): ["no", "yes"], ("X", 1): ["no", "yes"]}
    model.add_cpds(
        make(("X", 0), 2, [[0.5], [0.5]], state_names={("X", 0): ["no", "yes"]}),
        make(("X", 1), 2, [[0.7, 0.3], [0.3, 0.7]], [("X", 0)], [2], state_names=names),
        make(("Y", 0), 2, [[0.9, 0.2], [0.1, 0.8]], [("X", 0)], [2], state_names={("Y", 0): [0, 1], **names}),
    )
    m = run(from_pgmpy(model, length=5), values={"Y": [0, 0, 1, 0, 0]})
    assert m.total == pytest.approx(-3.372502044332175)
    assert m.graph.state_names == {"X": ("no", "yes")}


def test_one_slice(pgmpy):
    g = from_pgmpy(dynamic(pgmpy), length=1)
    assert list(g.factors) == ["P(D[0])", "P(G[:] | D[:], I[:])", "P(I[0])"]
    model = to_pgmpy(g, "dynamic")
    assert len(model.cpds) == 3


def test_what_has_no_form_as_two_slices():
    half = Table(np.log(np.full((2, 2), 0.5)))

    def chain(transition, *slices, start=True):
        g = FactorGraph()
        z = g.sequence("z", length=4, states=2)
        if start:
            g.factor(Table.from_probabilities([0.5, 0.5]), z[0])
        g.factor(transition, *(z[s] for s in slices), name="move")
        return g

    with pytest.raises(UnsupportedError, match=r"\[:-1\] and \[1:\].*'move' is over z\[:-2\], z\[2:\]"):
        to_pgmpy(chain(half, slice(None, -2), slice(2, None)), "dynamic")
    with pytest.raises(UnsupportedError, match="'move' is over"):
        to_pgmpy(chain(half, slice(1, None), slice(None, -1)), "dynamic")
    with pytest.raises(UnsupportedError, match="differs from step to step"):
        steps = Table(np.zeros((3, 2, 2)))
        to_pgmpy(chain(steps, slice(None, -1), slice(1, None)), "dynamic")
    with pytest.raises(UnsupportedError, match=r"no table has \('z', 0\)"):
        to_pgmpy(chain(half, slice(None, -1), slice(1, None), start=False), "dynamic")
    g = chain(half, slice(None, -1), slice(1, None))
    g.factor(half, g["z"][0], g.variable("w", states=2))
    with pytest.raises(UnsupportedError, match=r"sequences alone.*'w'"):
        to_pgmpy(g, "dynamic")


def test_what_pgmpy_has_not_said(pgmpy):
    model = pgmpy.models.DiscreteBayesianNetwork([("a", "b")])
    make = pgmpy.factors.discrete.TabularCPD
    model.add_cpds(make("b", 2, [[0.5, 0.5], [0.5, 0.5]], ["a"], [2]))
    with pytest.raises(GraphError, match="no CPD of a;"):
        from_pgmpy(model)
    model.add_cpds(make("a", 2, [[0.5], [0.5]], state_names={"a": ["x", "y"]}))
    with pytest.raises(GraphError, match="names and their order must agree"):
        from_pgmpy(model)
    with pytest.raises(DataError, match="length= is of a DynamicBayesianNetwork"):
        from_pgmpy(model, length=3)
    with pytest.raises(DataError, match="length=10"):
        from_pgmpy(dynamic(pgmpy))
    with pytest.raises(DataError, match="whole number of slices"):
        from_pgmpy(dynamic(pgmpy), length=0)
    model = dynamic(pgmpy)
    model.remove_cpds(("D", 1))
    with pytest.raises(GraphError, match=r"no CPD of \('D', 1\), which has parents in slice 0"):
        from_pgmpy(model, length=2)
    with pytest.raises(UnsupportedError, match="got int"):
        from_pgmpy(3)


def test_columns_that_are_no_distributions_are_told(pgmpy):
    model = pgmpy.models.DiscreteBayesianNetwork()
    model.add_node("a")
    cpd = pgmpy.factors.discrete.TabularCPD("a", 2, [[0.5], [0.5]])
    cpd.values = np.array([0.5, 0.9])
    model.add_cpds(cpd)
    with pytest.raises(DataError, match=r"the CPD of a is no distribution: a column sums to 1.4"):
        from_pgmpy(model)


def test_variables_of_a_markov_network_that_are_in_no_factor_are_told(pgmpy):
    model = pgmpy.models.DiscreteMarkovNetwork([("a", "b")])
    model.add_node("c")
    model.add_factors(pgmpy.factors.discrete.DiscreteFactor(["a", "b"], [2, 2], np.ones(4)))
    with pytest.raises(GraphError, match="no factor is over c"):
        from_pgmpy(model)
