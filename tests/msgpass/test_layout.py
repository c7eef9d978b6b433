"""Layers run down along arrows, leave room for names and cross little; springs keep distances."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.layout import _rising, layered, springs


@st.composite
def networks(draw):
    n = draw(st.integers(1, 12))
    pairs = [(a, b) for a in range(n) for b in range(a + 1, n)]
    return n, draw(st.lists(st.sampled_from(pairs), unique=True, max_size=20)) if pairs else []


@given(networks(), st.integers(1, 3))
def test_parents_stand_above_and_nothing_overlaps(network, width):
    n, arrows = network
    place, routes = layered(range(n), arrows, dict.fromkeys(range(n), float(width)))
    assert set(place) == set(range(n)) and set(routes) == set(arrows)
    for (a, b), route in routes.items():
        assert route[0] == place[a] and route[-1] == place[b]
        assert np.all(np.diff([y for _, y in route]) == -1)  # a bend in every layer between
    for a in range(n):
        for b in range(a):
            if place[a][1] == place[b][1]:
                assert abs(place[a][0] - place[b][0]) >= width - 1e-9


def test_a_tree_has_no_crossings():
    tree = nx.balanced_tree(2, 3, create_using=nx.DiGraph)
    shuffled = np.random.default_rng(0).permutation(list(tree)).tolist()
    place, _ = layered(shuffled, list(tree.edges))
    for a, b in tree.edges:
        for c, d in tree.edges:
            if place[a][1] == place[c][1] and place[a][0] < place[c][0]:
                assert place[b][0] < place[d][0]
    assert place[0][0] == pytest.approx(np.mean([place[c][0] for c in tree.successors(0)]), abs=0.02)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(0.1, 3)), min_size=1, max_size=8))
def test_pooling_is_the_projection(pairs):
    wanted, weight = np.array(pairs).T
    found = _rising(wanted, weight)
    assert np.all(np.diff(found) >= -1e-12)
    # Optimality: no pool gains by a shift, and no feasible direction leads down.
    slope = np.cumsum(weight * (found - wanted))
    assert slope[-1] == pytest.approx(0, abs=1e-7)
    assert np.all(slope <= 1e-7) or np.all(slope[np.diff(found, append=np.inf) > 1e-9] <= 1e-7)


def test_springs_draw_a_grid_upright_with_the_first_node_left_and_high():
    grid = nx.grid_2d_graph(4, 6)
    place = springs(list(grid), list(grid.edges))
    for a, b in grid.edges:
        step = np.abs(np.subtract(place[a], place[b]))
        assert step.max() == pytest.approx(1, abs=0.25) and step.min() < 0.25
    assert place[0, 0][0] < 1 and place[0, 0][1] > max(y for _, y in place.values()) - 1


def test_springs_put_parts_beside_each_other():
    place = springs("abcd", [("a", "b"), ("c", "d")])
    assert max(place["a"][0], place["b"][0]) < min(place["c"][0], place["d"][0])
    assert springs("a", []) == {"a": (0.0, 0.0)}
