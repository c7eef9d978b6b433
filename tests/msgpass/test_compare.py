"""``compare``: what is free, what is not, and what belongs to what."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, ForwardOnly, Loss, Quadratic, Step, Table, Tangent, run
from msgpass.compare import compare
from msgpass.errors import DataError, ShapeError, UnavailableError
from msgpass.identities.chains import random_chain, table_graph
from msgpass.identities.linear import _linear_graph, random_linear_chain
from msgpass.identities.networks import network_graph, random_network

SEEDS = st.integers(0, 2**32 - 1)


@given(SEEDS, st.integers(1, 5), st.integers(1, 6))
def test_log_messages_are_free_up_to_a_constant_a_step(seed, length, states):
    rng = np.random.default_rng(seed)
    log_messages = rng.normal(size=(length, states)) * 10
    shifted = log_messages + rng.normal(size=(length, 1)) * 100
    assert compare(log_messages, shifted, align="log").gap < 1e-11
    assert compare(log_messages, shifted).gap == pytest.approx(np.abs(log_messages - shifted).max())


def test_a_constant_that_differs_between_states_is_a_gap():
    log_messages = np.log([[0.2, 0.8], [0.5, 0.5]])
    moved = log_messages + np.array([[0.0, 0.0], [0.0, 0.1]])
    found = compare(log_messages, moved, align="log")
    expected = np.log(0.5) - (np.log(0.5) - np.log(0.5 + 0.5 * np.exp(0.1)))
    assert found.steps[0] < 1e-15
    assert found.steps[1] == pytest.approx(expected)


def test_excluded_states_must_be_excluded_on_both_sides():
    left = np.array([[0.0, -np.inf], [-1.0, -2.0]])
    assert compare(left, left + 3.0, align="log").gap < 1e-15
    right = np.array([[0.0, -700.0], [-1.0, -2.0]])
    assert compare(left, right, align="log").gap == np.inf
    assert compare(left, right, align="log").relative == np.inf


def test_a_message_that_excludes_everything_stays_so():
    nothing = np.full((1, 2), -np.inf)
    assert compare(nothing, nothing, align="log").gap == 0.0


def test_nan_on_one_side_is_an_infinite_gap():
    assert compare(np.array([1.0, np.nan]), np.array([1.0, 2.0])).gap == np.inf


@given(SEEDS, st.floats(0.01, 100.0))
def test_scale_and_cosine(seed, factor):
    values = np.random.default_rng(seed).normal(size=(4, 3))
    found = compare(factor * values, values)
    assert found.scale == pytest.approx(factor)
    assert found.cosine == pytest.approx(1.0)
    assert compare(factor * values, values, align="scale").relative < 1e-12
    assert compare(-values, values).cosine == pytest.approx(-1.0)


def test_one_direction_is_found_by_its_cosine_not_by_its_gap():
    found = compare(np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert (found.gap, found.cosine) == (1.0, 0.0)


GRAPHS = {
    "tables": lambda: table_graph(random_chain(3)),
    "network": lambda: network_graph(random_network(3)),
    "gaussian": lambda: _linear_graph(random_linear_chain(3)),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_a_flat_graph_has_the_messages_of_the_sliced_one(name):
    graph = GRAPHS[name]()
    found = compare(run(graph), run(graph.unroll()))
    assert found.relative < 1e-12
    kinds = {part.kind for part in found}
    assert {"forward", "backward", "parameters", "total"} <= kinds
    assert ("gradient" in kinds) == (name == "network")
    assert ("belief" in kinds) == (name != "network")
    assert not found.only_left and not found.only_right


@pytest.mark.parametrize("name", GRAPHS)
def test_another_model_is_a_gap_in_every_kind(name):
    graph = GRAPHS[name]()
    moved = {
        "tables": {"transition": random_chain(4).log_transition},
        "network": {"W": random_network(4).W},
        "gaussian": {"h": random_linear_chain(4).h},
    }[name]
    found = compare(run(graph), run(graph, values=moved))
    for kind in {part.kind for part in found}:
        assert max(part.gap for part in found if part.kind == kind) > 1e-4, kind


def test_messages_of_tables_are_log_messages_and_beliefs_are_not():
    m = run(table_graph(random_chain(0)))
    how = {part.kind: part.how for part in compare(m, m)}
    assert how["forward"] == how["backward"] == "up to a constant"
    assert how["belief"] == how["parameters"] == how["total"] == "values"


def test_a_factor_of_the_evidence_shifts_messages_and_total_only():
    chain = random_chain(1)
    shifted = chain._replace(
        log_evidence=chain.log_evidence + np.linspace(-3, 3, len(chain.log_evidence))[:, None] ** 2
    )
    found = compare(run(table_graph(chain)), run(table_graph(shifted)))
    assert all(part.gap < 1e-12 for part in found if part.kind != "total")
    assert found["total", "total"].gap > 1.0


def test_states_against_hidden_units_are_compared_by_size():
    tables, network = (
        run(table_graph(random_chain(0, length=9))),
        run(network_graph(random_network(0, length=9))),
    )
    part = compare(tables, network, align={"z": "h"})["backward", "z ~ h"]
    assert part.how == "size of each step"
    np.testing.assert_allclose(part.left, np.ptp(tables.backward["z"], axis=1))
    np.testing.assert_allclose(part.right, np.linalg.norm(network.backward["h"], axis=1))


def test_names_may_differ():
    a, b = FactorGraph(), FactorGraph()
    for g, name in ((a, "u"), (b, "v")):
        z = g.sequence(name, length=3, states=2)
        g.factor(Table(g.parameter("links", np.log([[0.7, 0.3], [0.4, 0.6]]))), z[:-1], z[1:])
    assert compare(run(a), run(b), align={"u": "v", "links": "links"}).gap == 0.0
    assert compare(run(a), run(b)).only_left == ("u",)


def test_what_a_schedule_dropped_is_left_out():
    graph = table_graph(random_chain(2))
    assert compare(run(graph), run(graph, schedule=Checkpointed(2))).gap < 1e-12
    filtered = compare(run(graph), run(graph, schedule=ForwardOnly()))
    assert filtered["forward", "z"].gap < 1e-12


def test_tangents_are_compared_with_losses():
    graph = network_graph(random_network(2))
    direction = {"W": np.ones_like(random_network(2).W)}
    found = compare(run(graph, Tangent(direction)), run(graph, Tangent(direction)))
    assert found.gap == 0.0


def test_frame_has_a_row_a_step():
    graph = table_graph(random_chain(2, length=5))
    found = compare(run(graph), run(graph.unroll()))
    frame = found.to_frame()
    assert list(frame.columns) == ["kind", "name", "step", "gap", "relative"]
    assert len(frame.query("kind == 'backward' and name == 'z'")) == 5
    assert frame.gap.max() == found.gap


def test_shown_as_text_as_html_and_as_a_figure():
    graph = table_graph(random_chain(2, length=5))
    found = compare(run(graph), run(graph.unroll()))
    assert "backward" in repr(found) and "cosine" in repr(found)
    assert found._repr_html_().startswith("<table>")
    (axes,) = found.plot().axes
    assert axes.get_xlabel() == "step"


@pytest.mark.parametrize(
    ("left", "right", "align", "error", "words"),
    [
        (np.zeros(3), np.zeros(4), None, ShapeError, r"\(3,\) with \(4,\)"),
        (np.zeros(3), np.zeros(3), "logs", DataError, "align"),
        (np.zeros(3), "abc", None, DataError, "right side"),
    ],
)
def test_bad_arrays(left, right, align, error, words):
    with pytest.raises(error, match=words):
        compare(left, right, align)


def test_bad_runs():
    tables, network = run(table_graph(random_chain(0))), run(network_graph(random_network(0)))
    with pytest.raises(DataError, match="two Messages or two arrays"):
        compare(tables, np.zeros(3))
    with pytest.raises(DataError, match="dict"):
        compare(tables, network, align="log")
    with pytest.raises(UnavailableError, match="nothing called 'y1'"):
        compare(tables, network, align={"z": "y1"})
    with pytest.raises(UnavailableError, match="no part"):
        compare(tables, tables)["forward", "w"]
    with pytest.raises(ShapeError, match="cannot compare"):
        compare(tables, network, align={"z": "h"})


def test_gaussian_variables_compare_by_their_fields():
    g = FactorGraph()
    x = g.variable("x", shape=(2,))
    g.factor(Quadratic.prior(np.zeros(2), np.eye(2)), x)
    assert {part.name for part in compare(run(g), run(g))} == {"x.mean", "x.cov", "total"}


def test_a_recurrence_against_the_clock_has_its_backward_messages_in_a_flat_graph(rng):
    g = FactorGraph()
    r, w = g.sequence("r", length=4, shape=()), g.parameter("w", 0.7)
    g.factor(
        Step(lambda h, x, w: np.tanh(w * h + x)),
        r.before(g.parameter("end", 0.3)),
        g.observe("x", rng.normal(size=4))[:],
        w,
        out=r[:],
    )
    g.factor(Loss(lambda v: (0.5 * v**2, v)), r[:])
    m = run(g)
    assert m.backward["r"][0] == 0
    assert np.abs(m.backward["r"][1:]).min() > 0
    assert compare(m, run(g.unroll())).gap < 1e-14
