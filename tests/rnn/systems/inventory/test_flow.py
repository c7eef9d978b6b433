"""What moves: against a clerk's loop, conservation of goods, samples one by one."""

import numpy as np
from hypothesis import given as given_
from hypothesis import settings
from hypothesis import strategies as st

from rnn.systems.inventory import BaseStock, Facility, Inventory, MinMax, Supply
from tests.rnn.systems.inventory.reference import clerk_of, given, random_orders, trees, up_to

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60)
@given_(trees(), seeds)
def test_free_orders_are_moved_as_a_clerk_moves_them(problem, seed):
    orders = random_orders(problem, seed)
    path = problem.simulate(orders)
    for n in range(problem.samples):
        clerk = clerk_of(problem, n)
        cost = clerk.run(problem.periods, lambda _, t: orders[t])
        np.testing.assert_allclose(path.stock[n, 1:], clerk.stocks, atol=1e-9)
        np.testing.assert_allclose(path.costs[n], cost, rtol=1e-9)
    np.testing.assert_allclose(problem.cost(orders), path.cost, rtol=1e-12)


@settings(max_examples=40)
@given_(trees(), seeds)
def test_base_stock_orders_what_book_keeping_says(problem, seed):
    """Local positions are start + ordered − claimed."""
    rng = np.random.default_rng(seed)
    levels = {f.name: v for f, v in zip(problem.facilities, rng.uniform(5, 30, 4), strict=False)}
    path = problem.simulate(BaseStock(levels))
    start = {
        s.customer: problem.facilities[problem.network.numbers[s.customer]].stock
        + np.sum(np.broadcast_to(s.in_transit, s.lead_time))
        for s in problem.supplies
    }
    for f in problem.facilities:  # what the supplier owes at the start is on order
        if f.stock < 0 and f.name not in given(problem, 0):
            first = problem.network.claims[problem.network.numbers[f.name]][0]
            start[problem.supplies[first].customer] -= f.stock
    capacities = [s.capacity for s in problem.supplies]
    for n in range(problem.samples):
        clerk = clerk_of(problem, n)
        cost = clerk.run(problem.periods, up_to(levels, start, capacities))
        np.testing.assert_allclose(path.stock[n, 1:], clerk.stocks, atol=1e-8)
        np.testing.assert_allclose(path.costs[n], cost, rtol=1e-8)


@settings(max_examples=30)
@given_(trees(), seeds)
def test_goods_are_conserved(problem, seed):
    """Net stock and what is on order change by outside orders and outside demand alone."""
    orders = random_orders(problem, seed)
    path = problem.simulate(orders)
    position = path.stock[:, -1].sum(axis=-1) + path.on_order[:, -1].sum(axis=-1)
    first = sum(f.stock for f in problem.facilities)
    first += sum(np.sum(np.broadcast_to(s.in_transit, s.lead_time)) for s in problem.supplies)
    for f in problem.facilities:
        if f.stock < 0 and f.name not in given(problem, 0):
            first -= f.stock  # owed to an arc: on order there
    came = sum(orders[:, a].sum() for a, s in enumerate(problem.supplies) if s.supplier is None)
    # An order between facilities is on order at one and a claim at the other.
    demand = sum(d.sum(axis=0) for d in np.moveaxis(problem.demand, -1, 0))
    np.testing.assert_allclose(position, first + came - demand + path.lost.sum(axis=(1, 2)), atol=1e-9)


@settings(max_examples=20)
@given_(trees(samples=3), seeds)
def test_a_batch_is_a_loop_over_samples(problem, seed):
    orders = random_orders(problem, seed)
    plans = [orders, BaseStock(12.0), MinMax(4.0, 15.0)]
    for plan in plans:
        path = problem.simulate(plan)
        total = 0.0
        for n in range(3):
            alone = Inventory(problem.facilities, problem.supplies, given(problem, n), problem.discount)
            one = alone.simulate(plan)
            assert np.array_equal(one.stock, path.stock[n])
            assert np.array_equal(one.orders, path.orders[n])
            if not isinstance(plan, MinMax):
                total = total + alone.gradient(plan).orders / 3
        if not isinstance(plan, MinMax):
            np.testing.assert_allclose(problem.gradient(plan).orders, total, atol=1e-10)


def test_echelon_levels_see_outside_demand_at_once():
    """With local levels an order travels one facility a period; by echelon all order at once."""
    chain = [Facility("plant", stock=50), Facility("depot", stock=50), Facility("shop", stock=50)]
    arcs = [Supply("plant", None, 2), Supply("depot", "plant", 1), Supply("shop", "depot", 1)]
    demand = {"shop": np.array([7.0, 0, 0, 0])}
    problem = Inventory(chain, arcs, demand)
    local = problem.simulate(BaseStock(50.0)).orders
    assert local.T.tolist() == [[0, 0, 0, 7], [0, 0, 7, 0], [0, 7, 0, 0]]
    echelon = problem.simulate(BaseStock([150, 100, 50], echelon=True)).orders
    assert echelon.T.tolist() == [[0, 7, 0, 0]] * 3


def test_min_max_waits_for_the_reorder_point():
    problem = Inventory(Facility("shop", stock=10), Supply("shop", lead_time=1), [3.0, 3, 3, 3])
    path = problem.simulate(MinMax(4.0, 12.0))
    assert path.orders[:, 0].tolist() == [0, 0, 8, 0]
    assert path.stock[:, 0].tolist() == [10, 7, 4, 1, 6]


def test_shares_split_what_a_policy_orders():
    arcs = [Supply("shop", None, 1, share=3.0), Supply("shop", None, 2, share=1.0, capacity=1.5)]
    path = Inventory(Facility("shop"), arcs, [0.0, 0.0]).simulate(BaseStock(8.0))
    assert path.orders[0].tolist() == [6.0, 1.5]
    assert path.orders[1].tolist() == [0.375, 0.125]


def test_a_circle_with_lead_times_is_allowed():
    """Two shops that help each other out."""
    shops = [Facility("a", stock=5.0), Facility("b", stock=5.0)]
    arcs = [Supply("a"), Supply("b"), Supply("a", "b", 1), Supply("b", "a", 1)]
    problem = Inventory(shops, arcs, {"a": np.array([4.0, 4.0]), "b": np.array([1.0, 1.0])})
    orders = np.zeros((2, 4))
    orders[0, 2] = 3.0
    assert problem.simulate(orders).stock.tolist() == [[5, 5], [1, 1], [0, 0]]
