"""A network's recipe: the same bits as the general way, which takes what it was not made for."""

import numpy as np
import pytest

from msgpass import ForwardOnly, Sequential, run
from msgpass.errors import DataError, NumericalError
from msgpass.sweeps import compiled_recurrence, plain_network
from rnn import GRU, LSTM, RNN, CrossEntropy, Linear, SquaredError, bptt

NETS = {
    "rnn": lambda dtype: RNN(3, 5, dtype=dtype, random_state=0),
    "gru": lambda dtype: GRU(3, 5, dtype=dtype, random_state=0),
    "lstm": lambda dtype: LSTM(3, 5, dtype=dtype, random_state=0),
    "stacked": lambda dtype: GRU(3, 5, 2, bidirectional=True, dtype=dtype, random_state=0),
    "learned": lambda dtype: RNN(3, 5, initial="learned", dtype=dtype, random_state=0),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The compiled sweep from the first run on."""
    monkeypatch.setattr(compiled_recurrence, "PATIENCE", 0.0)


def make(rng, net, batch=4, dtype=np.float64, loss="squared"):
    network = NETS[net](dtype)
    width, x = network.output_size, rng.normal(size=(9, batch, 3)).astype(dtype)
    if loss == "squared":
        return network, x, SquaredError(rng.normal(size=(9, batch, width)).astype(dtype), "mean")
    readout = Linear(width, 4, dtype=dtype, random_state=1)
    return network, x, CrossEntropy(rng.integers(0, 4, (9, batch)), readout=readout)


def recipe(m):
    return m.graph.plan().cache.get("network recipe")


@pytest.mark.parametrize("loss", ["squared", "labels"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("net", NETS)
def test_every_message_has_the_same_bits(net, dtype, loss, rng, monkeypatch):
    network, x, evidence = make(rng, net, dtype=dtype, loss=loss)
    general = bptt(network, x, evidence)
    again = []
    kept = plain_network.NetworkRecipe.run
    monkeypatch.setattr(
        plain_network.NetworkRecipe,
        "run",
        lambda self, execution: (again.append(1), kept(self, execution))[1],
    )
    m = bptt(network, x, evidence)
    assert again, "the recipe ran"
    assert m.total == general.total
    for name in general.gradient:
        np.testing.assert_array_equal(m.gradient[name], general.gradient[name], err_msg=name)
        assert m.gradient[name].dtype == general.gradient[name].dtype
    for name in general.forward:
        np.testing.assert_array_equal(m.forward[name], general.forward[name])
        np.testing.assert_array_equal(m.backward[name], general.backward[name])


def test_values_of_a_run_are_its_own(rng):
    """Weights are copied, so that messages read later belong to the run; the next run has the new ones."""
    network, x, evidence = make(rng, "rnn")
    bptt(network, x, evidence)
    m, weights = bptt(network, x, evidence), network.weights["weight_hh_l0"]
    wanted = bptt(network, x, evidence).gradient["h_l0"]
    weights *= 0.5
    np.testing.assert_array_equal(m.gradient["h_l0"], wanted)
    assert bptt(network, x, evidence).total != m.total
    gradient = m.parameters["bias_ih_l0"]
    gradient += 1
    np.testing.assert_array_equal(m.gradient["bias_ih_l0"], m.parameters["bias_hh_l0"])


@pytest.mark.parametrize("what", ["missing", "float64", "view", "list"])
def test_what_it_was_not_made_for_goes_the_general_way(what, rng):
    network, x, evidence = make(rng, "gru", dtype=np.float32)
    for _ in range(2):
        m = bptt(network, x, evidence)
    graph, values = m.graph, {**network.weights, "x": x, "target": evidence.target.copy()}
    fresh = network.graph(x, evidence)
    if what == "missing":
        values["target"][2, 1] = np.nan
    elif what == "float64":
        values["x"] = x.astype(np.float64)
    elif what == "view":
        values["x"] = np.asfortranarray(x)
    else:
        values["bias_ih_l0"] = values["bias_ih_l0"].tolist()
    m, wanted = run(graph, values=values), run(fresh, values=values)
    assert m.total == wanted.total
    np.testing.assert_array_equal(m.parameters["weight_ih_l0"], wanted.parameters["weight_ih_l0"])


def test_bad_values_are_named_as_ever(rng):
    network, x, evidence = make(rng, "rnn")
    for _ in range(2):
        m = bptt(network, x, evidence)
    assert recipe(m) is not None
    broken = x.copy()
    broken[3, 0, 0] = np.nan
    with pytest.raises(DataError, match=r"reads 'x', which is missing \(NaN\) at"):
        bptt(network, broken, evidence)
    network.weights["bias_ih_l0"][0] = np.inf
    with pytest.raises(DataError, match="'bias_ih_l0'"):
        bptt(network, x, evidence)


def test_a_state_that_overflows_is_named(rng):
    network = RNN(3, 5, nonlinearity="relu", random_state=0)
    x, evidence = np.abs(rng.normal(size=(9, 2, 3))), SquaredError(np.zeros((9, 2, 5)))
    for _ in range(2):
        bptt(network, x, evidence)
    network.weights["weight_hh_l0"] = np.full((5, 5), 1e200)
    with pytest.raises(NumericalError, match="'h_l0' became NaN or infinite at step"):
        bptt(network, x, evidence)


def test_other_schedules_run_beside_it(rng):
    network, x, evidence = make(rng, "rnn")
    for _ in range(2):
        m = bptt(network, x, evidence)
    graph, values = m.graph, {**network.weights, "x": x}
    assert run(graph, schedule=ForwardOnly(), values=values).total == pytest.approx(m.total)
    assert run(graph, schedule=Sequential(), values=values).total == m.total


def test_a_ragged_batch_keeps_no_recipe(rng):
    network, x, evidence = make(rng, "gru")
    for _ in range(2):
        m = bptt(network, x, evidence, lengths=[9, 7, 3, 1])
    assert recipe(m) is None
