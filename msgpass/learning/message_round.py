"""One round of flooding over tables as a function of arrays, and its VJP.

Messages from factors to variables are probabilities p, all end to end in one vector; tables come as
weights w, each divided by its largest entry. With n the product of what a variable hears from its other
factors,

    p'(x_v) ∝ Σ_{x without x_v} w(x) Π_{u≠v} n_u(x_u),        p ← p'^(1−d) p^d / sum

with damping d. Probabilities, because a hard zero is then a number: what is impossible stays so in every
round, and says nothing to gradients. Scales do not matter, for every message sums to one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import ImpossibleEvidenceError

Arrays = list[np.ndarray]


class Edges(NamedTuple):
    """Messages of one family to one of its arguments: their entries, (instances, states), among all
    variables' states and among all messages'."""

    cells: np.ndarray
    place: slice


class Round:
    """One round over given scopes.

    Parameters
    ----------
    states : array of int, (variables,)
    scopes : tuple of arrays of int, (instances, arity)
        Of each family of tables.
    damping : float
        Share of the old log message in the new one.
    label : callable
        Number of a variable → how it is called.
    """

    def __init__(self, states: np.ndarray, scopes, damping: float = 0.0, label=str):
        self.where = np.concatenate([[0], np.cumsum(states)])
        self.damping, self.label = damping, label
        self.edges: list[list[Edges]] = []
        self.size = 0
        for scope in scopes:
            own = []
            for variables in scope.T:
                k = int(states[variables[0]]) if len(variables) else 1
                cells = self.where[variables][:, None] + np.arange(k)
                own.append(Edges(cells, slice(self.size, self.size + cells.size)))
                if scope.shape[1] > 1:
                    self.size += cells.size
            self.edges.append(own)
        parts = [e.cells.ravel() for own in self.edges if len(own) > 1 for e in own]
        self.cells = np.concatenate([np.zeros(0, np.int64), *parts])

    @property
    def start(self) -> np.ndarray:
        """Messages that say nothing."""
        parts = [
            np.full(e.cells.size, 1 / e.cells.shape[1]) for own in self.edges if len(own) > 1 for e in own
        ]
        return np.concatenate([np.zeros(0), *parts])

    # -- a round -----------------------------------------------------------------------------------------

    def f(self, messages: np.ndarray, *weights: np.ndarray) -> np.ndarray:
        """Messages of the next round."""
        heard = self.cavity(messages, weights)
        new = np.empty_like(messages)
        for k, own in enumerate(self.edges):
            if len(own) < 2:
                continue
            ins = [heard[e.place].reshape(e.cells.shape) for e in own]
            for a, e in enumerate(own):
                said = towards(weights[k], ins, a)
                new[e.place] = self._normalised(said, e).ravel()
        return self._damped(new, messages)

    def vjp(self, inputs, cotangent: np.ndarray):
        """Cotangents of messages and weights."""
        messages, *weights = inputs
        heard = self.cavity(messages, weights)
        at_new, at_messages = self._damped_back(messages, weights, heard, cotangent)
        at_heard = np.zeros_like(messages)
        at_weights: Arrays = [np.zeros_like(w) for w in weights]
        for k, own in enumerate(self.edges):
            if len(own) < 2:
                continue
            ins = [heard[e.place].reshape(e.cells.shape) for e in own]
            for a, e in enumerate(own):
                said = towards(weights[k], ins, a)
                total = reduced(np.add, said)
                arrived = at_new[e.place].reshape(said.shape)
                arrived = (arrived - reduced(np.add, arrived * said) / total) / total
                terms = [arrived if b == a else n for b, n in enumerate(ins)]
                at_weights[k] += onto(weights[k], terms)
                for b, other in enumerate(own):
                    if b != a:
                        at_heard[other.place] += towards(weights[k], terms, b).ravel()
        at_logs, at_sums = self.cavity_back(heard, at_heard)
        self.local_back(at_sums, weights, at_weights)
        with np.errstate(divide="ignore", invalid="ignore"):
            at_messages += np.where(messages > 0, at_logs / messages, 0.0)
        return (at_messages, *at_weights)

    # -- what variables hear -----------------------------------------------------------------------------

    def sums(self, messages: np.ndarray, weights) -> tuple[np.ndarray, np.ndarray]:
        """Of every state of every variable: the sum of the finite logs that arrive, and how many are −∞."""
        n = int(self.where[-1])
        logs, gone = _logs(messages)
        sums = np.bincount(self.cells, logs, n).astype(float)  # of no message whole numbers come back
        zeros = np.bincount(self.cells, gone, n).astype(float)
        for w, own in zip(weights, self.edges, strict=True):
            if len(own) == 1:
                logs, gone = (np.broadcast_to(part, own[0].cells.shape).ravel() for part in _logs(w))
                sums += np.bincount(own[0].cells.ravel(), logs, n)
                zeros += np.bincount(own[0].cells.ravel(), gone, n)
        return sums, zeros

    def cavity(self, messages: np.ndarray, weights) -> np.ndarray:
        """What each variable tells each factor, largest entry 1."""
        sums, zeros = self.sums(messages, weights)
        logs, gone = _logs(messages)
        rest = sums[self.cells] - logs
        rest[zeros[self.cells] - gone > 0.5] = -np.inf
        heard = np.empty_like(messages)
        for own in self.edges:
            for e in own if len(own) > 1 else ():
                part = rest[e.place].reshape(e.cells.shape)
                top = reduced(np.maximum, part)
                if (top == -np.inf).any():
                    self.impossible(self.variable(e, top))
                heard[e.place] = np.exp(part - top).ravel()
        return heard

    def cavity_back(self, heard: np.ndarray, at_heard: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of log messages and of the sums at variables."""
        at_rest = heard * at_heard
        at_sums = np.bincount(self.cells, at_rest, int(self.where[-1]))
        return at_sums[self.cells] - at_rest, at_sums

    def local_back(self, at_sums: np.ndarray, weights, at_weights: Arrays) -> None:
        """What reaches tables over one variable."""
        for k, own in enumerate(self.edges):
            if len(own) == 1:
                arrived = at_sums[own[0].cells]
                with np.errstate(divide="ignore", invalid="ignore"):
                    arrived = np.where(weights[k] > 0, arrived / weights[k], 0.0)
                at_weights[k] += _like(arrived, weights[k])

    # -- scale and damping -------------------------------------------------------------------------------

    def _normalised(self, said: np.ndarray, e: Edges) -> np.ndarray:
        total = reduced(np.add, said)
        if (total <= 0).any():
            self.impossible(self.variable(e, total))
        return said / total

    def variable(self, e: Edges, per_row: np.ndarray) -> int:
        """Number of the variable with the smallest entry."""
        cell = e.cells[int(np.argmin(per_row.ravel())), 0]
        return int(np.searchsorted(self.where, cell, side="right")) - 1

    def impossible(self, v: int):
        """Raise, and name the variable."""
        raise ImpossibleEvidenceError(
            f"no state of {self.label(v)} is possible: the evidence has probability zero, so that there are "
            "no beliefs; look for −∞ in the tables"
        )

    def _damped(self, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        if not self.damping:
            return new
        mixed = new ** (1 - self.damping) * old**self.damping
        return mixed / self._totals(mixed)

    def _damped_back(self, old, weights, heard, cotangent) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of the undamped messages and of the old ones."""
        if not self.damping:
            return cotangent, np.zeros_like(old)
        new = np.empty_like(old)
        for k, own in enumerate(self.edges):
            ins = [heard[e.place].reshape(e.cells.shape) for e in own] if len(own) > 1 else []
            for a, e in enumerate(own if ins else ()):
                new[e.place] = self._normalised(towards(weights[k], ins, a), e).ravel()
        mixed = self._damped(new, old)
        at_log = mixed * (cotangent - self._totals(mixed * cotangent))
        with np.errstate(divide="ignore", invalid="ignore"):
            at_new = np.where(new > 0, (1 - self.damping) * at_log / new, 0.0)
            return at_new, np.where(old > 0, self.damping * at_log / old, 0.0)

    def _totals(self, messages: np.ndarray) -> np.ndarray:
        """Sum of the message that each entry belongs to."""
        totals = np.empty_like(messages)
        for own in self.edges:
            for e in own if len(own) > 1 else ():
                part = messages[e.place].reshape(e.cells.shape)
                totals[e.place] = np.broadcast_to(reduced(np.add, part), part.shape).ravel()
        return totals


def reduced(ufunc: np.ufunc, rows: np.ndarray) -> np.ndarray:
    """Over the states, axis 1, which stays: column by column where they are few, for NumPy reduces short rows
    one after another (ten times slower with two states)."""
    if rows.shape[1] > 8:
        return ufunc.reduce(rows, axis=1, keepdims=True)
    found = rows[:, :1]
    for k in range(1, rows.shape[1]):
        found = ufunc(found, rows[:, k : k + 1])
    return found


def _logs(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log p, or 0 where p is zero; 1 where p is zero)."""
    gone = p <= 0
    return np.log(np.where(gone, 1.0, p)), gone.astype(float)


def towards(w: np.ndarray, ins: Arrays, a: int) -> np.ndarray:
    """Σ over all variables but a of w Π_{b≠a} ins[b], (instances, states of a)."""
    arity = len(ins)
    if arity == 2:
        other = ins[1 - a]
        if len(w) == 1:
            return other @ (w[0].T if a == 0 else w[0])
        return np.einsum("nij,nj->ni" if a == 0 else "nij,ni->nj", w, other)
    letters = "abcdefghijklmopqrstuvwxyz"[:arity]
    shared = len(w) == 1
    operands, text = [w[0] if shared else w], ["" if shared else "n"]
    text[0] += letters
    for b, n in enumerate(ins):
        if b != a:
            operands.append(n)
            text.append("n" + letters[b])
    return np.einsum(",".join(text) + "->n" + letters[a], *operands, optimize="greedy")


def onto(w: np.ndarray, terms: Arrays) -> np.ndarray:
    """Outer products of one vector a variable, shaped like w (summed over instances that share it)."""
    letters = "abcdefghijklmopqrstuvwxyz"[: len(terms)]
    out = letters if len(w) == 1 else "n" + letters
    found = np.einsum(",".join("n" + c for c in letters) + "->" + out, *terms, optimize="greedy")
    return found.reshape(w.shape)


def _like(array: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Summed over instances where they share w."""
    return array.sum(axis=0, keepdims=True) if len(w) == 1 and len(array) != 1 else array
