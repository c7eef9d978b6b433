"""From scopes to a clique tree: by a rule, by a given order, or the best of several."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from msgpass.elimination.clique_tree import CliqueTree
from msgpass.elimination.fronts import fronts, tree_of_fronts
from msgpass.elimination.greedy import RULES, greedy_order, too_large
from msgpass.elimination.interaction import interaction
from msgpass.elimination.reattach import reattached
from msgpass.errors import TreewidthError, UnsupportedError

ORDERS = (*RULES, "best")


def clique_tree(
    scopes: Iterable,
    sizes: Sequence[int] | np.ndarray,
    order: str | Sequence[int] = "min-fill",
    max_size: float = math.inf,
    tries: int = 8,
    seed: int = 0,
) -> CliqueTree:
    """Triangulate the interaction graph of ``scopes`` and lay out its maximal cliques as a forest.

    Parameters
    ----------
    scopes : iterable of int arrays, (arity,) or (instances, arity)
    sizes : states of each variable
    order : str or sequence of int
        A rule (``"min-fill"``, ``"weighted-min-fill"``, ``"min-weight"``, ``"min-degree"``), ``"best"`` (the
        rules, and ``tries`` runs of the first two with ties broken at random; the smallest total size of all
        tables wins), or all variables in the order of their elimination.
    max_size : float
        Entries that the largest table may have.
    tries, seed : int
        Of ``"best"``.

    Raises
    ------
    TreewidthError
        No clique tree within ``max_size`` was found.

    Examples
    --------
    >>> from msgpass.elimination import clique_tree
    >>> clique_tree([[0, 1], [1, 2], [2, 3], [3, 0]], [2, 2, 2, 2])
    CliqueTree(2 cliques over 4 variables, width 2, largest table 8, in all 16)
    """
    sizes = [int(s) for s in sizes]
    graph = interaction(scopes, len(sizes))
    if not isinstance(order, str):
        return _by_order(graph, sizes, [int(v) for v in order], max_size)
    if order in RULES:
        return _by_order(graph, sizes, greedy_order(graph, sizes, order, None, max_size), max_size)
    if order != "best":
        raise UnsupportedError(
            f"an order of elimination is one of {', '.join(ORDERS)}, or all variables in order; got {order!r}"
        )
    rng = np.random.default_rng(seed)
    runs: list[tuple[str, np.random.Generator | None]] = [(rule, None) for rule in RULES]
    runs += [(RULES[k % 2], rng) for k in range(tries)]
    best, failure = None, None
    for rule, own in runs:
        try:
            found = _by_order(graph, sizes, greedy_order(graph, sizes, rule, own, max_size), max_size)
        except TreewidthError as problem:
            failure = problem if failure is None or problem.size < failure.size else failure
            continue
        if best is None or found.total_size < best.total_size:
            best = found
    if best is None:
        assert failure is not None
        raise failure
    return best


def _by_order(graph, sizes, order, max_size) -> CliqueTree:
    made = tree_of_fronts(fronts(graph, order), order, sizes)
    check_size(made, max_size)
    return reattached(made)


def check_size(tree: CliqueTree, max_size: float) -> None:
    """Raise where a table has more entries than ``max_size``."""
    if tree.largest > max_size:
        raise too_large(sorted(tree[int(np.argmax(tree.table_sizes))].tolist()), tree.sizes)
