"""Reading a flat graph's run as if it were sliced: rows ``z[0]``, ``z[1]``, … of one sequence, stacked over
time.

At z[t] the factors split by what else they touch: one that reaches a row after t speaks for the later slices,
every other for the slices up to and including t. Their messages, added up, are the backward and the forward
message of the sliced graph. Where a recurrence runs against the clock, later means later in its sweep.
"""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np

from msgpass.messages import Messages
from msgpass.nodes import Parameter

_ROW = re.compile(r"(.+)\[(\d+)\]")


def row_of(name: str) -> tuple[str, int] | None:
    """("z", 3) of "z[3]"; None of any other name."""
    found = _ROW.fullmatch(name)
    return (found[1], int(found[2])) if found else None


def _time(name: str) -> int:
    row = row_of(name)
    return row[1] if row else -1


def rows(m: Messages, name: str) -> list[str]:
    """Names of the rows of a sequence in a flat graph, in the order of time; empty if there are none."""
    found = sorted((row[1], n) for n in m.graph.nodes if (row := row_of(n)) and row[0] == name)
    return [n for _, n in found]


def readings(m: Messages, names: list[str]) -> dict:
    """Forward and backward messages, beliefs, gradients and parameter messages of the rows ``names``, by
    kind."""
    first = m.graph.nodes[names[0]]
    if isinstance(first, Parameter):
        return {"parameters": np.stack([m.parameters[n] for n in names])}
    found = {}
    if names[0] in m.belief:
        found["belief"] = _stack([m.belief[n] for n in names])
    if names[0] in m.gradient:
        found["gradient"] = np.stack([m.gradient[n] for n in names])
    if names[0] in m.assignment or "belief" in found or first.name not in _given(m):
        found |= _messages(m, names)
    return found


def _given(m: Messages) -> set[str]:
    return {n.name for n in m.graph.nodes.values() if hasattr(n, "value")}


def _messages(m: Messages, names: list[str]) -> dict:
    g = m.graph
    touching: dict[str, list] = {n: [] for n in names}
    for factor in g.factors.values():
        latent = [s.node for s in factor.slices if not hasattr(s.node, "value")]
        last = max((_time(node.name) for node in latent), default=-1)
        for name in {node.name for node in latent} & touching.keys():
            touching[name].append((factor, last))
    real = names[0] in m.gradient
    forward, backward = [], []
    for name in names:
        t = _time(name)
        said: dict[bool, list[np.ndarray]] = {False: [], True: []}
        for factor, last in touching[name]:
            # Along a step's arrow goes a value, and values do not add up: the forward message is the value
            # itself.
            if not (real and any(s.node.name == name for s in factor.out)):
                later = last > t or (real and _feeds_own_sequence(factor, name))
                said[later].append(_canonical(m.message(factor, g[name])))
        zero = _zero(g.nodes[name], said)
        backward.append(sum(said[True], zero))
        forward.append(sum(said[False], zero))
    if real:
        return {"forward": np.stack([_value(m, n) for n in names]), "backward": np.stack(backward)}
    return {
        kind: _gaussian(stack) if stack[0].ndim == 2 else np.stack(stack)
        for kind, stack in (("forward", forward), ("backward", backward))
    }


def _feeds_own_sequence(factor, name: str) -> bool:
    """Computes another row of the row's sequence: a recurrence, which may run against the clock."""
    own = row_of(name)
    made = [row_of(s.node.name) for s in factor.out]
    return own is not None and any(row and row[0] == own[0] and row != own for row in made)


def _value(m: Messages, name: str) -> np.ndarray:
    factor = next(f for f in m.graph.factors.values() if any(s.node.name == name for s in f.out))
    return m.message(factor, m.graph[name])


def _canonical(message) -> np.ndarray:
    """Log tables and cotangents as they are; a Gaussian message as the matrix [h | Λ], which adds."""
    if hasattr(message, "precision"):
        return np.column_stack([message.h.reshape(-1), message.precision.reshape(message.h.size, -1)])
    return np.asarray(message)


def _zero(node, said) -> np.ndarray:
    for parts in said.values():
        if parts:
            return np.zeros_like(parts[0])
    return np.zeros(node.states if node.discrete else node.shape)


def _gaussian(stacked: list[np.ndarray]):
    both = np.stack(stacked)
    return SimpleNamespace(h=both[:, :, 0], precision=both[:, :, 1:])


def _stack(beliefs: list):
    if hasattr(beliefs[0], "cov"):
        return SimpleNamespace(
            mean=np.stack([b.mean for b in beliefs]), cov=np.stack([b.cov for b in beliefs])
        )
    return np.stack(beliefs)
