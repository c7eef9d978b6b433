"""Bad input is refused, with where and when."""

import numpy as np
import pytest
from scipy.stats import norm

from msgpass.errors import DataError, GraphError, ShapeError, UnavailableError
from rnn.systems.inventory import BaseStock, Facility, Inventory, MinMax, Supply, draw

SHOP, ARC = Facility("shop"), Supply("shop")


@pytest.mark.parametrize(
    "make, error, text",
    [
        (lambda: Facility(""), DataError, "non-empty"),
        (lambda: Facility("a", holding=-1.0), DataError, "holding of 'a'"),
        (lambda: Facility("a", allocation="fair"), DataError, "proportional"),
        (lambda: Facility("a", stock=-1.0, lost_sales=True), DataError, "owes nothing"),
        (lambda: Supply("a", lead_time=-1), ShapeError, "lead_time"),
        (lambda: Supply("a", lead_time=1.5), ShapeError, "lead_time"),
        (lambda: Supply("a", capacity=0.0), DataError, "capacity"),
        (lambda: Supply("a", "b", minimum=-1.0), DataError, "outside source"),
        (lambda: Supply("a", lead_time=2, in_transit=(1.0, 2.0, 3.0)), DataError, "2 of them"),
        (lambda: Supply("a", in_transit=5.0), DataError, "no lead time"),
        (lambda: Supply("a", lead_time=2, in_transit="ab"), DataError, "real numbers"),
        (lambda: Inventory("shop", ARC, [1.0]), DataError, "made of Facility"),
        (lambda: Inventory(ARC, SHOP, [1.0]), DataError, "in this order; wanted a Facility, got Supply"),
        (lambda: Inventory([], [], [1.0]), DataError, "at least one facility"),
        (lambda: Inventory(SHOP, [], [1.0]), GraphError, "nobody supplies 'shop'"),
        (lambda: Inventory([SHOP, SHOP], ARC, {"shop": [1.0]}), GraphError, "same name"),
        (lambda: Inventory(SHOP, Supply("shop", "depot"), [1.0]), GraphError, "no facility 'depot'"),
        (lambda: Inventory(SHOP, Supply("shop", "shop"), [1.0]), GraphError, "supply itself"),
        (lambda: Inventory(SHOP, ARC, {"depot": [1.0]}), GraphError, "no such facility"),
        (lambda: Inventory(SHOP, ARC, [1.0, 2.0, -3.0]), DataError, "period 2"),
        (lambda: Inventory(SHOP, ARC, [[1.0, 2.0], [1.0, np.nan]]), DataError, "period 1 of sample 1"),
        (lambda: Inventory(SHOP, ARC, np.ones((2, 2, 2))), ShapeError, r"\(samples, T\)"),
        (lambda: Inventory(SHOP, ARC, [1.0], discount=1.5), DataError, "discount"),
        (lambda: Inventory(SHOP, Supply("shop", share=0.0), [1.0]), DataError, "sum to 0"),
        (lambda: Inventory(SHOP, ARC, [1.0]).messages(width=-1.0), DataError, "width"),
        (lambda: Inventory(SHOP, ARC, [1.0]).messages(width=np.nan), DataError, "width"),
        (lambda: Inventory(SHOP, ARC, [1.0]).gradient().levels, UnavailableError, "have no levels"),
        (lambda: Inventory(SHOP, ARC, [1.0]).optimize(smoothing="x"), DataError, "smoothing"),
        (lambda: Inventory(SHOP, ARC, [1.0]).optimize(n_iter=0), ShapeError, "n_iter"),
        (lambda: draw(3.0, 5), DataError, "ppf"),
        (lambda: draw(norm(), 0), ShapeError, "steps"),
    ],
)
def test_parts(make, error, text):
    with pytest.raises(error, match=text):
        make()


def test_goods_in_a_circle_within_one_period():
    shops = [Facility("a"), Facility("b")]
    arcs = [Supply("a"), Supply("a", "b"), Supply("b", "a")]
    with pytest.raises(GraphError, match="among a, b; give one of these supplies a lead_time of at least 1"):
        Inventory(shops, arcs, {"a": [1.0]})


def test_demands_that_do_not_fit():
    shops, arcs = [Facility("a"), Facility("b")], [Supply("a"), Supply("b")]
    with pytest.raises(DataError, match="as a dict"):
        Inventory(shops, arcs, [1.0])
    with pytest.raises(ShapeError, match="differ"):
        Inventory(shops, arcs, {"a": np.ones(3), "b": np.ones(4)})
    both = Inventory(shops, arcs, {"a": np.ones(3), "b": np.ones((2, 3))})
    assert both.samples == 2


@pytest.mark.parametrize(
    "plan, error, text",
    [
        (np.ones((3, 1)), ShapeError, r"wanted \(2, 1\)"),
        ([1.0, -2.0], DataError, "outside → shop in period 1 is -2"),
        ([1.0, 9.0], DataError, r"\[0, 5\]"),
        ([np.nan, 0.0], DataError, "period 0"),
        (BaseStock([1.0, 2.0]), ShapeError, "levels"),
        (BaseStock({"depot": 1.0}), DataError, "depot"),
        (BaseStock(np.inf), DataError, "infinite"),
        (MinMax(3.0, 2.0), DataError, "above"),
    ],
)
def test_plans(plan, error, text):
    problem = Inventory(SHOP, Supply("shop", capacity=5.0), [1.0, 2.0])
    with pytest.raises(error, match=text):
        problem.cost(plan)


def test_echelons_need_one_supplier_each():
    two = Inventory(SHOP, [Supply("shop"), Supply("shop", lead_time=3)], [1.0])
    with pytest.raises(GraphError, match="2 suppliers"):
        two.cost(BaseStock(3.0, echelon=True))
    shops, arcs = [Facility("a"), Facility("b")], [Supply("a", "b", 1), Supply("b", "a", 1)]
    with pytest.raises(GraphError, match="circle"):
        Inventory(shops, arcs, {"a": [1.0]}).cost(BaseStock(3.0, echelon=True))


def test_smoothing_is_a_width():
    with pytest.raises(DataError, match="widths"):
        Inventory(SHOP, ARC, [1.0]).optimize(smoothing=(-1.0,))


def test_figures_and_words():
    problem = Inventory(Facility("shop", 1.0, 9.0), Supply("shop", lead_time=1), np.full((2, 6), 4.0))
    found = problem.optimize(BaseStock(3.0))
    for drawn in (found, found.path, found.gradient, problem.gradient(np.ones(6))):
        assert len(drawn.plot().axes) >= 1
        assert repr(drawn).startswith("<")
