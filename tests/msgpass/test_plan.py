"""The plan: which blocks a graph condenses into, in which order; loose, over-determined and cyclic graphs are
errors."""

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, Quadratic, Step, Table, run
from msgpass.errors import GraphError, UnsupportedError


def mix(*parts):
    return np.tanh(sum(parts))


def loss(h):
    return 0.5 * float(np.sum(h**2)), (h,)


@pytest.fixture
def g():
    g = FactorGraph()
    for name in "abc":
        g.sequence(name, length=4, shape=(2,))
    g.observe("x", np.ones((4, 2)))
    g.parameter("start", np.zeros(2))
    return g


def blocks(g):
    return [(b.kind, b.nodes) for b in g.plan().blocks]


def test_stacked_and_two_directions_are_blocks_in_dependency_order(g):
    a, b, c, x, start = (g[n] for n in ("a", "b", "c", "x", "start"))
    g.factor(Step(mix), b.before(start), a[:], out=b[:])
    g.factor(Step(mix), a[:], b[:], out=c[:])
    g.factor(Step(mix), a.after(start), x[:], out=a[:])
    g.factor(Loss(loss), c[:])
    assert blocks(g) == [("Recurrence", ("a",)), ("Recurrence", ("b",)), ("Map", ("c",)), ("Losses", ())]
    assert [b.direction for b in g.plan().blocks[:2]] == [1, -1]


def test_several_families_of_one_recurrence_are_ordered_within_a_step(g):
    a, b, x, start = (g[n] for n in ("a", "b", "x", "start"))
    g.factor(Step(mix), b[:], x[:], out=a[:], name="second")
    g.factor(Step(mix), a.after(start), out=b[:], name="first")
    del g.nodes["c"]
    (block,) = g.plan().blocks
    assert (block.kind, [f.name for f in block.families]) == ("Recurrence", ["first", "second"])


@pytest.mark.parametrize("lag", [1, 2, 3])
def test_the_lag_of_a_recurrence_is_verified(lag):
    g = FactorGraph()
    h = g.sequence("h", length=6, shape=())
    for t in range(lag):
        g.factor(Step(np.tanh), g.parameter(f"p{t}", 1.0), out=h[t])
    g.factor(Step(np.tanh), h[:-lag], out=h[lag:])
    assert [b.order for b in g.plan().blocks if b.kind == "Recurrence"] == [lag]


def test_tables_condense_into_chains_and_trees():
    g = FactorGraph()
    z, w = g.sequence("z", length=3, states=2), g.sequence("w", length=3, states=2)
    u = g.variable("u", states=2)
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    g.factor(Table(np.zeros((2, 2))), w[:-1], w[1:])
    g.factor(Table(np.zeros((2, 2))), w[-1], u)
    assert sorted(blocks(g)) == [("TableChain", ("z",)), ("Tree", ("u", "w"))] or sorted(blocks(g)) == [
        ("TableChain", ("z",)),
        ("Tree", ("w", "u")),
    ]


def read_loose(g):
    g.factor(Step(mix), g["b"][:], out=g["a"][:])
    g.factor(Loss(loss), g["c"][:])


def twice(g):
    g.factor(Step(mix), g["x"][:], out=g["a"][:])
    g.factor(Step(mix), g["start"], out=g["a"][0])


def hole(g):
    g.factor(Step(mix), g["a"][:-1], out=g["a"][1:])


def cycle_within_a_step(g):
    g.factor(Step(mix), g["b"][:], out=g["a"][:])
    g.factor(Step(mix), g["a"][:], out=g["b"][:])


def cycle_through_all(g):
    g.factor(Step(lambda a, whole: a + whole.sum(0)), g["a"].after(g["start"]), g["a"].all, out=g["a"][:])


def both_directions(g):
    g.factor(Step(mix), g["a"].after(g["start"]), g["b"][:], out=g["a"][:])
    g.factor(Step(mix), g["b"].before(g["start"]), g["a"][:], out=g["b"][:])


def edge_on_itself(g):
    g.factor(Step(mix), g["a"].after(g["a"][-1]), out=g["a"][:])


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (read_loose, "no step computes"),
        (twice, "row 0 of 'a' is computed by more than one step"),
        (hole, "row 0 of 'a' is computed by no step"),
        (cycle_within_a_step, "loop of steps within one time step.*fixed_point"),
        (cycle_through_all, "loop of steps.*fixed_point"),
        (both_directions, "both forward and backward"),
        (edge_on_itself, "loop of steps.*fixed_point"),
    ],
)
def test_steps_that_no_order_runs(g, build, said):
    build(g)
    used = {s.node.name for f in g.factors.values() for s in (*f.args, *f.out)}
    for name in {"a", "b", "c"} - used:
        del g.nodes[name]
    with pytest.raises(GraphError, match=said):
        g.check()


def test_an_unconnected_variable():
    g = FactorGraph()
    g.factor(Table([0.0, 1.0]), g.variable("u", states=2))
    g.variable("lonely", states=3)
    with pytest.raises(GraphError, match=r"'lonely'.*not connected"):
        run(g)


def test_a_graph_without_factors():
    with pytest.raises(GraphError, match="no factor"):
        run(FactorGraph())


def test_observations_alone_make_no_component():
    g = FactorGraph()
    g.factor(Table(np.zeros((2, 2))), g.observe("x", 0, states=2), g.observe("y", 1, states=2))
    with pytest.raises(GraphError, match="observations only"):
        run(g)


@pytest.mark.parametrize("size", [3, 4])
def test_a_loop_of_tables_names_a_factor_of_it(size):
    g = FactorGraph()
    v = [g.variable(f"v{k}", states=2) for k in range(size)]
    for k in range(size):
        g.factor(Table(np.zeros((2, 2))), v[k], v[(k + 1) % size], name=f"edge {k}")
    with pytest.raises(GraphError, match=r"loop through edge \d.* between v\d and v\d"):
        run(g)


def test_a_loop_through_a_sequence():
    g = FactorGraph()
    z = g.sequence("z", length=4, states=2)
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    g.factor(Table(np.zeros((2, 2))), z[0], z[-1], name="closing")
    with pytest.raises(GraphError, match="loop"):
        run(g)


def test_a_loop_of_quadratics():
    g = FactorGraph()
    v = [g.variable(f"v{k}") for k in range(3)]
    for k in range(3):
        g.factor(Quadratic(np.zeros(2), np.eye(2)), v[k], v[(k + 1) % 3])
    with pytest.raises(GraphError, match="loop"):
        run(g)


def test_a_computed_variable_is_not_gaussian(g):
    g.factor(Step(mix), g["x"][:], out=g["a"][:])
    g.factor(Quadratic(np.zeros(2), np.eye(2)), g["a"][:])
    del g.nodes["b"], g.nodes["c"]
    with pytest.raises(UnsupportedError, match=r"deterministic.*or Gaussian"):
        run(g)


def test_a_plan_reads_no_values_and_is_made_once():
    g = FactorGraph()
    z = g.sequence("z", length=3, states=2)
    g.factor(Table(g.parameter("A", np.zeros((2, 2)))), z[:-1], z[1:])
    plan = g.plan()
    run(g, values={"A": np.ones((2, 2))})
    assert g.plan() is plan
    assert "TableChain(z" in repr(plan)
