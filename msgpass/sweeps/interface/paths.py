"""Whole assignments of a sliced component: draws, the best k, their entropy, and the total of each part.

A part is a stretch of slices that nothing connects with the rest, of one member of an aligned batch.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np


def totals(run) -> np.ndarray:
    """Total of every part, (parts,)."""
    return np.ravel(run.part_totals.T)


def draws(run, rng: np.random.Generator, n: int) -> np.ndarray:
    """States of all variables in n draws, (n, B, variables)."""
    layout = run.layout
    states = np.zeros((layout.batch, n, len(layout.flat)), np.int64)
    uniforms = rng.random((layout.batch, n, int(layout.slices.number[-1])))
    run.sweep.decide(states, layout.firsts, uniforms)
    return np.swapaxes(states, 0, 1)


def entropy(run) -> np.ndarray:
    """Entropy of every part, log Z − Σ E[log φ], (parts,)."""
    layout = run.layout
    left = run.part_totals.copy()
    for f, owner in enumerate(layout.sliced.owner):
        if not len(owner):
            continue
        logs = run.sweep.read(f, len(owner))
        table = run.tables.table(f, len(owner), layout.entries[f])
        energy = np.sum(np.exp(logs) * np.where(logs > -np.inf, table, 0.0), axis=-1)
        for member, own in enumerate(energy):
            np.subtract.at(left[member], layout.part[owner], own)
    return np.ravel(left.T)


def k_best(run, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(scores (parts, k), states of all variables (k, B, variables)); −∞ and −1 where a part has fewer
    possible assignments.

    The best assignment that differs from a known one first at some decision, keeping all decisions before it,
    loses what it gives away there (Lawler 1972; Nilsson 1998).
    """
    layout = run.layout
    every = np.full((k, layout.batch, len(layout.flat)), -1, np.int64)
    ends = np.flatnonzero(layout.slices.closed) + 1
    starts = np.concatenate([[0], ends[:-1]])
    scores = np.full((len(ends), layout.batch, k), -np.inf)
    for part, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        numbers = int(layout.slices.number[start]), int(layout.slices.number[end])
        own = _variables(layout, start, end)
        for b in range(layout.batch):
            ranked = _ranked(run, b, numbers, float(run.part_totals[b, part]), k)
            for rank, (score, states) in enumerate(ranked):
                scores[part, b, rank] = score
                every[rank, b, own] = states[own]
    return scores.reshape(-1, k), every


def _variables(layout, start: int, end: int) -> np.ndarray:
    """Numbers of the variables of slices start ≤ t < end; those without rows come with the last."""
    found = []
    for node, first in enumerate(layout.firsts.tolist()):
        if node not in layout.sliced.singles:
            found.append(first + np.arange(start, end))
        elif end == layout.sliced.rows:
            found.append(np.array([first]))
    return np.concatenate(found)


def _ranked(
    run, b: int, numbers: tuple[int, int], score: float, k: int
) -> Iterator[tuple[float, np.ndarray]]:
    """(score, states of all variables) of one part's assignments, best first."""
    layout, sweep = run.layout, run.sweep
    first, last = numbers
    states = np.zeros(len(layout.flat), np.int64)
    sweep.complete(states, layout.firsts, b, first, last)
    choices = _choices(layout, first, last)
    heap: list = []
    serial, given_away = 0, 0.0
    while score - given_away > -np.inf:
        yield score - given_away, states
        k -= 1
        if k == 0:
            return
        losses = sweep.losses(states, layout.firsts, b, first, last)
        tail = choices[len(choices) - len(losses) :]
        best = np.argsort(losses, kind="stable")[:k]
        for at in best[losses[best] < np.inf].tolist():
            heapq.heappush(heap, (given_away + float(losses[at]), serial, *tail[at].tolist(), states))
            serial += 1
        if not heap:
            return
        given_away, _, number, chosen, parent = heapq.heappop(heap)
        states, last = parent.copy(), number
        sweep.settle(states, layout.firsts, number, chosen)
        sweep.complete(states, layout.firsts, b, first, last)


def _choices(layout, first: int, last: int) -> np.ndarray:
    """(number of the clique, state of its residual) of every loss that a sweep reports, in its order."""
    p, s = layout.programs, layout.slices
    numbers = np.arange(last - 1, first - 1, -1)
    t = np.searchsorted(s.number, numbers, side="right") - 1
    clique = p.cliques[s.program[t]] + numbers - s.number[t]
    numbers, clique = numbers[p.decided[clique] > 0], clique[p.decided[clique] > 0]
    sizes = p.residual[clique]
    begins = np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.stack([np.repeat(numbers, sizes), np.arange(sizes.sum()) - begins], axis=1)
