"""A run whose tables come by recipe says what a run without says, to the bit; and when there is a recipe."""

import numpy as np
import pytest

from msgpass import (
    Checkpointed,
    FactorGraph,
    FixedLag,
    ForwardOnly,
    MaxProduct,
    Sequential,
    SumProduct,
    Table,
    run,
)
from msgpass.sweeps.plain_chain import PlainTables, Recipe

STATES, SYMBOLS = 3, 4


def chain(lengths, densities=False, flipped=False, missing=False, extra=False, shared=False, batch=()):
    """A graph, and other values for it."""
    rng = np.random.default_rng(0)
    g = FactorGraph()
    z = g.sequence("z", length=lengths, states=STATES, shape=batch)
    T = int(np.sum(lengths))
    shapes = {"initial": (STATES,), "transition": (STATES, STATES), "emission": (STATES, SYMBOLS)}
    if densities:
        shapes["emission"] = (T, *batch, STATES)
    elif flipped:
        shapes["emission"] = (SYMBOLS, STATES)
    made = {name: Table(g.parameter(name, rng.normal(size=shape))) for name, shape in shapes.items()}
    g.factor(made["initial"], z[0])
    g.factor(made["transition"], *((z[1:], z[:-1]) if flipped else (z[:-1], z[1:])))
    if densities:
        g.factor(made["emission"], z[:])
    else:
        symbols = rng.integers(0, SYMBOLS, (T, *batch))
        symbols.flat[0] = -1 if missing else 0
        x = (
            g.observe("x", symbols, states=SYMBOLS, shape=batch)
            if batch
            else g.observe("x", symbols, states=SYMBOLS)
        )
        g.factor(made["emission"], *((x[:], z[:]) if flipped else (z[:], x[:])))
    if extra:
        g.factor(Table(np.zeros(STATES)), z[:])
    if shared:
        g.factor(made["initial"], z[0])
    return g, {name: rng.normal(size=shape) for name, shape in shapes.items()}


def tables(m):
    return m._x.runs[0].tables


def readings(m):
    """All that can be read, in an order that varies with the algebra and schedule."""
    found = {"total": m.total, "totals": m.totals("z"), "forward": m.forward["z"]}
    if m.schedule != ForwardOnly():
        found |= {name: m.parameters[name] for name in m.parameters}
        found |= {f"lent {name}": m.lent(name) for name in m.parameters}
        found |= {"belief": m.belief["z"], "backward": m.backward["z"]}
        found |= {f"factor {name}": m.belief[name] for name in m.graph.factors}
    return found


def without_recipe(g, algebra, schedule, values):
    run(g, algebra, schedule, values)
    g.plan().cache[("recipe", 0)] = None
    m = run(g, algebra, schedule, values)
    del g.plan().cache[("recipe", 0)]
    return m


@pytest.mark.parametrize("lengths", [30, [5, 1, 9], [60] * 40])
@pytest.mark.parametrize("kind", [{}, {"flipped": True}, {"densities": True}])
@pytest.mark.parametrize(
    ("algebra", "schedule"),
    [
        (SumProduct(), Sequential()),
        (SumProduct(), ForwardOnly()),
        (SumProduct(), FixedLag(2)),
        (MaxProduct(), Sequential()),
    ],
)
def test_same_bits(lengths, kind, algebra, schedule):
    g, values = chain(lengths, **kind)
    expected = readings(without_recipe(g, algebra, schedule, values))
    run(g, algebra, schedule, values)
    m = run(g, algebra, schedule, values)
    if not isinstance(schedule, FixedLag):
        assert type(tables(m)) is PlainTables
    found = readings(m)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


def test_checkpoints_take_the_recipe_too():
    g, values = chain([60] * 40)
    whole, kept = run(g, values=values), run(g, None, Checkpointed(4), values)
    assert kept.total == pytest.approx(whole.total, rel=1e-12)
    for name in whole.parameters:
        np.testing.assert_allclose(kept.parameters[name], whole.parameters[name], rtol=1e-10)


def test_some_values_and_other_data():
    """What a run is not given is the graph's own; a run on other data takes no recipe."""
    g, values = chain([60] * 40)
    run(g, values=values)
    some = {"transition": values["transition"]}
    fresh, _ = chain([60] * 40)
    assert run(g, values=some).total == run(fresh, values=some).total
    other = {**values, "x": 3 - np.maximum(g.nodes["x"].value, 0)}
    m = run(g, values=other)
    assert type(tables(m)) is not PlainTables
    fresh, _ = chain([60] * 40)
    assert m.total == run(fresh, values=other).total


def test_clamped_states_take_no_recipe():
    g, values = chain(30)
    run(g, values=values)
    path = np.zeros(30, np.int64)
    m = run(g, values={**values, "z": path})
    assert np.exp(m.belief["z"])[:, 0] == pytest.approx(1.0)


def test_single_precision_takes_no_recipe():
    g, values = chain(30)
    run(g, values=values)
    m = run(g, values={name: value.astype(np.float32) for name, value in values.items()})
    assert type(tables(m)) is not PlainTables
    assert m.parameters["transition"].dtype == np.float32


@pytest.mark.parametrize(
    "kind",
    [
        {"missing": True},
        {"extra": True},
        {"shared": True},
        {"densities": True, "extra": True},
        {"densities": True, "batch": (2,)},
    ],
)
def test_other_chains_have_none(kind):
    g, values = chain(30, **kind)
    run(g, values=values)
    m = run(g, values=values)
    assert type(tables(m)) is not PlainTables
    assert Recipe.of(tables(m)) is None
