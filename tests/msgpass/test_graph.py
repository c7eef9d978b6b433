"""Building a graph: everything that does not fit is one typed error when it is added, and it leaves the graph
as it was."""

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, MessagePassingError, Quadratic, Step, Table, run
from msgpass.errors import DataError, GraphError, ShapeError, UnavailableError

PAIR = np.log([[0.7, 0.3], [0.4, 0.6]])


@pytest.fixture
def g():
    """Two discrete sequences, a real one, single variables, data and a parameter."""
    g = FactorGraph()
    g.sequence("z", length=4, states=2)
    g.sequence("w", length=4, states=3)
    g.sequence("short", length=3, states=2)
    g.sequence("h", length=4, shape=(2,))
    g.variable("u", states=2)
    g.variable("v", shape=(2,))
    g.observe("x", [0, 1, 2, -1], states=3)
    g.observe("y", np.zeros((4, 2)))
    g.parameter("A", PAIR)
    g.parameter("start", np.zeros(2))
    return g


BAD_NODES = [
    (lambda g: g.variable("z", states=2), GraphError, "taken"),
    (lambda g: g.variable("", states=2), GraphError, "non-empty"),
    (lambda g: g.variable(3, states=2), GraphError, "non-empty string"),
    (lambda g: g.variable("new", states=0), ShapeError, "states"),
    (lambda g: g.variable("new", states=2.0), ShapeError, "states"),
    (lambda g: g.variable("new", states=True), ShapeError, "states"),
    (lambda g: g.variable("new", shape=(0,)), ShapeError, "shape"),
    (lambda g: g.variable("new", shape=(2.5,)), ShapeError, "shape"),
    (lambda g: g.parameter("new", [1.0, np.nan]), DataError, "NaN"),
    (lambda g: g.parameter("new", [1.0, np.inf]), DataError, "∞"),
    (lambda g: g.parameter("new", ["a"]), DataError, "numbers"),
    (lambda g: g.parameter("new", [[1.0], [1.0, 2.0]]), DataError, "numbers"),
    (lambda g: g.parameter("new", [1j]), DataError, "real"),
    (
        lambda g: g.observe("new", [0, 1, 3], states=3),
        DataError,
        "holds the state 3 at index 2; states run from 0 to 2",
    ),
    (lambda g: g.observe("new", [0, -2], states=3), DataError, "holds the state -2 at index 1"),
    (lambda g: g.observe("new", [0.5], states=3), DataError, "whole numbers"),
    (lambda g: g.observe("new", [0], states=0), ShapeError, "states"),
    (lambda g: g.observe("new", [np.inf]), DataError, "infinite"),
    (lambda g: g.observe("new", "text"), DataError, "numbers"),
    (lambda g: g.condition(g["x"], [0, 0, 0, 0]), GraphError, "discrete variable or sequence"),
    (lambda g: g.condition(g["h"], [0, 0, 0, 0]), GraphError, "discrete variable or sequence"),
    (lambda g: g.condition(g["z"], [0, 0, 0]), ShapeError, r"shape \(3,\), wanted \(4,\)"),
    (lambda g: g.condition(g["z"], [0, 0, 0, 2]), DataError, "state 2"),
    (lambda g: g["nothing"], UnavailableError, "nothing called 'nothing'"),
]

BAD_FACTORS = [
    (lambda g: g.factor(np.eye(2), g["u"]), GraphError, "Table, Quadratic, Step or Loss"),
    (lambda g: g.factor(Table(PAIR), g["z"], g["z"][1:]), GraphError, r"say which rows, such as z\[:\]"),
    (lambda g: g.factor(Table(PAIR), np.eye(2)), GraphError, "g.parameter"),
    (lambda g: g.factor(Table(PAIR), g["z"][:-1], g["z"][1:], name="z"), GraphError, "taken"),
    (lambda g: g.factor(Table(PAIR), g["z"][:-1], g["z"][1:], name=""), GraphError, "empty"),
    (lambda g: g.factor(Table(PAIR), g["z"][:], g["z"][1:]), ShapeError, "do not fit"),
    (lambda g: g.factor(Table(PAIR), g["z"][:-1], g["short"][:]), ShapeError, "share a clock"),
    (lambda g: g.factor(Table(PAIR), g["z"][9]), ShapeError, "indices run from -4 to 3"),
    (lambda g: g.factor(Table(np.zeros((2, 3))), g["z"][:], g["y"][:]), GraphError, "discrete"),
    (
        lambda g: g.factor(Table(np.zeros((2, 2))), g["z"][:], FactorGraph().observe("o", [0, 1], states=2)),
        GraphError,
        "another graph",
    ),
    (
        lambda g: g.factor(Table(FactorGraph().parameter("B", PAIR)), g["z"][:-1], g["z"][1:]),
        GraphError,
        "another graph",
    ),
]


@pytest.mark.parametrize(("build", "error", "said"), BAD_NODES + BAD_FACTORS)
def test_bad_input_is_one_typed_error_and_changes_nothing(g, build, error, said):
    nodes, factors, version = dict(g.nodes), dict(g.factors), g.version
    with pytest.raises(error, match=said) as caught:
        build(g)
    assert isinstance(caught.value, MessagePassingError)
    assert (g.nodes, g.factors, g.version) == (nodes, factors, version)


def test_the_names_of_factors_are_free_by_default():
    g = FactorGraph()
    u = g.variable("u", states=2)
    names = [g.factor(Table(np.zeros(2)), u).name for _ in range(3)]
    assert len({*names}) == 3
    A = g.parameter("A", np.zeros(2))
    assert g.factor(Table(A), u).name == "A factor"


def test_data_are_copied(g):
    data = np.array([0.0, 1.0])
    x, a = g.observe("mine", data), g.parameter("my parameter", data)
    data[:] = 9
    assert x.value.tolist() == a.value.tolist() == [0.0, 1.0]


def test_single_precision_is_kept(g):
    assert g.observe("single", np.zeros(2, np.float32)).value.dtype == np.float32
    assert g.parameter("half", np.zeros(2, np.float16)).value.dtype == np.float64
    assert g.observe("whole", [0.0, 2.0], states=3).value.dtype == np.int64
    assert g.observe("gappy", [0.0, np.nan], states=3).value.tolist() == [0, -1]


def test_factor_instances(g):
    f = g.factor(Table(PAIR), g["z"][:-1], g["z"][1:], name="link")
    assert len(f) == 3
    assert f[-1] == f[2]
    assert f[2].name == "link[2]"
    for bad in (3, -4, 1.0, True, slice(0, 1)):
        with pytest.raises(GraphError, match="has 3 instances"):
            f[bad]


def test_a_second_condition_is_refused(g):
    g.condition(g["z"], [0, 1, -1, 0])
    with pytest.raises(GraphError, match="already"):
        g.condition(g["z"], [0, 1, -1, 0])


def test_a_changed_graph_is_planned_again():
    g = FactorGraph()
    u = g.variable("u", states=2)
    g.factor(Table([0.0, 0.0]), u)
    before = run(g).total
    g.factor(Table([1.0, 1.0]), u)
    assert run(g).total == pytest.approx(before + 1)


def test_check_names_what_is_wrong(g):
    with pytest.raises(GraphError, match="not connected to any factor"):
        g.check()
    ready = FactorGraph()
    ready.factor(Table([0.0, 1.0]), ready.variable("u", states=2))
    assert ready.check() is ready


def test_to_networkx_has_every_node_and_factor():
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    g.factor(Table(g.parameter("A", PAIR)), z[:-1], z[1:], name="link")
    drawn = g.to_networkx()
    assert set(drawn.nodes) == {"z", "A", "link"}
    assert drawn.nodes["link"]["item"] is g["link"]
    assert set(drawn.to_undirected().edges) == {("z", "link"), ("A", "link")}


@pytest.mark.parametrize(
    "other", [Quadratic.prior(np.zeros(2), np.eye(2)), Loss(lambda v: (0.0, (None,))), Step(lambda v: v)]
)
def test_potentials_of_real_variables_refuse_discrete_ones(g, other):
    with pytest.raises(GraphError):
        g.factor(other, g["z"][0], out=g["v"] if isinstance(other, Step) else None)
