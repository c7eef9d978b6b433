"""Compiled and by autograd: the same values and the same slopes, ties and kinks included."""

import numpy as np
import pytest

from msgpass import Step, run
from rnn.systems.inventory import BaseStock, Facility, Inventory, Supply
from rnn.systems.inventory import layout as stock_layout
from rnn.systems.queueing import Queue, Tandem
from rnn.systems.queueing import layout as queue_layout


def orders_in_whole_units():
    """Small whole numbers, so that stock runs out exactly and levels are met exactly."""
    rng = np.random.default_rng(3)
    problem = Inventory(
        [
            Facility("plant", 0.5, stock=3.0, allocation="priority"),
            Facility("a", 1.0, 9.0, stock=2.0),
            Facility("b", 1.0, 9.0, stock=2.0, lost_sales=True),
        ],
        [Supply("plant", None, 1, capacity=4.0), Supply("a", "plant", 1), Supply("b", "plant", 0)],
        {n: rng.integers(0, 3, (4, 30)).astype(float) for n in ("plant", "a", "b")},
    )
    plan = BaseStock([8.0, 4.0, 3.0])
    values = {"levels": np.tile(plan.levels, (4, 1))}
    return stock_layout, lambda: problem.graph(plan), values


def customers_at_whole_times(line):
    return queue_layout, line.graph, {"weight": np.arange(1.0, 41.0)}


CASES = {
    "orders": orders_in_whole_units,
    "servers": lambda: customers_at_whole_times(
        Queue(
            arrivals=np.random.default_rng(1).integers(0, 3, 40) * 1.0,
            services=np.random.default_rng(2).integers(1, 4, 40) * 1.0,
            servers=2,
        )
    ),
    "stations": lambda: customers_at_whole_times(
        Tandem(
            None,
            [None, None],
            arrivals=np.random.default_rng(1).integers(0, 3, 40) * 1.0,
            services=list(np.random.default_rng(2).integers(1, 3, (2, 40)) * 1.0),
            buffers=[None, 1],
        )
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_slopes_at_ties(name, monkeypatch):
    found = {}
    for kernel in (None, "traced"):
        layout, make, values = CASES[name]()
        monkeypatch.setattr(layout, "step_of", lambda f, k=kernel: Step(f, vectorized=True, kernel=k))
        found[kernel] = run(make(), values=values)
    reference, compiled = found[None], found["traced"]
    np.testing.assert_allclose(compiled.total, reference.total, rtol=1e-12)
    for node in reference.gradient:
        np.testing.assert_allclose(
            compiled.gradient[node], reference.gradient[node], rtol=1e-11, atol=1e-11, err_msg=node
        )
    state = reference.forward["state"]
    assert np.array_equal(state, state.round())
