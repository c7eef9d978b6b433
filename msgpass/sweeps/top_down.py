"""The order in which a filter that linearises on its way meets Gaussian variables: sources before targets.

Variables lie in levels by their distance from the first of their chain. All variables of a level (the steps
of many sequences at one time) are filtered together. Needs no values; made once a plan.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.nodes import Sequence
from msgpass.sweeps.rows import instance_numbers

Chosen = list[tuple[int, np.ndarray]]  # (number of the relation, its instances)


class Level(NamedTuple):
    """What happens at one distance, in this order."""

    starts: Chosen  # priors of variables that follow from no other
    exact: Chosen  # linear evidence
    noisy: Chosen  # noisy steps to observations: linearised together, then taken in
    onward: Chosen  # relations to the next level


class Order(NamedTuple):
    """Levels, and the variables that no prior starts, by name and row."""

    levels: list[Level]
    loose: list[str]


def top_down(relations, nodes) -> Order:
    """See the module; ``nodes`` are the block's graph nodes by name."""
    offsets, total = {}, 0
    for name, node in nodes.items():
        offsets[name] = total
        total += node.clock.total if isinstance(node, Sequence) else 1
    ids = lambda family, arg: None if arg is None else offsets[arg.name] + instance_numbers(family, arg)  # noqa: E731
    sources: list[Any] = [ids(r.family, r.source) for r in relations]
    targets: list[Any] = [ids(r.family, r.target) for r in relations]
    parent = np.full(total, -1)
    for relation, source, target in zip(relations, sources, targets, strict=True):
        if source is None or target is None:
            continue
        if len(np.unique(target)) < len(target) or (parent[target] >= 0).any():
            raise UnsupportedError(
                f"two relations lead to one row of {relation.target.name!r} (one is "
                f"{relation.family.name!r}); "
                "a variable beside noisy steps follows from one source: join the sources into one state"
            )
        parent[target] = source
    depth = _depths(parent)
    started: Any = parent >= 0
    starts: list[Any] = []
    for k, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if source is not None or relations[k].canonical:
            continue
        first: Any = np.zeros(len(target), bool)
        first[np.unique(target, return_index=True)[1]] = True
        first &= ~started[target]
        started[target] = True
        starts.append((k, np.flatnonzero(first), np.flatnonzero(~first), depth[target]))
    levels = [Level([], [], [], []) for _ in range(int(depth.max(initial=0)) + 1)]
    for k, first, rest, at in starts:
        _spread(levels, "starts", k, first, at[first])
        _spread(levels, "noisy" if relations[k].noisy else "exact", k, rest, at[rest])
    for k, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if source is not None:
            kind = "onward" if target is not None else "noisy" if relations[k].noisy else "exact"
            _spread(levels, kind, k, np.arange(len(source)), depth[source])
    return Order(levels, [_called(i, offsets, nodes) for i in np.flatnonzero(~started)[:1]])


def _depths(parent: np.ndarray) -> np.ndarray:
    """Distance from each variable's first ancestor, by pointer doubling."""
    up = np.where(parent < 0, np.arange(len(parent)), parent)
    depth = (parent >= 0).astype(np.int64)
    for _ in range(len(parent).bit_length() + 1):
        if np.array_equal(up, up[up]):
            return depth
        depth, up = depth + depth[up], up[up]
    raise UnsupportedError("noisy steps form a loop: following sources back leads to where it began")


def _spread(levels, kind: str, k: int, chosen: np.ndarray, at: np.ndarray) -> None:
    if not len(chosen):
        return
    order = np.argsort(at, kind="stable")
    found, starts = np.unique(at[order], return_index=True)
    for level, part in zip(found, np.split(chosen[order], starts[1:]), strict=True):
        getattr(levels[level], kind).append((k, part))


def _called(i: int, offsets, nodes) -> str:
    name = [n for n, start in offsets.items() if start <= i][-1]
    return f"{name}[{i - offsets[name]}]" if isinstance(nodes[name], Sequence) else name
