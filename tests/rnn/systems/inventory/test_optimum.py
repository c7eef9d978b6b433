"""Optima against closed forms: the newsvendor, linear-quadratic, linear programs."""

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm

from msgpass.errors import ConvergenceWarning, UnsupportedError
from rnn.systems.inventory import BaseStock, Facility, Inventory, MinMax, Supply, draw

NEWS = Facility("stand", holding=0.18, backlog=0.70)


def newsvendor(count=100_000):
    """Demand N(50, 8) at the middles of equal parts of probability."""
    demand = norm(50, 8).ppf((np.arange(count) + 0.5) / count)
    return Inventory(NEWS, Supply("stand"), demand[:, None])


def test_newsvendor_cost_and_slope():
    problem = newsvendor()
    assert problem.gradient(BaseStock(60.0)).levels.item() == pytest.approx(0.0870282, abs=1e-5)
    assert problem.cost(BaseStock(56.603956)) == pytest.approx(1.997605, abs=1e-5)
    assert abs(problem.gradient(BaseStock(56.603956)).levels.item()) < 1e-5
    # A free order from an empty stand is the same decision.
    assert problem.gradient([60.0]).orders.item() == pytest.approx(0.0870282, abs=1e-5)


def test_newsvendor_optimum():
    found = newsvendor(20_000).optimize(BaseStock(40.0))
    assert found.converged
    assert found.plan.levels.item() == pytest.approx(56.603956, abs=2e-3)
    assert found.cost == pytest.approx(1.997605, abs=1e-4)


def test_the_lead_time_newsvendor():
    """Order up to S with lead time L: stock after L + 1 periods of demand, N((L+1)50, (L+1)64)."""
    lead, T = 3, 40
    demand = draw(norm(50, 8), T, samples=1500, seed=3)
    shop = Facility("shop", holding=0.18, backlog=0.70, stock=50.0)
    problem = Inventory(shop, Supply("shop", lead_time=lead, in_transit=50.0), demand)
    level = norm((lead + 1) * 50, np.sqrt(lead + 1) * 8).ppf(0.70 / 0.88)
    settled = problem.simulate(BaseStock(level)).stock[:, 1 + lead :]
    z = norm.ppf(0.70 / 0.88)
    per_period = 0.88 * 16 * norm.pdf(z)  # (h + b) σ φ(z)
    costs = 0.18 * np.maximum(settled, 0) + 0.70 * np.maximum(-settled, 0)
    error = costs.mean(axis=(1, 2)).std(ddof=1) / np.sqrt(1500)
    assert abs(costs.mean() - per_period) < 4 * error
    found = problem.gradient(BaseStock(level))
    assert abs(found.levels.item()) < 4 * found.errors["levels"].item() + 0.8 * lead


def quadratic(T=12, lead=2, discount=0.95, seed=0):
    """An inventory without kinks, and H, g with cost ½xᵀHx + gᵀx + constant."""
    rng = np.random.default_rng(seed)
    demand = rng.gamma(3, 4, (7, T))
    q, target, r, c, y0 = 0.7, 6.0, 0.3, 0.4, 11.0
    coming = (3.0, 5.0)[:lead]
    problem = Inventory(
        Facility("shop", quadratic=q, target=target, stock=y0),
        Supply("shop", lead_time=lead, cost=c, quadratic=r, minimum=-np.inf, in_transit=coming),
        demand,
        discount,
    )
    arrive = np.array([[float(s + lead <= t) for s in range(T)] for t in range(T)])  # y = y⁰ + arrive @ x
    early = np.cumsum(np.r_[coming, np.zeros(T - lead)])
    mean = y0 + early - np.cumsum(demand, axis=1).mean(axis=0)
    weight = discount ** np.arange(T)
    H = arrive.T @ (q * weight[:, None] * arrive) + np.diag(r * weight)
    g = arrive.T @ (q * weight * (mean - target)) + c * weight
    return problem, H, g


def test_quadratic_case_is_a_dense_solve():
    problem, H, g = quadratic()
    x = np.random.default_rng(1).normal(8, 4, 12)
    np.testing.assert_allclose(problem.gradient(x).orders[:, 0], H @ x + g, rtol=1e-11, atol=1e-11)
    best = np.linalg.solve(H, -g)
    found = problem.optimize(smoothing=(0,), tol=1e-10)
    assert found.converged
    np.testing.assert_allclose(found.plan[:, 0], best, atol=1e-5)
    np.testing.assert_allclose(found.cost, problem.cost(best), rtol=1e-10)


def test_bounds_of_orders_hold():
    problem, H, g = quadratic()
    s = problem.supplies[0]
    bounded = Inventory(
        problem.facilities,
        Supply(
            "shop", lead_time=2, cost=s.cost, quadratic=s.quadratic, capacity=12.0, in_transit=s.in_transit
        ),
        problem.demand[..., 0].T,
        problem.discount,
    )
    found = bounded.optimize(smoothing=(0,), tol=1e-10)
    x, slope = found.plan[:, 0], H @ found.plan[:, 0] + g
    assert (x >= 0).all() and (x <= 12).all() and np.linalg.solve(H, -g).max() > 12
    assert np.abs(x - np.clip(x - slope, 0, 12)).max() < 1e-5  # Karush, Kuhn and Tucker


def linear_program(demand, h, b, c, lead, y0):
    """min Σ c x + mean Σ h y⁺ + b y⁻, exactly. Variables: x, then y⁺ and y⁻ of each sample."""
    S, T = demand.shape
    arrive = np.array([[float(s + lead <= t) for s in range(T)] for t in range(T)])
    blocks = [
        np.hstack([-arrive, *(np.eye(T) * sign * (n == k) for k in range(S) for sign in (1, -1))])
        for n in range(S)
    ]
    costs = np.concatenate([np.full(T, c), np.tile(np.r_[np.full(T, h), np.full(T, b)] / S, S)])
    right = (y0 - np.cumsum(demand, axis=1)).ravel()
    return linprog(costs, A_eq=np.vstack(blocks), b_eq=right).fun


@pytest.mark.parametrize("samples", [1, 12])
def test_free_orders_reach_the_linear_program(samples):
    demand = np.random.default_rng(4).gamma(3, 4, (samples, 10))
    shop = Facility("shop", holding=1.0, backlog=6.0, stock=15.0)
    problem = Inventory(shop, Supply("shop", lead_time=1, cost=0.5), demand)
    wanted = linear_program(demand, 1.0, 6.0, 0.5, 1, 15.0)
    found = problem.optimize()
    assert wanted - 1e-9 <= found.cost <= wanted * (1 + 2e-3)


def test_base_stock_of_a_chain_is_no_worse_than_its_neighbours():
    rng = np.random.default_rng(6)
    demand = {"shop": rng.gamma(4, 2.5, (60, 20))}
    problem = Inventory(
        [Facility("depot", 0.5, stock=20.0), Facility("shop", 1.0, 9.0, stock=20.0)],
        [Supply("depot", None, 2, in_transit=10.0), Supply("shop", "depot", 1, in_transit=10.0)],
        demand,
    )
    found = problem.optimize(BaseStock([30.0, 20.0]))
    for step in np.vstack([np.eye(2), -np.eye(2)]) * 0.5:
        assert found.cost < problem.cost(BaseStock(found.plan.levels + step))
    assert found.cost < problem.cost(BaseStock([30.0, 20.0]))


def test_one_seed_the_same_bits():
    runs = [newsvendor(500).optimize(BaseStock(40.0)).plan.levels for _ in range(2)]
    assert np.array_equal(*runs)
    a, b, c = (draw(norm(50, 8), 5, 4, seed=s) for s in (1, 1, 2))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_strata_are_each_hit_once():
    drawn = draw(norm(50, 8), steps=3, samples=100, stratified=True)
    strata = np.floor(norm(50, 8).cdf(drawn) * 100)
    assert np.array_equal(np.sort(strata, axis=0), np.tile(np.arange(100.0)[:, None], 3))


def test_what_no_gradient_sees_is_refused():
    problem = Inventory(NEWS, Supply("stand", fixed=5.0), [50.0, 60.0])
    with pytest.raises(UnsupportedError, match="fixed=0, or evaluate MinMax"):
        problem.optimize()
    with pytest.raises(UnsupportedError, match="compare"):
        problem.gradient(MinMax(1.0, 2.0))
    with pytest.raises(UnsupportedError, match="compare its costs"):
        problem.optimize(MinMax(1.0, 2.0))
    assert problem.cost([0.0, 3.0]) - problem.cost([0.0, 0.0]) == pytest.approx(5.0 - 0.7 * 3.0)
    assert problem.gradient([0.0, 3.0]).own[:, 0].tolist() == [0.0, 0.0]


def test_it_says_when_it_does_not_converge():
    with pytest.warns(ConvergenceWarning, match="raise n_iter"):
        found = newsvendor(500).optimize(BaseStock(10.0), n_iter=1)
    assert not found.converged
    assert found.cost <= newsvendor(500).cost(BaseStock(10.0))
