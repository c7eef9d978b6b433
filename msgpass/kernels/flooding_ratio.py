"""Synchronous loopy propagation over tables of two binary variables: what fits, the arrays, the sweeps.

The formulas are in :mod:`~msgpass.kernels.flooding_ratio_compiled`. Ratios overflow where evidence is strong
(e⁷⁰⁰) or certain; :func:`fits` bounds every product of messages beforehand, from the tables alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from msgpass.kernels.flooding_reference import Problem, Progress
from msgpass.kernels.runtime import aligned_empty

LARGEST = 600.0
"""Bound of the logarithm of any product that is formed."""

MOST_OFFSETS = 8
"""Distances between the two variables of factors up to which these are swept without indices."""


def fits(problem: Problem, start) -> bool:
    """Whether ratios can be used: binary pairs, nothing impossible, no product beyond e⁶⁰⁰."""
    if not problem.groups or any(g.structured is not None or g.states != (2, 2) for g in problem.groups):
        return False
    if any((g.counting != 1).any() for g in problem.groups):
        return False
    binary, known = _local(problem)
    if not np.isfinite(known[binary]).all():
        return False
    sums, largest = np.where(binary, np.abs(known), 0.0), 0.0
    for group, own in zip(problem.groups, start, strict=True):
        t1, t2, t3 = _over_first(group.logs)
        if not (np.isfinite(group.logs).all() and np.isfinite(own).all()):
            return False
        largest = max(largest, np.abs(t1).max(), np.abs(t2).max(), np.abs(t3).max())
        at_i, at_j = np.maximum(np.abs(t2), np.abs(t3 - t1)), np.maximum(np.abs(t1), np.abs(t3 - t2))
        for p, bound in enumerate((at_i, at_j)):
            begun = np.abs(own[:, 2 * p + 1] - own[:, 2 * p])
            sums += np.bincount(group.scopes[:, p], np.maximum(bound, begun), len(sums))
    return bool(sums.max() + largest <= LARGEST)


def run(problem: Problem, damping: float, tol: float, max_iter: int, start, maximise: bool):
    """As :func:`msgpass.kernels.flooding_reference.run` with order "flood"."""
    from msgpass.kernels import flooding_ratio_compiled as compiled

    cross = compiled.cross_max if maximise else compiled.cross_sum
    binary, local = _local(problem)
    messages = [np.empty_like(m, dtype=np.float64) for m in start]
    families, homes = [], []
    for group, own, home in zip(problem.groups, start, messages, strict=True):
        made = _families(group, own, len(local))
        families, homes = families + made, homes + [home] * len(made)
    local = _filled(np.exp(np.where(binary, local, 0.0)), compiled.LANES)
    known = local.copy()
    history: list[float] = []
    for _ in range(max_iter):
        known[:] = local
        for f in families:
            f.multiply(compiled, known)
        worst = max(f.cross(compiled, cross, known, damping) for f in families)
        history.append(2 * math.atanh(min(worst, 1 - 1e-16)))
        if history[-1] <= tol:
            break
    for f, home in zip(families, homes, strict=True):
        f.write(home)
    updates = problem.messages * len(history)
    return messages, Progress(np.array(history), updates, bool(history[-1] <= tol))


@dataclass(eq=False)
class _Pairs:
    """Factors over (i, j), or over (v, v + offset) where ``i`` is None.

    ``rows`` are these factors in their group, ``flipped`` those whose first variable is j, and ``places``
    where they stand in the arrays.
    """

    rows: np.ndarray
    i: np.ndarray | None
    j: np.ndarray | None
    offset: int
    t: list[np.ndarray]
    step: int
    to_i: np.ndarray
    to_j: np.ndarray
    places: slice | np.ndarray
    flipped: np.ndarray | None = None

    def __post_init__(self):
        if self.i is not None:
            self.at_i, self.at_j = _filled(np.ones(len(self.i))), _filled(np.ones(len(self.i)))

    def multiply(self, compiled, known) -> None:
        """Messages into what is known about variables."""
        if self.i is None:
            compiled.products_along(self.offset, self.to_i, self.to_j, known)
        else:
            compiled.products(self.i, self.j, self.to_i, self.to_j, known)

    def cross(self, compiled, cross, known, damping: float) -> float:
        """New messages, and by how much they changed."""
        before = (self.to_i.copy(), self.to_j.copy()) if damping else ()
        if self.i is None:
            at_i, at_j = known, known
        else:
            at_i, at_j = self.at_i, self.at_j
            compiled.gather(self.i, self.j, known, at_i, at_j)
        worst = cross(*self.t, self.step, at_i, at_j, self.offset, self.to_i, self.to_j)
        for old, new in zip(before, (self.to_i, self.to_j), strict=False):
            new[:] = np.exp(damping * np.log(old) + (1 - damping) * np.log(new))
        return worst

    def write(self, messages: np.ndarray) -> None:
        """Log messages with the best state at 0."""
        logs = np.log(self.to_i[self.places]), np.log(self.to_j[self.places])
        if self.flipped is not None:
            first = np.where(self.flipped, logs[1], logs[0])
            logs = first, np.where(self.flipped, logs[0], logs[1])
        for p, own in enumerate(logs):
            top = np.maximum(own, 0.0)
            messages[self.rows, 2 * p], messages[self.rows, 2 * p + 1] = -top, own - top


def _local(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """(which variables are binary, log ratio of what tables over one variable say)."""
    first = problem.where[:-1]
    binary = np.diff(problem.where) == 2
    known = np.zeros(len(first))
    with np.errstate(invalid="ignore"):
        known[binary] = problem.local[first[binary] + 1] - problem.local[first[binary]]
    return binary, known


def _over_first(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Log tables over their first entry."""
    with np.errstate(invalid="ignore"):
        return tuple(logs[:, a, b] - logs[:, 0, 0] for a, b in ((0, 1), (1, 0), (1, 1)))  # type: ignore[return-value]


def _filled(values: np.ndarray, more: int = 0, to: int | None = None) -> np.ndarray:
    """A copy filled up with ones to a multiple of eight."""
    n = len(values) if to is None else to
    made = aligned_empty(-(-n // 8) * 8 + more)
    made[: len(values)], made[len(values) :] = values, 1.0
    return made


def _offsets(group, n: int) -> np.ndarray | None:
    """Distances j − i of its factors, where these are few and nearly every variable has such a factor."""
    distances = np.abs(group.scopes[:, 1] - group.scopes[:, 0])
    if len(np.unique(distances[:: max(1, len(distances) // 512)])) > MOST_OFFSETS:
        return None
    found = np.unique(distances)
    if len(found) > MOST_OFFSETS or found[0] == 0 or (n - found).sum() > 2 * len(distances):
        return None
    return found


def _families(group, own: np.ndarray, n: int) -> list[_Pairs]:
    """A group's factors as they are swept."""
    t = [np.exp(x) for x in _over_first(group.logs)]
    ratios = np.exp(own[:, 1] - own[:, 0]), np.exp(own[:, 3] - own[:, 2])
    offsets, shared = _offsets(group, n), len(group.logs) == 1
    if offsets is None:
        # What fills a vector up has tables of ones, which a shared table would change.
        cut = len(group) // 8 * 8 if shared else len(group)
        found = []
        for rows, alike in ((np.arange(cut), shared), (np.arange(cut, len(group)), False)):
            if len(rows):
                i, j = (
                    np.ascontiguousarray(c[rows], np.int32 if n < 2**31 else np.int64) for c in group.scopes.T
                )
                tables = [
                    np.repeat(x, 8) if alike else _filled(np.broadcast_to(x, len(group))[rows]) for x in t
                ]
                begun = (_filled(r[rows]) for r in ratios)
                found.append(_Pairs(rows, i, j, 0, tables, int(not alike), *begun, slice(0, len(rows))))
        return found
    low, distance = group.scopes.min(axis=1), np.abs(group.scopes[:, 1] - group.scopes[:, 0])
    swapped = group.scopes[:, 0] > group.scopes[:, 1]
    found = []
    for offset in offsets.tolist():
        rows = np.flatnonzero(distance == offset)
        flipped, places, size = swapped[rows], low[rows], n - offset
        own_t = [np.broadcast_to(x, len(group))[rows] for x in t]
        own_t[0], own_t[1] = (np.where(flipped, own_t[1 - k], own_t[k]) for k in (0, 1))
        left = np.where(flipped, ratios[1][rows], ratios[0][rows])
        right = np.where(flipped, ratios[0][rows], ratios[1][rows])
        arrays = []
        for values in (*own_t, left, right):
            made = _filled(np.ones(0), to=size)
            made[places] = values
            arrays.append(made)
        found.append(_Pairs(rows, None, None, offset, arrays[:3], 1, *arrays[3:], places, flipped))
    return found
