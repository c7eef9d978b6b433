"""Whole assignments of a junction tree: the best k, entropies; a part is one tree of the forest.

From the roots to the leaves, an assignment is a list of decisions: the states of a clique's residual given
those of its separator. Messages from below make them independent of whatever is decided elsewhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np


def entropy(run) -> np.ndarray:
    """Σ over cliques of their entropy given their separator, (parts · B,): Σ −b log b(residual|separator)."""
    tree, batch = run.layout.tree, run.layout.batch
    found = np.zeros((len(tree.roots), batch))
    for c in range(len(tree)):
        logs = _columns(run, c)
        whole = run.algebra.reduce(logs, (1, 2))[:, None, None]
        given = run.algebra.reduce(logs, (1,))[:, None, :]
        # exp(−∞) is 0, and so is what it multiplies.
        inside = np.where(logs > -np.inf, logs - np.where(given > -np.inf, given, 0.0), 0.0)
        found[tree.part[c]] -= np.sum(np.exp(logs - whole) * inside, axis=(1, 2))
    return np.ravel(found)


def k_best(run, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores (parts · B, k), states of all variables (k, B, variables)); −∞ and −1 where a part has fewer
    possible assignments.

    The best assignment that differs from a known one first at some decision, keeping all decisions before it,
    loses what it gives away there (Lawler 1972; Nilsson 1998).
    """
    tree, batch = run.layout.tree, run.layout.batch
    tables = [_columns(run, c) for c in range(len(tree))]
    scores = np.full((len(tree.roots), batch, k), -np.inf)
    states = np.full((k, batch, len(tree.sizes)), -1, np.int64)
    for part in range(len(tree.roots)):
        cliques = np.flatnonzero(tree.part == part)[::-1].tolist()
        own = np.unique(np.concatenate([tree[c] for c in cliques]))
        for b in range(batch):
            ranked = _ranked(run.assigned[b], tree, tables, cliques, b, float(run.part_totals[b, part]), k)
            for rank, (score, found) in enumerate(ranked):
                scores[part, b, rank] = score
                states[rank, b, own] = found[own]
    return scores.reshape(-1, k), states


def _ranked(found, tree, tables, cliques, b, score, k) -> Iterator[tuple[float, np.ndarray]]:
    """(score, states of all variables) of one part's assignments, best first."""
    heap: list = []
    serial, first = 0, 0
    while score > -np.inf:
        yield score, found
        k -= 1
        if k == 0:
            return
        for i in range(first, len(cliques)):
            column, at = _column(tree, tables, cliques[i], b, found)
            losses = column[at] - column
            losses[at] = np.inf
            for r in np.flatnonzero(losses < np.inf).tolist():
                heapq.heappush(heap, (float(losses[r]) - score, serial, i, r, found))
                serial += 1
        if not heap:
            return
        negative, _, i, r, parent = heapq.heappop(heap)
        score, first, found = -negative, i + 1, parent.copy()
        _settle(tree, cliques[i], r, found)
        for c in cliques[i + 1 :]:
            column, _ = _column(tree, tables, c, b, found)
            _settle(tree, c, int(column.argmax()), found)


def _columns(run, c: int) -> np.ndarray:
    """Log belief of a clique as (B, residual, separator)."""
    logs = run.sweep.belief(c)
    size = int(run.layout.tree.sizes[run.layout.tree.separator(c)].prod())
    return logs.reshape(len(logs), -1, size)


def _column(tree, tables, c: int, b: int, states: np.ndarray) -> tuple[np.ndarray, int]:
    """(scores of a residual's states given the separator's, the one that is taken)."""
    members, shared = tree[c], tree.separator(c)
    own = members[: len(members) - len(shared)]
    return tables[c][b, :, _number(tree, shared, states)], _number(tree, own, states)


def _number(tree, variables, states: np.ndarray) -> int:
    number = 0
    for v in variables.tolist():
        number = number * int(tree.sizes[v]) + int(states[v])
    return number


def _settle(tree, c: int, number: int, states: np.ndarray) -> None:
    members = tree[c]
    for v in members[: len(members) - len(tree.separator(c))][::-1].tolist():
        number, states[v] = divmod(number, int(tree.sizes[v]))
