"""Sparse and grouped tables are checked when they are made and when they are added."""

import numpy as np
import pytest

from msgpass import FactorGraph, Table, run
from msgpass.errors import DataError, GraphError, ShapeError
from msgpass.potentials import GroupedTable, SparseTable


@pytest.mark.parametrize(
    ("values", "rows", "cols", "error", "words"),
    [
        ([0.0], [0, 1], [0], ShapeError, "2 rows and 1 columns"),
        ([], [], [], ShapeError, "at least one entry"),
        ([0.0], [0.5], [0], ShapeError, "whole numbers"),
        ([0.0], [[0]], [0], ShapeError, "one array"),
        ([0.0], [-1], [0], DataError, "counted from 0"),
        ([np.nan], [0], [0], DataError, "NaN"),
    ],
)
def test_a_sparse_table_that_cannot_be(values, rows, cols, error, words):
    with pytest.raises(error, match=words):
        Table.sparse(values, rows, cols)


def graph():
    g = FactorGraph()
    return g, g.sequence("z", 3, 2), g.observe("x", [0, 1, 1], 2)


@pytest.mark.parametrize(
    ("values", "rows", "cols", "error", "words"),
    [
        ([0.0, 0.0], [0, 2], [0, 1], ShapeError, "rows holds the state 2"),
        ([0.0, 0.0], [0, 1], [0, 3], ShapeError, "cols holds the state 3"),
        ([0.0, 0.0, 0.0], [1, 0, 1], [1, 0, 1], DataError, r"\(1, 1\) is listed twice"),
        ([0.0], [0, 1], [0, 1], ShapeError, r"shape \(1,\), but 2 entries want \(2,\) or \(2, 2\)"),
    ],
)
def test_a_sparse_table_that_does_not_fit(values, rows, cols, error, words):
    g, z, _ = graph()
    with pytest.raises(error, match=words):
        g.factor(Table.sparse(values, rows, cols), z[:-1], z[1:])


def test_what_tables_relate():
    g, z, x = graph()
    batch = g.sequence("batch", 3, 2, shape=(4,))
    with pytest.raises(GraphError, match="two variables"):
        g.factor(Table.sparse([0.0], [0], [0]), z[:])
    with pytest.raises(GraphError, match="discrete"):
        g.factor(Table.sparse([0.0], [0], [0]), z[:], g.observe("real", [0.0] * 3)[:])
    with pytest.raises(ShapeError, match="aligned batch"):
        g.factor(Table.sparse([0.0], [0], [0]), batch[:-1], batch[1:])
    with pytest.raises(ShapeError, match="aligned batch"):
        g.factor(Table.grouped([0.0], [0, 0]), batch[:])
    with pytest.raises(GraphError, match="one latent variable"):
        g.factor(Table.grouped(np.zeros((1, 2)), [0, 0]), z[:-1], z[1:])
    with pytest.raises(GraphError, match="one latent variable"):
        g.factor(Table.grouped(np.zeros((1, 2, 2)), [0, 0]), z[:], x[:], g.observe("y", [0] * 3, 2)[:])


@pytest.mark.parametrize(
    ("values", "groups", "error", "words"),
    [
        ([0.0, 0.0], [0, 1, 1], ShapeError, "groups has 3 entries, but z"),
        ([0.0], [0, 1], ShapeError, "K ≥ 2"),
        (np.zeros((4, 2)), [0, 1], ShapeError, "3 steps"),
        ([0.0], [0, -1], DataError, "counted from 0"),
        ([0.0], [0.0, 1.0], ShapeError, "whole numbers"),
    ],
)
def test_a_grouped_table_that_does_not_fit(values, groups, error, words):
    g, z, _ = graph()
    with pytest.raises(error, match=words):
        g.factor(Table.grouped(values, groups), z[:])


def test_a_group_without_states_and_one_axis_for_the_steps():
    g, z, _ = graph()
    B = g.parameter("B", np.log([[0.1, 9.0, 0.9], [0.2, 9.0, 0.8], [0.3, 9.0, 0.7]]))
    g.factor(Table.grouped(B, [2, 0]), z[:])
    m = run(g)
    np.testing.assert_allclose(np.exp(m.belief["z"]), [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    np.testing.assert_allclose(m.parameters["B"], [[0.1, 0, 0.9], [0.2, 0, 0.8], [0.3, 0, 0.7]])


def test_of_keeps_the_structure():
    table, grouped = SparseTable([0.0], [1], [2]).of([3.0]), GroupedTable([0.0], [0, 0]).of([3.0])
    assert (table.source, table.rows, table.cols) == ([3.0], [1], [2])
    assert grouped.source == [3.0] and grouped.groups.tolist() == [0, 0]
