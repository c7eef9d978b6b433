"""What data may look like, and what they may not."""

import numpy as np
import pytest

from msgpass import FactorGraph, Table
from msgpass.errors import DataError, ShapeError, UnavailableError
from msgpass.learning.rows import read_rows, unseen


@pytest.fixture
def graph():
    g = FactorGraph()
    a, z = g.variable("a", states=3), g.sequence("z", length=2, states=2)
    x, r = g.observe("x", 0, states=2), g.observe("r", [0.5, 1.0])
    g.factor(Table(g.parameter("p", np.zeros((3, 2)))), a, x)
    g.factor(Table(np.zeros((2, 2))), z[:-1], z[1:])
    del r
    return g


def test_equal_rows_are_one_row(graph):
    rows = read_rows(graph, {"a": [0, 1, 0, -1], "x": [1, 1, 1, 1]}, weights=[1, 1, 0.5, 2])
    assert len(rows) == 3
    found = {int(a): w for a, w in zip(rows.columns["a"], rows.weights, strict=True)}
    assert found == {0: 1.5, 1: 1.0, -1: 2.0}
    assert sorted(rows.first) == [0, 1, 3]


def test_many_columns_are_told_apart(rng):
    """More than one number can number."""
    g = FactorGraph()
    z = g.sequence("z", length=90, states=3)
    g.factor(Table(np.zeros((3, 3))), z[:-1], z[1:])
    few = np.full((7, 90), 2)
    few[:, :3] = np.stack(
        np.unravel_index(np.arange(7), (3, 3, 3)), axis=1
    )  # the first digits are the ones to get lost
    rows = read_rows(g, {"z": few[rng.integers(0, 7, 500)]})
    assert len(rows) == 7 and rows.weights.sum() == 500
    assert {r.tobytes() for r in rows.columns["z"]} == {r.tobytes() for r in few}


def test_frames_masks_booleans_and_nodes(graph):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [0, np.nan, 2], "x": [True, False, True]})
    rows = read_rows(graph, frame)
    assert set(rows.columns["a"].tolist()) == {0, -1, 2} and rows.columns["x"].dtype.kind == "i"
    masked = np.ma.masked_equal([0, 9, 2], 9)
    assert set(read_rows(graph, {graph.nodes["a"]: masked}).columns["a"].tolist()) == {0, -1, 2}


def test_real_columns_are_kept_as_they_are(graph):
    rows = read_rows(graph, {"r": np.ones((3, 2)), "a": [0, 0, 0]})
    assert len(rows) == 3


def test_unseen_leaves_what_is_given(graph):
    rows = read_rows(graph, {"a": [0, 1, 0], "x": [1, 0, 1]})
    free = unseen(graph, rows, ["a"])
    assert free.columns["a"].tolist() == [0, 1] and free.columns["x"].tolist() == [-1, -1]
    assert free.weights.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("data", "error", "match"),
    [
        ({"q": [0]}, UnavailableError, "no such variable"),
        ({"p": [0]}, DataError, "not seen"),
        ({"a": [0, 3]}, DataError, "the state 3"),
        ({"a": [0.5]}, DataError, "whole numbers"),
        ({"a": ["yes"]}, DataError, "whole numbers"),
        ({"a": 1}, ShapeError, r"\(N\)"),
        ({"z": [0, 1]}, ShapeError, r"\(N, 2\)"),
        ({"a": [0], "x": [0, 1]}, ShapeError, "'x' 2"),
        ({"a": []}, DataError, "no row"),
        ({}, ShapeError, "no column"),
        (3, DataError, "a dict"),
    ],
)
def test_what_does_not_fit(graph, data, error, match):
    with pytest.raises(error, match=match):
        read_rows(graph, data)


@pytest.mark.parametrize("weights", [[1.0], [-1, 1], [0, 0], [np.nan, 1]])
def test_weights_that_are_none(graph, weights):
    with pytest.raises(DataError, match="weights"):
        read_rows(graph, {"a": [0, 1]}, weights)
