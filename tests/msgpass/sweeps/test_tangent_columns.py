"""Several directions at once: every column is the directional derivative along its direction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Adjoint, FactorGraph, Loss, Step, Table, Tangent, run
from msgpass.errors import DataError, GraphError, UnsupportedError
from msgpass.nodes import Observation, Parameter
from tests.msgpass.recurrence_models import recurrence, recurrences
from tests.msgpass.table_models import seeds


def given_names(graph):
    return [n.name for n in graph.nodes.values() if isinstance(n, Parameter | Observation)]


@given(recurrences(), st.integers(1, 4), seeds)
def test_columns_are_gradients_dotted_with_directions(graph, count, seed):
    rng, m = np.random.default_rng(seed), run(graph)
    names = [n for n in given_names(graph) if rng.random() < 0.6] or given_names(graph)[:1]
    directions = {n: rng.normal(size=(*graph[n].value.shape, count)) for n in names}
    value, tangent = run(graph, Tangent(directions, columns=count)).total
    wanted = sum(m.gradient[n].reshape(-1) @ d.reshape(-1, count) for n, d in directions.items())
    assert value == pytest.approx(m.total, rel=1e-12)
    np.testing.assert_allclose(tangent, wanted, rtol=1e-8, atol=1e-10)


@given(recurrences())
def test_unit_directions_give_all_gradients_forward(graph):
    m, names = run(graph), given_names(graph)
    ends = np.cumsum([0, *(graph[n].value.size for n in names)]).tolist()
    columns = {n: slice(a, b) for n, a, b in zip(names, ends[:-1], ends[1:], strict=True)}
    tangent = run(graph, Tangent(columns, columns=ends[-1])).total.tangent
    for name, where in columns.items():
        np.testing.assert_allclose(tangent[where], m.gradient[name].reshape(-1), rtol=1e-8, atol=1e-10)


def test_columns_of_states_are_runs_along_one_direction(rng):
    graph = recurrence(rng, "two outputs", 5, True)
    directions = {n: rng.normal(size=(*graph[n].value.shape, 3)) for n in ("h0", "W", "x")}
    together = run(graph, Tangent(directions, columns=3)).forward
    for p in range(3):
        alone = run(graph, Tangent({n: d[..., p] for n, d in directions.items()})).forward
        for name in ("h", "c"):
            np.testing.assert_allclose(together[name].tangent[..., p], alone[name].tangent, rtol=1e-10)


@pytest.mark.parametrize("own", ["jvp", "vjp"])
def test_steps_with_derivatives_of_their_own(own, rng):
    rules = {
        "jvp": lambda inputs, moves: moves[0] * inputs[1] + inputs[0] * moves[1],
        "vjp": lambda inputs, cotangent: (cotangent * inputs[1], cotangent * inputs[0]),
    }
    g = FactorGraph()
    a, w, h = g.parameter("a", 2.0), g.parameter("w", 3.0), g.variable("h")
    g.factor(Step(lambda a, w: a * w, **{own: rules[own]}), a, w, out=h)
    g.factor(Loss(lambda h: (0.5 * h * h, (h,))), h)
    tangent = run(g, Tangent({"a": slice(0, 1), "w": slice(1, 2)}, columns=2)).total.tangent
    np.testing.assert_allclose(tangent, [18.0, 12.0])


def test_bad_columns():
    g = FactorGraph()
    w = g.parameter("w", [1.0, 2.0])
    g.factor(Loss(lambda w: (0.5 * w @ w, (w,))), w)
    for directions, columns, match in (
        ({"w": np.ones(2)}, 3, r"wanted \(2, 3\)"),
        ({"w": slice(0, 1)}, 3, "2 numbers"),
        ({"v": np.ones((2, 3))}, 3, "no parameter"),
        ({"w": np.full((2, 3), np.nan)}, 3, "NaN"),
    ):
        with pytest.raises(DataError, match=match):
            run(g, Tangent(directions, columns=columns))
    with pytest.raises(GraphError, match="columns"):
        Tangent({"w": np.ones((2, 1))}, columns=0)
    with pytest.raises(GraphError, match="one direction"):
        Tangent({"w": np.ones((2, 1))}, over=Adjoint(), columns=1)
    z = g.variable("z", states=2)
    g.factor(Table(g.parameter("eta", [0.0, 1.0])), z)
    with pytest.raises(UnsupportedError, match="several directions"):
        run(g, Tangent({"w": slice(0, 2)}, columns=2))
