"""Orders, triangulations and clique trees, against brute force on random graphs."""

from itertools import combinations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass.elimination import (
    ORDERS,
    RULES,
    CliqueTree,
    clique_tree,
    fronts,
    greedy_order,
    interaction,
    tree_of_fronts,
)
from msgpass.elimination.reattach import reattached
from msgpass.errors import GraphError, TreewidthError, UnsupportedError


@st.composite
def hypergraphs(draw):
    """Scopes over up to 9 variables, and their states."""
    n = draw(st.integers(1, 9))
    scopes = draw(st.lists(st.sets(st.integers(0, n - 1), min_size=1, max_size=4), max_size=12))
    return [sorted(s) for s in scopes], draw(st.lists(st.integers(1, 4), min_size=n, max_size=n))


def eliminated(graph, order):
    """(cliques, filled graph), by joining neighbours one variable after another."""
    left, filled, cliques = graph.copy(), graph.copy(), []
    for v in order:
        around = list(left[v])
        cliques.append({v, *around})
        left.add_edges_from(combinations(around, 2))
        filled.add_edges_from(combinations(around, 2))
        left.remove_node(v)
    return cliques, filled


def moral(scopes, n):
    graph = nx.Graph()
    graph.add_nodes_from(range(n))
    for scope in scopes:
        graph.add_edges_from(combinations(scope, 2))
    return graph


def cost(graph, v, sizes, rule):
    around = list(graph[v])
    missing = [(a, b) for a, b in combinations(around, 2) if not graph.has_edge(a, b)]
    return {
        "min-degree": len(around),
        "min-weight": np.prod([sizes[u] for u in (v, *around)]),
        "min-fill": len(missing),
        "weighted-min-fill": sum(sizes[a] * sizes[b] for a, b in missing),
    }[rule]


@pytest.mark.parametrize("rule", RULES)
@given(data=hypergraphs(), seed=st.one_of(st.none(), st.integers(0, 5)))
def test_each_step_takes_a_variable_that_costs_least(rule, data, seed):
    scopes, sizes = data
    left = moral(scopes, len(sizes))
    rng = None if seed is None else np.random.default_rng(seed)
    for v in greedy_order(interaction(scopes, len(sizes)), sizes, rule, rng):
        costs = {u: cost(left, u, sizes, rule) for u in left}
        assert costs[v] == min(costs.values())
        if seed is None:
            assert v == min(u for u in left if costs[u] == costs[v])
        left.add_edges_from(combinations(list(left[v]), 2))
        left.remove_node(v)


@given(hypergraphs(), st.sampled_from(ORDERS))
def test_a_clique_tree_is_one(data, order):
    scopes, sizes = data
    tree = clique_tree(scopes, sizes, order)
    cliques = [set(tree[c].tolist()) for c in range(len(tree))]
    # Maximal, and holding every scope.
    assert not any(a < b or (a == b and i != j) for i, a in enumerate(cliques) for j, b in enumerate(cliques))
    for scope in scopes:
        assert set(scope) <= cliques[int(tree.home(np.array(scope)))]
    # A forest from the leaves to the roots with the running intersection property.
    assert all(p == -1 or p > c for c, p in enumerate(tree.parent))
    forest = nx.Graph()
    forest.add_nodes_from(range(len(tree)))
    forest.add_edges_from((c, p) for c, p in enumerate(tree.parent.tolist()) if p >= 0)
    for v in range(len(sizes)):
        holding = [c for c, members in enumerate(cliques) if v in members]
        assert nx.is_connected(forest.subgraph(holding))
    # Separators are intersections, of largest total weight among all spanning trees.
    weight = 0
    for c, p in enumerate(tree.parent.tolist()):
        shared = cliques[c] & cliques[p] if p >= 0 else set()
        assert set(tree.separator(c).tolist()) == shared
        assert p < 0 or shared
        weight += len(shared)
    full = nx.Graph()
    full.add_weighted_edges_from(
        (a, b, len(cliques[a] & cliques[b])) for a, b in combinations(range(len(tree)), 2)
    )
    best = nx.maximum_spanning_tree(full) if len(tree) > 1 else full
    assert weight == sum(w for *_, w in best.edges(data="weight"))
    assert len(tree.roots) == nx.number_connected_components(moral(scopes, len(sizes)))


@given(hypergraphs(), st.randoms(use_true_random=False))
def test_cliques_of_a_given_order(data, random):
    scopes, sizes = data
    order = list(range(len(sizes)))
    random.shuffle(order)
    cliques, filled = eliminated(moral(scopes, len(sizes)), order)
    assert [f | {v} for v, f in enumerate(fronts(interaction(scopes, len(sizes)), order))] == [
        cliques[order.index(v)] for v in range(len(sizes))
    ]
    tree = clique_tree(scopes, sizes, order)
    assert {frozenset(tree[c].tolist()) for c in range(len(tree))} == set(
        map(frozenset, nx.find_cliques(filled))
    )
    assert tree.width == max(map(len, cliques)) - 1
    assert tree.largest == max(np.prod([sizes[v] for v in c]) for c in cliques)
    assert tree.total_size == sum(np.prod([sizes[v] for v in c]) for c in nx.find_cliques(filled))


@given(hypergraphs())
def test_variables_of_a_clique_come_in_one_order(data):
    tree = clique_tree(*data)
    for c in range(len(tree)):
        members = tree[c].tolist()
        n = len(members) - len(tree.separator(c))
        assert all(tree.top[v] == c for v in members[:n])
        if tree.parent[c] >= 0:
            above = tree[int(tree.parent[c])].tolist()
            places = [above.index(v) for v in members[n:]]
            assert places == sorted(places)


@given(hypergraphs())
def test_best_is_no_worse_than_any_rule_and_repeats_itself(data):
    best = clique_tree(*data, "best")
    assert best.total_size <= min(clique_tree(*data, rule).total_size for rule in RULES)
    assert best.variables.tolist() == clique_tree(*data, "best").variables.tolist()


def test_trees_from_elsewhere_are_renumbered():
    tree = CliqueTree.of([[0, 1], [1, 2], [2, 3], [4]], [-1, 0, 1, -1], [2, 3, 4, 5, 6])
    assert [sorted(tree[c].tolist()) for c in range(3, -1, -1)] != [[0, 1], [1, 2], [2, 3], [4]]
    assert sorted(tree.table_sizes.tolist()) == [6.0, 6.0, 12.0, 20.0]
    assert all(p == -1 or p > c for c, p in enumerate(tree.parent))
    assert tree.part[tree.top[4]] != tree.part[tree.top[0]]
    assert tree.part[tree.top[3]] == tree.part[tree.top[0]]


@pytest.mark.parametrize("order", [*ORDERS, list(range(9))])
def test_a_table_beyond_the_bound_is_refused(order):
    scopes = list(combinations(range(9), 2))
    with pytest.raises(TreewidthError) as told:
        clique_tree(scopes, [2] * 9, order, max_size=256)
    assert (told.value.width, told.value.size, sorted(told.value.clique)) == (8, 512, list(range(9)))
    assert clique_tree(scopes, [2] * 9, order, max_size=512).width == 8


def test_orders_that_are_none():
    with pytest.raises(UnsupportedError, match="one of min-fill"):
        clique_tree([[0, 1]], [2, 2], "nested")
    with pytest.raises(GraphError, match="each of the 2"):
        clique_tree([[0, 1]], [2, 2], [0, 0])


@given(hypergraphs(), st.sampled_from(ORDERS))
def test_children_move_to_smaller_siblings(data, order):
    scopes, sizes = data
    found = greedy_order(interaction(scopes, len(sizes)), sizes, "min-fill" if order == "best" else order)
    tree = tree_of_fronts(fronts(interaction(scopes, len(sizes)), found), found, sizes)
    moved = reattached(tree, least=0)

    def cost(t):
        return sum(t.table_sizes[p] for p in t.parent if p >= 0)

    def separators(t):
        return sorted(tuple(sorted(t.separator(c).tolist())) for c in range(len(t)) if t.parent[c] >= 0)

    assert cost(moved) <= cost(tree)
    assert separators(moved) == separators(tree)
    cliques = [sorted(moved[c].tolist()) for c in range(len(moved))]
    assert sorted(cliques) == sorted(sorted(tree[c].tolist()) for c in range(len(tree)))
    for c, p in enumerate(moved.parent.tolist()):  # nothing is left to gain
        for q in np.flatnonzero(moved.parent == p) if p >= 0 else []:
            smaller = q != c and moved.table_sizes[q] < moved.table_sizes[p]
            assert not (smaller and set(moved.separator(c).tolist()) <= set(cliques[q]))
    forest = nx.Graph((c, p) for c, p in enumerate(moved.parent.tolist()) if p >= 0)
    forest.add_nodes_from(range(len(moved)))
    for v in range(len(sizes)):
        assert nx.is_connected(forest.subgraph([c for c, own in enumerate(cliques) if v in own]))


def test_many_children_move_at_once():
    leaves = [[1, k] for k in range(4, 4000)]
    tree = CliqueTree.of([[0, 1], [1, 2, 3], *leaves], [1, -1, *[1] * len(leaves)], [2] * 4000)
    moved = reattached(tree, least=0)
    assert np.bincount(moved.parent[moved.parent >= 0]).max() == 3996
