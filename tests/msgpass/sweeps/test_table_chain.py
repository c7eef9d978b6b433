"""What is read of a chain does not depend on what was read before."""

import itertools

import numpy as np
import pytest

from msgpass import FactorGraph, ForwardOnly, Table, run

READINGS = {
    "total": lambda m: [m.total],
    "parameters": lambda m: [m.parameters[name] for name in ("initial", "transition", "emission")],
    "belief": lambda m: [m.belief["z"]],
}


def chain(states, lengths, symbols=4):
    rng = np.random.default_rng(states)
    g = FactorGraph()
    z = g.sequence("z", length=lengths, states=states)
    x = g.observe("x", rng.integers(0, symbols, int(np.sum(lengths))), states=symbols)
    tables = (
        ("initial", rng.normal(size=states)),
        ("transition", rng.normal(size=(states, states))),
        ("emission", rng.normal(size=(states, symbols))),
    )
    initial, transition, emission = (Table(g.parameter(*table)) for table in tables)
    g.factor(initial, z[0])
    g.factor(transition, z[:-1], z[1:])
    g.factor(emission, z[:], x[:])
    return g


@pytest.mark.parametrize(("states", "lengths"), [(3, 30), (2, 9000), (9, [40] * 60), (20, [50] * 40)])
def test_the_order_of_reading_changes_no_bit(states, lengths):
    g = chain(states, lengths)
    first = None
    for order in itertools.permutations(READINGS):
        m = run(g)
        found = {name: READINGS[name](m) for name in order}
        first = first or found
        for name in READINGS:
            for one, other in zip(found[name], first[name], strict=True):
                assert np.array_equal(one, other)
    assert run(g, schedule=ForwardOnly()).total == pytest.approx(first["total"][0], rel=1e-12)


def test_later_changes_of_a_table_do_not_reach_a_run():
    g = chain(3, 30)
    tables = {"transition": np.zeros((3, 3))}
    m, total = run(g, values=tables), run(g, values=tables).total
    tables["transition"][:] = 1.0
    assert m.total == total


def test_the_emission_is_what_the_beliefs_add_up_to():
    symbols = np.random.default_rng(0).integers(0, 4, 2400)
    m = run(chain(9, [40] * 60), values={"x": symbols})
    emission, belief = m.parameters["emission"], np.exp(m.belief["z"])
    by_symbol = np.stack([np.bincount(symbols, column, 4) for column in belief.T])
    np.testing.assert_allclose(emission, by_symbol, rtol=1e-10)
