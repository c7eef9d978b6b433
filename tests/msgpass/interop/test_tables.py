"""A graph of tables written out has the same assignments with the same values."""

import numpy as np
import pytest
from hypothesis import assume, given

from msgpass import FactorGraph, JunctionTree, Loss, Parity, Table, run
from msgpass.errors import UnsupportedError
from msgpass.interop.tables import written_out
from tests.msgpass.interop.gaps import shared_gaps
from tests.msgpass.loopy_models import loopy_models
from tests.msgpass.sliced_models import sliced_models


def total_of(found) -> float:
    """log Z of what was written out."""
    g = FactorGraph()
    nodes = {name: g.variable(name, states=k) for name, k in found.states.items()}
    for node in nodes.values():  # rows that no factor has
        g.factor(Table(np.zeros(node.states)), node, name=f"loose {node.name}")
    for f in found.factors:
        g.factor(Table(f.log_values), *(nodes[v] for v in f.scope), name=f"f {f.name}")
    return run(g, schedule=JunctionTree(), values=found.evidence).total


@given(loopy_models(batched=False))
def test_loops(model):
    assume(not shared_gaps(model.graph))
    found = written_out(model.graph, model.values)
    total = run(model.graph, schedule=JunctionTree(), values=model.values).total
    assert total_of(found) == pytest.approx(total, abs=2e-6)  # some are float32


@given(sliced_models(batched=False))
def test_slices(model):
    assume(not shared_gaps(model.graph))
    found = written_out(model.graph, model.values)
    total = run(model.graph, schedule=JunctionTree(), values=model.values).total
    assert total_of(found) == pytest.approx(total, abs=2e-6)  # some are float32


def test_structure_and_evidence():
    g = FactorGraph()
    z = g.sequence("z", length=3, states=["low", "high"])
    y = g.observe("y", [1, -1, 0], states=2)
    a = g.parameter("A", np.zeros((2, 2)))
    g.factor(Table(a), z[:-1], z[1:], name="link")
    g.factor(Table(np.arange(12.0).reshape(3, 2, 2)), z[:], y[:], name="seen")
    g.factor(Parity(), z[0], z[2], name="even")
    found = written_out(g, {"A": np.eye(2), "z": [-1, 1, -1]})
    assert found.states == {f"{v}[{t}]": 2 for v in "zy" for t in range(3)}
    assert found.state_names["z[2]"] == ("low", "high")
    assert found.evidence == {"y[0]": 1, "y[2]": 0, "z[1]": 1}
    tables = {f.name: f for f in found.factors}
    assert list(tables) == ["link[0]", "link[1]", "seen[0]", "seen[1]", "seen[2]", "even[0]"]
    assert tables["link[1]"].scope == ("z[1]", "z[2]") and (tables["link[1]"].log_values == np.eye(2)).all()
    assert (tables["seen[2]"].log_values == [[8, 9], [10, 11]]).all()
    assert np.exp(tables["even[0]"].log_values).tolist() == [[1, 0], [0, 1]]


def test_what_is_no_table():
    g = FactorGraph()
    g.observe("x", [1.0, 2.0])
    z = g.variable("z", states=2)
    g.factor(Table(np.zeros(2)), z)
    with pytest.raises(UnsupportedError, match=r"discrete variables alone.*'x'"):
        written_out(g)
    g = FactorGraph()
    w = g.parameter("w", 1.0)
    g.factor(Loss(lambda w: (w * w, (2 * w,))), w, name="loss")
    with pytest.raises(UnsupportedError, match="'loss' is a Loss"):
        written_out(g)
    g = FactorGraph()
    z = g.variable("z", states=2, shape=(3,))
    g.factor(Table(np.zeros(2)), z)
    with pytest.raises(UnsupportedError, match="one a name"):
        written_out(g)
