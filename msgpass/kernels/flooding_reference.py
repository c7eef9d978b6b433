"""Loopy belief propagation in NumPy, for any reduction over states: the text to read, and the oracle of the
compiled sweeps.

Messages from factors to variables are log tables with the best state at 0. With c_a the counting number of a
factor (1 is plain belief propagation) and ⊕ the reduction (log-sum-exp, or max),

    B_i   = local_i + Σ_{a∋i} c_a m_{a→i}                      what is known about a variable
    q_i→a = B_i − m_{a→i}                                      what it says to a factor
    m_a→i = ⊕_{x_a without x_i} ( θ_a / c_a + Σ_{j≠i} q_{j→a} )

Yedidia, Freeman and Weiss 2005; Wainwright, Jaakkola and Willsky 2005 and Wiegerinck and Heskes 2003 for
c_a ≠ 1. An exact zero is −∞: such entries are counted beside the finite sum, so that one can be taken out of
it again.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Factors:
    """Factors of one shape.

    Attributes
    ----------
    scopes : int array (n, arity)
        Variables of each.
    states : tuple of int
        States of these variables.
    logs : array (m, *states), m = 1 where all share one table, else n
        θ_a / c_a.
    counting : array (n,)
        c_a.
    structured : what computes messages without a table, in place of ``logs``
        ``log_messages(incoming)`` and ``log_partition(incoming)`` of (n, arity, K) log messages.
    """

    scopes: np.ndarray
    states: tuple[int, ...]
    logs: Any
    counting: np.ndarray
    structured: Any = None

    def __len__(self) -> int:
        return len(self.scopes)

    @property
    def columns(self) -> list[slice]:
        """Where each variable's states lie in a row of messages."""
        ends = np.cumsum(self.states)
        return [slice(int(e) - k, int(e)) for e, k in zip(ends, self.states, strict=True)]

    @property
    def width(self) -> int:
        """Numbers in the messages of one factor."""
        return int(sum(self.states))

    def places(self, where: np.ndarray) -> np.ndarray:
        """Place of every number of the messages in the beliefs laid end to end, (n, width)."""
        parts = [where[v][:, None] + np.arange(k) for v, k in zip(self.scopes.T, self.states, strict=True)]
        return np.concatenate(parts, axis=1)


@dataclass(frozen=True, eq=False)
class Problem:
    """Variables with local evidence, and factors in groups of one shape.

    Attributes
    ----------
    where : int array (variables + 1,)
        Where each variable's states start, all laid end to end.
    local : array
        What observed data and tables over one variable say; −∞ where a state is impossible.
    groups : tuple of Factors
    """

    where: np.ndarray
    local: np.ndarray
    groups: tuple[Factors, ...]

    def unit(self) -> list[np.ndarray]:
        """Messages that say nothing, an array (n, width) for each group."""
        return [np.zeros((len(g), g.width)) for g in self.groups]

    @property
    def messages(self) -> int:
        """Messages of one sweep."""
        return sum(g.scopes.size for g in self.groups)


def split(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(finite part with 0 for −∞, 1 where it is −∞)."""
    gone = values == -np.inf
    return np.where(gone, 0.0, values), gone


def beliefs(problem: Problem, messages, places=None) -> tuple[np.ndarray, np.ndarray]:
    """(finite sums B, how many terms of each are −∞)."""
    total, dead = split(problem.local)
    dead = dead.astype(np.float64)
    size = len(total)
    places = [g.places(problem.where) for g in problem.groups] if places is None else places
    for group, own, at in zip(problem.groups, messages, places, strict=True):
        finite, gone = split(own)
        total = total + np.bincount(at.ravel(), (group.counting[:, None] * finite).ravel(), size)
        if gone.any():
            dead += np.bincount(at.ravel(), gone.ravel(), size)
    return total, dead


def incoming(total, dead, own: np.ndarray, at: np.ndarray) -> np.ndarray:
    """What variables say to factors: all but the factor's own message.

    Where c_a < 1 a share of the own message stays; where that is −∞ it is left out, which no other message of
    the factor can tell.
    """
    finite, gone = split(own)
    return np.where(dead[at] - gone > 0, -np.inf, total[at] - finite)


def spread(message: np.ndarray, axis: int, axes: int) -> np.ndarray:
    """(n, K) on one of the axes behind the first."""
    return message.reshape(len(message), *(message.shape[1] if a == axis else 1 for a in range(axes)))


def crossed(group: Factors, said: np.ndarray, reduce, chosen=slice(None)) -> np.ndarray:
    """New messages of factors from what their variables say, with the best state at 0."""
    if group.structured is not None:
        shape = (len(said), len(group.states), group.states[0])
        return topped(group.structured.log_messages(said.reshape(shape)).reshape(said.shape), group.columns)
    axes, columns = len(group.states), group.columns
    logs = group.logs if len(group.logs) == 1 else group.logs[chosen]
    out = np.empty_like(said)
    for p, own in enumerate(columns):
        joint = logs
        for q, other in enumerate(columns):
            if q != p:
                joint = joint + spread(said[:, other], q, axes)
        found = reduce(joint, tuple(1 + q for q in range(axes) if q != p)) if axes > 1 else joint
        out[:, own] = found
    return topped(out, columns)


def topped(messages: np.ndarray, columns) -> np.ndarray:
    """Each message with its best state at 0; all −∞ as it is."""
    for own in columns:
        top = messages[:, own].max(axis=1, keepdims=True)
        messages[:, own] -= np.where(top > -np.inf, top, 0.0)
    return messages


def damped(new: np.ndarray, old: np.ndarray, damping: float, columns) -> np.ndarray:
    """damping · old + (1 − damping) · new, in logs; what is impossible is so at once."""
    if not damping:
        return new
    alive = (new > -np.inf) & (old > -np.inf)
    mixed = np.full_like(new, -np.inf)
    np.copyto(mixed, damping * split(old)[0] + (1 - damping) * split(new)[0], where=alive)
    return topped(mixed, columns)


def moved(new: np.ndarray, old: np.ndarray, columns) -> np.ndarray:
    """By how much each message changed, (n, arity): largest less smallest change of a state, which no
    constant moves; infinite where a state has become impossible."""
    change, spans = split(new)[0] - split(old)[0], []
    alive = new > -np.inf
    for own in columns:
        high = np.where(alive[:, own], change[:, own], -np.inf).max(axis=1)
        low = np.where(alive[:, own], change[:, own], np.inf).min(axis=1)
        fresh = (~alive[:, own] & (old[:, own] > -np.inf)).any(axis=1)
        spans.append(np.where(fresh, np.inf, np.where(high >= low, high - np.where(high >= low, low, 0), 0)))
    return np.stack(spans, axis=1)


def contradictory(messages: np.ndarray, columns) -> bool:
    """A message leaves no state."""
    return any(bool((messages[:, own].max(axis=1) == -np.inf).any()) for own in columns if len(messages))


@dataclass
class Progress:
    """How a run went: the largest change in each iteration, messages computed, whether it has settled, and
    whether a message left no state (the evidence is impossible)."""

    history: np.ndarray
    updates: int
    converged: bool
    impossible: bool = False


def changes(problem: Problem, messages, reduce) -> list[np.ndarray]:
    """By how much each message would change in one more sweep over all, (n, arity) for each group."""
    places = [g.places(problem.where) for g in problem.groups]
    total, dead = beliefs(problem, messages, places)
    found = []
    for group, own, at in zip(problem.groups, messages, places, strict=True):
        new = crossed(group, incoming(total, dead, own, at), reduce)
        found.append(moved(new, own, group.columns))
    return found


def run(problem: Problem, order: str, damping: float, tol: float, max_iter: int, start, reduce):
    """Pass messages until none changes by more than ``tol``.

    Parameters
    ----------
    problem : Problem
    order : "flood", "sequential" or "residual"
    damping, tol : float
    max_iter : int
        Sweeps; under "residual" as many messages as so many sweeps have.
    start : list of arrays (n, width)
        Messages to begin with; not changed.
    reduce : callable
        ⊕ over axes.

    Returns
    -------
    messages : list of arrays, progress : Progress
    """
    state = _State(problem, [m.copy() for m in start], damping, reduce)
    if order == "residual":
        return state.messages, _residual(state, tol, max_iter)
    history: list[float] = []
    for sweep in range(max_iter):
        history.append(state.flood() if order == "flood" else state.sequential(sweep % 2 == 1))
        if state.impossible or history[-1] <= tol:
            break
    updates = problem.messages * len(history)
    return state.messages, Progress(np.array(history), updates, history[-1] <= tol, state.impossible)


class _State:
    """Messages as they are now."""

    def __init__(self, problem: Problem, messages, damping: float, reduce):
        self.problem, self.messages, self.damping, self.reduce = problem, messages, damping, reduce
        self.places = [g.places(problem.where) for g in problem.groups]
        self.impossible = False

    def flood(self) -> float:
        """All messages from those of the sweep before."""
        total, dead = beliefs(self.problem, self.messages, self.places)
        return max((self.update(g, slice(None), total, dead) for g in range(len(self.places))), default=0.0)

    def sequential(self, backward: bool) -> float:
        """One factor after another, every other sweep in the opposite order; structured ones of a family at
        once."""
        largest = 0.0
        units = [u for g in range(len(self.places)) for u in self.units(g)]
        for g, chosen in reversed(units) if backward else units:
            total, dead = beliefs(self.problem, self.messages, self.places)
            largest = max(largest, self.update(g, chosen, total, dead))
        return largest

    def units(self, g: int):
        """Factors of a group, one by one where they have tables."""
        group = self.problem.groups[g]
        rows = [slice(None)] if group.structured is not None else [slice(j, j + 1) for j in range(len(group))]
        return [(g, chosen) for chosen in rows]

    def proposed(self, g: int, chosen, total, dead):
        """(new messages, by how much they change)."""
        group, own = self.problem.groups[g], self.messages[g][chosen]
        said = incoming(total, dead, own, self.places[g][chosen])
        new = crossed(group, said, self.reduce, chosen)
        self.impossible |= contradictory(new, group.columns)
        return damped(new, own, self.damping, group.columns), moved(new, own, group.columns)

    def update(self, g: int, chosen, total, dead) -> float:
        """Replace the messages of some factors of a group."""
        new, change = self.proposed(g, chosen, total, dead)
        self.messages[g][chosen] = new
        return float(change.max(initial=0.0))


def _residual(state: _State, tol: float, max_iter: int) -> Progress:
    """The message that would change most first (Elidan, McGraw and Koller 2006)."""
    problem = state.problem
    touching: dict[int, list[tuple[int, int]]] = {}
    for g, group in enumerate(problem.groups):
        for j, scope in enumerate(group.scopes.tolist()):
            for v in scope:
                touching.setdefault(v, []).append((g, j))
    pending: dict[tuple[int, int, int], tuple[float, np.ndarray]] = {}
    heap: list[tuple[float, tuple[int, int, int]]] = []

    def look(g: int, j: int, total, dead) -> None:
        new, change = state.proposed(g, slice(j, j + 1), total, dead)
        for p, own in enumerate(problem.groups[g].columns):
            pending[g, j, p] = float(change[0, p]), new[0, own]
            heapq.heappush(heap, (-float(change[0, p]), (g, j, p)))

    total, dead = beliefs(problem, state.messages, state.places)
    for g, group in enumerate(problem.groups):
        for j in range(len(group)):
            look(g, j, total, dead)
    history, updates, most = [], 0, max_iter * problem.messages
    while True:
        while heap and -heap[0][0] != pending[heap[0][1]][0]:
            heapq.heappop(heap)
        largest = -heap[0][0] if heap else 0.0
        done = largest <= tol or state.impossible or updates >= most
        if done or updates % problem.messages == 0:
            history.append(largest)
        if done:
            return Progress(np.array(history), updates, largest <= tol, state.impossible)
        g, j, p = heapq.heappop(heap)[1]
        state.messages[g][j, problem.groups[g].columns[p]] = pending[g, j, p][1]
        updates += 1
        total, dead = beliefs(problem, state.messages, state.places)
        for other in dict.fromkeys([*touching[int(problem.groups[g].scopes[j, p])], (g, j)]):
            look(*other, total, dead)
