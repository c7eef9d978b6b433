"""A run as a tidy frame."""

import numpy as np
import pytest

from msgpass import ForwardOnly, Tangent, run
from msgpass.errors import MissingDependencyError
from msgpass.identities.chains import random_chain, table_graph
from msgpass.identities.linear import _linear_graph, random_linear_chain
from msgpass.identities.networks import network_graph, random_network


def test_every_number_of_a_table_chain_is_there():
    m = run(table_graph(random_chain(0, states=3, length=4)))
    frame = m.to_frame()
    assert list(frame.columns) == ["name", "kind", "step", "index", "value"]
    assert not frame.duplicated(["name", "kind", "step", "index"]).any()
    for kind, array in (
        ("forward", m.forward["z"]),
        ("backward", m.backward["z"]),
        ("belief", m.belief["z"]),
    ):
        part = frame[(frame.name == "z") & (frame.kind == kind)]
        np.testing.assert_array_equal(part.value.to_numpy().reshape(4, 3), array)
        assert part.step.tolist() == np.repeat(range(4), 3).tolist()
    counts = frame.query("name == 'transition'")
    assert counts["index"].tolist() == [f"{i},{j}" for i in range(3) for j in range(3)]
    assert counts.step.isna().all()
    np.testing.assert_array_equal(counts.value.to_numpy().reshape(3, 3), m.parameters["transition"])


def test_gradients_of_a_network():
    m = run(network_graph(random_network(0, hidden=3, length=5)))
    frame = m.to_frame()
    part = frame.query("name == 'h' and kind == 'gradient'")
    np.testing.assert_array_equal(part.value.to_numpy().reshape(5, 3), m.gradient["h"])
    assert set(frame.query("kind == 'parameter'").name) == {"W", "U", "b", "V", "c", "h0"}


def test_gaussian_messages_by_part():
    m = run(_linear_graph(random_linear_chain(0)))
    kinds = set(m.to_frame().kind)
    assert kinds == {
        "forward h",
        "forward precision",
        "backward h",
        "backward precision",
        "belief mean",
        "belief cov",
        "parameter",
    }


def test_what_was_not_computed_is_not_there():
    graph = network_graph(random_network(0, length=3))
    assert set(run(graph, schedule=ForwardOnly()).to_frame().kind) == {"forward"}
    direction = {"c": np.ones(2)}
    assert set(run(graph, Tangent(direction)).to_frame().kind) == {"forward value", "forward tangent"}


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match="pip install"):
        run(table_graph(random_chain(0))).to_frame()
