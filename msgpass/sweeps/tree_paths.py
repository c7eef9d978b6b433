"""Whole assignments of a forest of tables, from its forward messages: draws, the best k, entropies, totals.

From the roots to the leaves, an assignment is a list of decisions: the state of each root, and for each
instance the states of its ins given the state of its out. Forward messages make them independent of whatever
is decided elsewhere.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

import numpy as np

from msgpass.kernels.chain_paths import pick
from msgpass.sweeps.tree import TreeRun

Decision = tuple[int, tuple[int, ...]]
"""Number of an instance (−1: a root), and the variables that are decided."""

Member = tuple[int, ...]
"""Place in an aligned batch."""


def totals(run: TreeRun, name: str) -> np.ndarray:
    """Total of every tree that holds rows of a variable, and of every member of an aligned batch."""
    return np.concatenate([np.ravel(run.algebra.reduce(run.forward[r], (-1,))) for r in _roots(run, name)])


def sample(run: TreeRun, name: str, rng: np.random.Generator, n: int) -> np.ndarray:
    """n draws, (n, …)."""
    rows, shape = _rows(run, name), _shape(run, name)
    draws = np.empty((n, len(rows), *run.node(rows[0]).shape), np.int64)
    for root in _roots(run, name):
        for member in _members(run, root):
            states: dict[int, np.ndarray] = {}
            for k, variables in _decisions(run, root):
                sizes = _sizes(run, variables)
                logs = np.broadcast_to(_scores(run, member, k, variables, states), (n, *sizes))
                chosen = pick(logs.reshape(n, -1), rng.random(n))
                states |= zip(variables, np.unravel_index(chosen, sizes), strict=True)
            for place, v in enumerate(rows):
                if v in states:
                    at: Any = (slice(None), place, *member)
                    draws[at] = states[v]
    return draws.reshape(n, *shape)


def k_best(run: TreeRun, name: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores (parts, k), states (k, …)); −∞ and −1 where a part has fewer possible assignments.

    The best assignment that differs from a known one first at decision i, keeping all decisions before it,
    loses what it gives away there (Lawler 1972; Nilsson 1998).
    """
    rows = _rows(run, name)
    states = np.full((k, len(rows), *run.node(rows[0]).shape), -1, np.int64)
    scores = []
    for root in _roots(run, name):
        for member in _members(run, root):
            scores.append(np.full(k, -np.inf))
            for rank, (score, found) in enumerate(_ranked(run, member, root, k)):
                scores[-1][rank] = score
                for place, v in enumerate(rows):
                    if v in found:
                        states[(rank, place, *member)] = found[v]
    return np.stack(scores), states.reshape(k, *_shape(run, name))


def _ranked(run: TreeRun, member: Member, root: int, k: int) -> Iterator[tuple[float, dict[int, int]]]:
    """Assignments of one part, best first."""
    decisions = list(_decisions(run, root))
    score, first = float(np.max(run.forward[root][member])), 0
    found = _complete(run, member, decisions, 0, {})
    heap: list = []
    serial = 0
    while score > -np.inf:
        yield score, found
        k -= 1
        if k == 0:
            return
        for i in range(first, len(decisions)):
            number, variables = decisions[i]
            values = _scores(run, member, number, variables, found)
            own = tuple(found[v] for v in variables)
            losses = values[own] - values
            losses[own] = np.inf
            for at in np.flatnonzero(losses.ravel() < np.inf):
                heapq.heappush(heap, (float(losses.ravel()[at]) - score, serial, i, int(at), found))
                serial += 1
        if not heap:
            return
        negative, _, i, at, parent = heapq.heappop(heap)
        kept = {v: parent[v] for _, variables in decisions[:i] for v in variables}
        variables = decisions[i][1]
        changed = np.unravel_index(at, _sizes(run, variables))
        kept |= {v: int(s) for v, s in zip(variables, changed, strict=True)}
        score, first, found = -negative, i + 1, _complete(run, member, decisions, i + 1, kept)


def _complete(
    run: TreeRun, member: Member, decisions: list[Decision], start: int, states: dict
) -> dict[int, int]:
    """Take the best at every decision from ``start`` on; ties go to the lowest states."""
    for k, variables in decisions[start:]:
        best = np.unravel_index(_scores(run, member, k, variables, states).argmax(), _sizes(run, variables))
        states |= {v: int(s) for v, s in zip(variables, best, strict=True)}
    return states


def entropy(run: TreeRun, name: str) -> np.ndarray:
    """Σ over decisions of their conditional entropy, a number a part."""
    found = []
    for root in _roots(run, name):
        for member in _members(run, root):
            total = _entropy(run.algebra.normalise(run.belief(root))[member])
            for k, variables in _decisions(run, root):
                if k >= 0:
                    joint = run.joint(k)[member]
                    out = run.algebra.reduce(joint, tuple(range(len(variables))))
                    total += _entropy(joint) - _entropy(out)
            found.append(total)
    return np.array(found)


def _entropy(logs: np.ndarray) -> float:
    with np.errstate(under="ignore"):
        return float(-np.sum(np.exp(logs) * np.where(logs > -np.inf, logs, 0.0)))


def _decisions(run: TreeRun, root: int) -> Iterator[Decision]:
    """What is decided in one tree, from the root on."""
    inside = {root}
    yield -1, (root,)
    for k in range(len(run.o.instances) - 1, -1, -1):
        inst = run.o.instances[k]
        if inst.ins and inst.out in inside:
            inside.update(inst.ins)
            yield k, inst.ins


def _scores(run: TreeRun, member: Member, k: int, variables: tuple[int, ...], states: dict) -> np.ndarray:
    """Log scores of the states of a decision given those before it, an axis a variable (draws in front)."""
    if k < 0:
        return np.asarray(run.forward[variables[0]][member])
    inst = run.o.instances[k]
    joint = run.algebra.combine(run.potential(inst), [run.forward[u] for u in inst.ins])[member]
    return np.moveaxis(joint, -1, 0)[states[inst.out]]


def _members(run: TreeRun, v: int) -> Iterator[Member]:
    """Places in an aligned batch; one, (), without."""
    return np.ndindex(*run.node(v).shape)


def _roots(run: TreeRun, name: str) -> list[int]:
    """Roots of the trees that hold rows of a variable, in the order of these rows."""
    rows = set(_rows(run, name))
    firsts = {}
    for root in run.o.roots:
        own = rows & {v for _, variables in _decisions(run, root) for v in variables}
        if own:
            firsts[root] = min(own)
    return sorted(firsts, key=lambda r: firsts[r])


def _rows(run: TreeRun, name: str) -> list[int]:
    return [v for v, (other, _) in enumerate(run.o.variables) if other == name]


def _shape(run: TreeRun, name: str) -> tuple[int, ...]:
    """(*batch) of a single variable, (T, *batch) of a sequence."""
    rows = _rows(run, name)
    own = () if run.o.variables[rows[0]][1] < 0 else (len(rows),)
    return (*own, *run.node(rows[0]).shape)


def _sizes(run: TreeRun, variables: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(run.node(v).states for v in variables)
