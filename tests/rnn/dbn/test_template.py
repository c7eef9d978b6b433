"""The two slices are what the graph says, and past and future meet in the interface."""

import networkx as nx
import numpy as np
import pytest

from msgpass import FactorGraph, Loss, Step, Table
from msgpass.errors import DataError, UnsupportedError
from rnn import GRU, LSTM, RNN, CrossEntropy, Linear, Memory, Recurrence, SquaredError, as_dbn
from rnn.dbn import DBN, Arrow

NETS = {
    "rnn": (lambda: RNN(2, 3), ("h_l0",)),
    "gru": (lambda: GRU(2, 3, num_layers=2), ("h_l0", "h_l1")),
    "lstm": (lambda: LSTM(2, 3, num_layers=2, initial="learned"), ("h_l0", "c_l0", "h_l1", "c_l1")),
    "recurrence": (
        lambda: Recurrence(
            lambda h, v, x, a: (h + v, a * v + x), {"a": np.ones(1)}, 1, {"h": 1, "v": 1}, initial="learned"
        ),
        ("h", "v"),
    ),
}


@pytest.fixture(params=list(NETS))
def net(request):
    return NETS[request.param]


def test_the_interface_is_what_carries(net):
    make, interface = net
    assert as_dbn(make()).interface == interface


def test_kinds_and_arrows_of_an_lstm_with_readout():
    loss = SquaredError(np.zeros((3, 2)), readout=Linear(2, 2))
    dbn = as_dbn(LSTM(1, 2), np.zeros((3, 1)), loss)
    kinds = {p.name: p.kind for p in dbn.places}
    assert kinds["h_l0"] == kinds["c_l0"] == kinds["output"] == "deterministic"
    assert kinds["x"] == kinds["target"] == "input" and kinds["loss"] == "evidence"
    assert kinds["weight_hh_l0"] == kinds["readout.bias"] == kinds["h0_l0"] == "shared"
    lagged = {(a.parent, a.child) for a in dbn.transition if a.lag == 1}
    assert lagged == {(a, b) for a in ("h_l0", "c_l0") for b in ("h_l0", "c_l0")}
    assert Arrow("h_l0", "output", 0, "readout") in dbn.transition
    assert {a.parent for a in dbn.template.parents("h_l0", prior=True)} >= {"h0_l0", "c0_l0", "x"}
    assert not any(a.lag == 1 for a in dbn.prior)


def test_gates_are_variables_of_the_slice():
    dbn = as_dbn(GRU(1, 2), np.zeros((3, 1)), gates=True)
    assert dbn.interface == ("h_l0",) and dbn.template["gates_l0"].kind == "deterministic"
    assert Arrow("h_l0", "gates_l0", 1, "affine_l0") in dbn.transition


def test_views(net):
    make, interface = net
    dbn = as_dbn(make())
    two = dbn.to_networkx()
    assert nx.is_directed_acyclic_graph(two) and nx.is_isomorphic(two, dbn.unroll(2))
    assert all(two.nodes[name, 1]["kind"] == "deterministic" for name in interface)
    with_weights = dbn.unroll(4, shared=True)
    assert nx.is_directed_acyclic_graph(with_weights)
    assert {n for n, t in with_weights if t is None} == {p.name for p in dbn.places if p.kind == "shared"}
    moral = dbn.moralize(3)
    for child in dbn.unroll(3):
        parents = list(dbn.unroll(3).predecessors(child))
        assert all(moral.has_edge(a, b) for k, a in enumerate(parents) for b in parents[k + 1 :])


def test_the_interface_separates_past_and_future(net):
    make, interface = net
    built = make()
    x, y = np.zeros((6, built.input_size)), np.zeros((6, built.output_size))
    dbn = as_dbn(built, x, SquaredError(y))
    graph, t = dbn.unroll(), 3
    past = {n for n in graph if n[1] < t}
    future = {n for n in graph if n[1] > t}
    given = {(name, t) for name in interface}
    assert nx.is_d_separator(graph, past, future, given)
    assert not nx.is_d_separator(graph, past, future, given - {(interface[0], t)})


def test_a_loss_on_the_last_row_stays_there_when_unrolled_further():
    g = FactorGraph()
    h, x = g.sequence("h", 4), g.observe("x", np.ones(4))
    g.factor(Step(np.add, vectorized=True), h.after(g.parameter("h0", 0.0)), x[:], out=h[:])
    g.factor(Loss(lambda h: (h**2, (2 * h,))), h[-1], name="last")
    g.factor(Loss(lambda a, b: ((a - b) ** 2, (2 * (a - b), 2 * (b - a)))), h[:-1], h[1:], name="smooth")
    dbn = as_dbn(g)
    assert [t for name, t in dbn.unroll() if name == "last"] == [3]
    assert [t for name, t in dbn.unroll(7) if name == "last"] == [6]
    assert [t for name, t in dbn.unroll(5) if name == "smooth"] == [1, 2, 3, 4]
    assert ("h", 0) in dbn.unroll(5).pred["smooth", 1]


def test_data_of_another_time_are_an_input_of_their_own():
    g = FactorGraph()
    h, x = g.sequence("h", 3), g.observe("x", np.ones(3))
    start = Step(lambda x: x)
    g.factor(start, x[0], out=h[0])
    g.factor(Step(np.add), h[:-1], x[:-1], out=h[1:])
    dbn = as_dbn(g)
    assert {a.parent for a in dbn.template.parents("h", prior=True)} == {"x"}
    assert {(a.parent, a.lag) for a in dbn.template.parents("h")} == {("h", 1), ("x[t−1]", 0)}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: as_dbn(RNN(1, 2, bidirectional=True)), "h_l0_reverse runs against the clock"),
        (lambda: as_dbn(lag_two()), "2 steps back; a two-slice network has lag 1"),
        (lambda: as_dbn(whole()), "h reads e.all at every step"),
        (lambda: as_dbn(tables()), "is a Table; as_dbn takes deterministic steps"),
        (lambda: as_dbn(noisy()), "is a Step with noise"),
        (lambda: as_dbn(ahead()), "1 step.s. ahead|against the clock"),
        (lambda: as_dbn(ragged()), "ragged sequences"),
    ],
)
def test_refusals_say_why(make, says):
    with pytest.raises(UnsupportedError, match=says):
        make()


def lag_two():
    g = FactorGraph()
    h = g.sequence("h", 5)
    g.factor(Step(lambda x: x), g.parameter("a", 1.0), out=h[0])
    g.factor(Step(lambda x: x), g.parameter("b", 1.0), out=h[1])
    g.factor(Step(np.add), h[1:-1], h[:-2], out=h[2:])
    return g


def whole():
    g = FactorGraph()
    e, h = g.sequence("e", 4), g.sequence("h", 4)
    g.factor(Step(lambda x: x), g.observe("x", np.ones(4))[:], out=e[:])
    g.factor(Step(lambda h, e: h + e.sum()), h.after(g.parameter("h0", 0.0)), e.all, out=h[:])
    return g


def tables():
    g = FactorGraph()
    z = g.sequence("z", 3, states=2)
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    return g


def noisy():
    g = FactorGraph()
    h = g.sequence("h", 3, shape=(1,))
    g.factor(Step(lambda h: h, noise=np.eye(1)), h[:-1], out=h[1:])
    return g


def ahead():
    g = FactorGraph()
    h, e = g.sequence("h", 4), g.sequence("e", 4)
    g.factor(Step(lambda x: x), g.observe("x", np.ones(4))[:], out=e[:])
    g.factor(Step(np.add), h.after(g.parameter("h0", 0.0)), e.before(g.parameter("end", 0.0)), out=h[:])
    return g


def ragged():
    g = FactorGraph()
    h = g.sequence("h", [2, 3])
    g.factor(Step(np.add), h.after(g.parameter("h0", 0.0)), g.observe("x", np.ones(5))[:], out=h[:])
    return g


def test_wrong_arguments():
    with pytest.raises(DataError, match="as_dbn takes a network"):
        as_dbn(np.eye(2))
    with pytest.raises(DataError, match="a loss and an h0 come with data"):
        as_dbn(RNN(1, 2), loss=CrossEntropy([0, 1]))
    with pytest.raises(DataError, match="has its data and losses"):
        as_dbn(lag_two(), np.ones(3))
    with pytest.raises(DataError, match="this network has no data"):
        as_dbn(RNN(1, 2)).discretize()
    with pytest.raises(DataError, match="length must be a whole number"):
        as_dbn(RNN(1, 2)).unroll(0)
    with pytest.raises(KeyError, match="no variable 'z'"):
        as_dbn(RNN(1, 2)).template["z"]


def test_a_memory_is_part_of_the_interface():
    dbn = as_dbn(Memory(2, 3, 4, 2))
    assert len(dbn.interface) > 2 and nx.is_directed_acyclic_graph(dbn.unroll(3))


def test_drawing_and_words():
    loss = SquaredError(np.zeros((3, 2)))
    dbn = as_dbn(LSTM(1, 2, num_layers=2, random_state=0), np.zeros((3, 1)), loss)
    assert isinstance(dbn, DBN) and "h_l0[t−1] → h_l0[t]" in repr(dbn)
    texts = [t.get_text() for t in dbn.plot(shared=True).texts]
    assert {"h_l0[t−1]", "c_l1[t]", "weight_hh_l0", "loss[t]"} <= set(texts)


@pytest.mark.parametrize("view", ["slices", "unrolled", "moral"])
def test_views_are_drawn_and_written_whole(view, tmp_path):
    plt = pytest.importorskip("matplotlib.pyplot")
    dbn = as_dbn(LSTM(1, 2), np.zeros((4, 1)), SquaredError(np.zeros((4, 2))))
    slices = {"slices": 2, "unrolled": 4, "moral": 2}[view]
    graph = dbn.moralize(slices) if view == "moral" else dbn.unroll(slices)
    ax = dbn.plot(view=view)
    assert {text.get_text() for text in ax.texts} >= {f"h_l0{at}" for at in drawn(slices)}
    text = dbn.to_dot(view, path=tmp_path / "net.dot")
    assert (tmp_path / "net.dot").read_text(encoding="utf-8") == text + "\n"
    lines = text.splitlines()
    assert sum(" -> " in line for line in lines) == graph.number_of_edges()
    assert sum("shape=" in line for line in lines) == graph.number_of_nodes()
    assert sum("peripheries=2" in line for line in lines) == 2 * slices
    assert ("dir=none" in text) == (view == "moral")
    plt.close("all")


def drawn(slices):
    return ["[t−1]", "[t]"] if slices == 2 else [f"[{t}]" for t in range(slices)]


def test_an_unknown_view_is_refused():
    with pytest.raises(DataError, match="view is one of slices, unrolled, moral"):
        as_dbn(RNN(1, 1)).to_dot("flat")
