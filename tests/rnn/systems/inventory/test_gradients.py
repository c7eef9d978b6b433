"""∂L/∂ orders and levels: differences, the engine's own check, perturbation analysis, kinks."""

import numpy as np
import pytest
from hypothesis import given as given_
from hypothesis import settings
from hypothesis import strategies as st

from msgpass import check_gradients
from rnn.systems.inventory import BaseStock, Facility, Inventory, Supply
from rnn.systems.kinks import EXACT, SMOOTH
from tests.rnn.systems.inventory.reference import differences, random_orders, trees

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=40)
@given_(trees(), seeds)
def test_orders_against_differences(problem, seed):
    orders = np.clip(random_orders(problem, seed), 0.1, 8.9)
    found = problem.gradient(orders)
    wanted = differences(problem.cost, orders)
    away = np.isfinite(wanted)
    assert away.mean() > 0.8
    np.testing.assert_allclose(found.orders[away], wanted[away], atol=2e-4, rtol=1e-4)


@settings(max_examples=40)
@given_(trees(), seeds, st.booleans())
def test_levels_against_differences(problem, seed, echelon):
    rng = np.random.default_rng(seed)
    levels = rng.uniform(5, 40, len(problem.facilities))
    wanted = differences(lambda x: problem.cost(BaseStock(x, echelon)), levels)
    found, away = problem.gradient(BaseStock(levels, echelon)).levels, np.isfinite(wanted)
    np.testing.assert_allclose(found[away], wanted[away], atol=2e-4, rtol=1e-4)


@settings(max_examples=15)
@given_(trees(largest=3), seeds)
def test_rounded_kinks_have_exact_gradients(problem, seed):
    orders, width = np.clip(random_orders(problem, seed), 0.1, 8.9), 2.0
    m = problem.messages(orders, width)
    wanted = differences(lambda x: float(problem.messages(x, width).total), orders)
    assert np.isfinite(wanted).all()
    np.testing.assert_allclose(m.gradient["orders"].sum(axis=1), wanted, atol=1e-5, rtol=1e-5)


def test_the_engines_own_check():
    rng = np.random.default_rng(2)
    problem = Inventory(
        [Facility("depot", 0.5, 3.0, stock=9.0), Facility("shop", 1.0, 9.0, 0.2, lost_sales=True)],
        [Supply("depot", None, 2, 0.3, 0.1), Supply("shop", "depot", 1)],
        {"shop": rng.gamma(2, 3, (3, 5)), "depot": rng.gamma(2, 1, (3, 5))},
    )
    graph = problem.graph(BaseStock(0.0))
    values = {"levels": rng.uniform(8, 20, (3, 2)), "start": rng.uniform(1, 4, (3, problem.network.width))}
    check_gradients(graph, values=values)


def glasserman_tayur(levels, capacity, leads, demand, holding, backlog, stock):
    """Cost and its derivatives of a serial system, by the forward recursions of perturbation analysis.

    Stage 0 serves demand, the last one orders outside. Release R_i = min((s_i − E_i)⁺, c_i, J_{i+1}), E_i the
    echelon position; each quantity carries its derivative with respect to all levels, and a minimum has that
    of the branch which is smallest.
    """
    m = len(levels)
    J, dJ = list(stock), [np.zeros(m) for _ in range(m)]
    pipes = [[(0.0, np.zeros(m))] * lead for lead in leads]
    cost, slope = 0.0, np.zeros(m)
    for d in demand:
        for i in range(m):
            amount, moved = pipes[i].pop(0)
            J[i], dJ[i] = J[i] + amount, dJ[i] + moved
        echelon, moved, shortfalls = 0.0, np.zeros(m), []
        for i in range(m):
            echelon += J[i] + sum(x for x, _ in pipes[i])
            moved = moved + dJ[i] + sum((dx for _, dx in pipes[i]), np.zeros(m))
            gap = levels[i] - echelon
            shortfalls.append((gap, np.eye(m)[i] - moved) if gap > 0 else (0.0, np.zeros(m)))
        released = []
        for i in range(m):
            branches = [shortfalls[i], (capacity[i], np.zeros(m))]
            if i + 1 < m:
                branches.append((J[i + 1], dJ[i + 1]))
            released.append(min(branches, key=lambda pair: pair[0]))
        for i, (amount, dx) in enumerate(released):
            pipes[i].append((amount, dx))
            if i + 1 < m:
                J[i + 1], dJ[i + 1] = J[i + 1] - amount, dJ[i + 1] - dx
        J[0] -= d
        for i in range(m):
            if J[i] > 0:
                cost, slope = cost + holding[i] * J[i], slope + holding[i] * dJ[i]
            else:
                cost, slope = cost - backlog[i] * J[i], slope - backlog[i] * dJ[i]
    return cost, slope


@pytest.mark.parametrize("seed", range(6))
def test_infinitesimal_perturbation_analysis(seed):
    """Glasserman & Tayur (1995), Sensitivity analysis for base-stock levels in multiechelon systems."""
    rng = np.random.default_rng(seed)
    m, T = int(rng.integers(1, 4)), 200
    leads = [int(k) for k in rng.integers(1, 4, m)]
    demand = rng.gamma(2.0, 5.0, T)
    levels = np.cumsum(rng.uniform(10, 35, m) + 10 * np.array(leads))
    stock = rng.uniform(0, 30, m)
    capacity = [np.inf] * (m - 1) + [13.0]  # of the outermost: nobody upstream is ever short
    holding, backlog = rng.uniform(0.2, 1, m), np.array([9.0] + [0.0] * (m - 1))
    cost, slope = glasserman_tayur(levels, capacity, leads, demand, holding, backlog, stock)
    names = [f"stage {i}" for i in range(m)]
    problem = Inventory(
        [Facility(n, holding[i], backlog[i], stock=stock[i]) for i, n in enumerate(names)],
        [
            Supply(n, names[i + 1] if i + 1 < m else None, leads[i], capacity=capacity[i])
            for i, n in enumerate(names)
        ],
        {names[0]: demand},
    )
    found = problem.gradient(BaseStock(levels, echelon=True))
    np.testing.assert_allclose(found.cost, cost, rtol=1e-11)
    np.testing.assert_allclose(found.levels, slope, rtol=1e-9, atol=1e-9)
    assert np.abs(slope).max() > 1


def test_what_an_order_says():
    """Lead time 2, backlog cost 9: an order that comes in time to end a shortage is worth 9 a period."""
    shop = Facility("shop", holding=1.0, backlog=9.0, stock=10.0)
    problem = Inventory(shop, Supply("shop", lead_time=2, cost=0.5), np.full(8, 4.0))
    found = problem.gradient(np.r_[np.zeros(5), 20, 0, 0])
    # Net stock 6, 2, −2, −6, −10, −14, −18, −2: of eight periods five are short from the third on.
    after = np.array([1, 1, -9, -9, -9, -9, -9, -9])
    assert np.array_equal(found.own[:, 0], np.full(8, 0.5))
    assert np.array_equal(found.downstream[:, 0], [after[t + 2 :].sum() for t in range(8)])
    assert np.array_equal(found.value[:, 0], [after[t:].sum() for t in range(8)])
    t, g = 3, found.messages.graph
    own = found.messages.message(g["order"][t], g["orders"][t])
    assert own.item() == found.own[t, 0]
    assert found.messages.message(g["flow"][t], g["orders"][t]).item() == found.downstream[t, 0]


def test_at_a_kink_the_slope_is_that_of_nothing():
    """x⁺ has slope 0 at 0, in costs, flows and policies; any number between the sides is a sub-gradient."""
    shop = Facility("shop", holding=1.0, backlog=9.0)
    problem = Inventory(shop, Supply("shop"), [5.0])
    assert problem.gradient([5.0]).orders.item() == 0.0
    assert problem.gradient([5.0 + 1e-9]).orders.item() == 1.0
    assert problem.gradient([5.0 - 1e-9]).orders.item() == -9.0
    full = Inventory(Facility("shop", 1.0, 9.0, stock=7.0), Supply("shop"), [5.0])
    assert full.gradient(BaseStock(7.0)).levels.item() == 0.0  # nothing is ordered
    assert EXACT.slope(np.zeros(1)).item() == 0.0


@given_(st.floats(-100, 100), st.floats(1e-6, 10))
def test_a_rounded_kink_lies_above_by_no_more_than_half_its_width(x, width):
    gap = SMOOTH.positive(x, width) - EXACT.positive(x)
    assert -1e-12 <= gap <= width / 2 + 1e-12
    if x:
        assert gap <= width**2 / (4 * abs(x)) + 1e-12


def test_standard_errors_are_those_of_the_samples():
    rng = np.random.default_rng(5)
    demand = rng.gamma(4, 3, (50, 4))
    problem = Inventory(Facility("shop", 1.0, 9.0), Supply("shop", lead_time=1), demand)
    found = problem.gradient(BaseStock(30.0))
    each = [
        Inventory(Facility("shop", 1.0, 9.0), Supply("shop", lead_time=1), d)
        .gradient(BaseStock(30.0))
        .levels[0]
        for d in demand
    ]
    np.testing.assert_allclose(found.levels[0], np.mean(each), rtol=1e-12)
    np.testing.assert_allclose(found.errors["levels"][0], np.std(each, ddof=1) / np.sqrt(50), rtol=1e-12)
    assert np.isnan(
        Inventory(Facility("s"), Supply("s"), demand[0]).gradient(BaseStock(1.0)).errors["levels"][0]
    )


def test_levels_of_each_period():
    """The sum over periods is the slope of one level for all; each is what differences say."""
    rng = np.random.default_rng(8)
    problem = Inventory(
        [Facility("depot", 0.5, stock=9.0), Facility("shop", 1.0, 9.0, stock=9.0)],
        [Supply("depot", None, 2), Supply("shop", "depot", 1)],
        {"shop": rng.gamma(2, 3, (4, 7))},
    )
    once, each = problem.gradient(BaseStock([22.0, 14.0])), np.tile([22.0, 14.0], (7, 1))
    found = problem.gradient(BaseStock(each))
    np.testing.assert_allclose(found.levels.sum(axis=0), once.levels, rtol=1e-12)
    assert found.errors["levels"].shape == (7, 2)
    moved = each + rng.normal(size=each.shape)
    wanted = differences(lambda x: problem.cost(BaseStock(x)), moved)
    away = np.isfinite(wanted)
    np.testing.assert_allclose(problem.gradient(BaseStock(moved)).levels[away], wanted[away], atol=2e-4)
    named = BaseStock({"shop": 14.0, "depot": each[:, 0]})
    assert problem.cost(named) == problem.cost(BaseStock([22.0, 14.0]))
    assert problem.optimize(BaseStock(each)).cost < problem.cost(BaseStock(each))
