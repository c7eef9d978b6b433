"""One round of flooding over tables as a function of arrays, and its VJP.

Log messages from factors to variables lie end to end in one vector; log tables come with their largest entry
0. With n what a variable hears from its other factors,

    l'(x_v) = log Σ_{x without x_v} exp(table(x) + Σ_{u≠v} n_u(x_u)),        l ← (1 − d) l' + d l − log Σ exp

for damping d. A step's output is finite, and log messages are at most 0; so 1 (:data:`ZERO`) stands for −∞,
in messages and in tables. What is impossible stays so, and says nothing to gradients. Within one factor,
weights below :data:`TINY` of the largest count as zero.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import ImpossibleEvidenceError

ZERO = 1.0
"""Stands for the log of an exact zero, among numbers that are at most 0."""

TINY = 1e-290

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
        self.messages = [e for own in self.edges if len(own) > 1 for e in own]
        self.cells = np.concatenate([np.zeros(0, np.int64), *(e.cells.ravel() for e in self.messages)])

    @property
    def start(self) -> np.ndarray:
        """Messages that say nothing."""
        parts = [np.full(e.cells.size, -np.log(e.cells.shape[1])) for e in self.messages]
        return np.concatenate([np.zeros(0), *parts])

    # -- a round -----------------------------------------------------------------------------------------

    def f(self, messages: np.ndarray, *tables: np.ndarray) -> np.ndarray:
        """Messages of the next round."""
        return self._damped(self._said(self.cavity(messages, tables), tables)[0], messages)

    def vjp(self, inputs, cotangent: np.ndarray):
        """Cotangents of messages and tables."""
        messages, *tables = inputs
        heard = self.cavity(messages, tables)
        new, sums = self._said(heard, tables)
        at_new, at_messages = self._damped_back(new, messages, cotangent)
        at_heard = np.zeros_like(messages)
        at_tables: Arrays = [np.zeros_like(t) for t in tables]
        for k, own in enumerate(self.edges):
            if len(own) < 2:
                continue
            w, ins = weights(tables[k]), self.ins(own, heard)
            at_w = np.zeros_like(w)
            for a, e in enumerate(own):
                said, arrived = sums[e.place].reshape(e.cells.shape), at_new[e.place].reshape(e.cells.shape)
                total = reduced(np.add, said)
                arrived = np.where(said > 0, arrived / np.where(said > 0, said, 1.0), 0.0)
                arrived = arrived - reduced(np.add, arrived * said) / total
                terms = [arrived if b == a else n for b, n in enumerate(ins)]
                at_w += onto(w, terms)
                for b, other in enumerate(own):
                    if b != a:
                        at_heard[other.place] += towards(w, terms, b).ravel()
            at_tables[k] += w * at_w
        at_logs, at_sums = self.cavity_back(heard, at_heard)
        self.local_back(at_sums, tables, at_tables)
        return (at_messages + np.where(messages > 0, 0.0, at_logs), *at_tables)

    def ins(self, own: list[Edges], heard: np.ndarray) -> Arrays:
        """What a family hears from each of its arguments."""
        return [heard[e.place].reshape(e.cells.shape) for e in own]

    def _said(self, heard: np.ndarray, tables) -> tuple[np.ndarray, np.ndarray]:
        """(normalised log messages, their sums before that)."""
        new, sums = np.empty_like(heard), np.empty_like(heard)
        for k, own in enumerate(self.edges):
            if len(own) < 2:
                continue
            w, ins = weights(tables[k]), self.ins(own, heard)
            for a, e in enumerate(own):
                said = towards(w, ins, a)
                said[said < TINY] = 0.0
                total = reduced(np.add, said)
                if (total <= 0).any():
                    self.impossible(self.variable(e, total))
                sums[e.place] = said.ravel()
                new[e.place] = marked(said / total).ravel()
        return new, sums

    # -- what variables hear -----------------------------------------------------------------------------

    def sums(self, messages: np.ndarray, tables) -> tuple[np.ndarray, np.ndarray]:
        """Of every state of every variable: the sum of the finite logs that arrive, and how many are −∞."""
        n = int(self.where[-1])
        logs, gone = parted(messages)
        sums = np.bincount(self.cells, logs, n).astype(float)  # of no message whole numbers come back
        zeros = np.bincount(self.cells, gone, n).astype(float)
        for table, own in zip(tables, self.edges, strict=True):
            if len(own) == 1:
                logs, gone = (np.broadcast_to(part, own[0].cells.shape).ravel() for part in parted(table))
                sums += np.bincount(own[0].cells.ravel(), logs, n)
                zeros += np.bincount(own[0].cells.ravel(), gone, n)
        return sums, zeros

    def cavity(self, messages: np.ndarray, tables) -> np.ndarray:
        """What each variable tells each factor, as weights with the largest 1."""
        sums, zeros = self.sums(messages, tables)
        logs, gone = parted(messages)
        rest = sums[self.cells] - logs
        rest[zeros[self.cells] - gone > 0.5] = -np.inf
        heard = np.empty_like(messages)
        for e in self.messages:
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

    def local_back(self, at_sums: np.ndarray, tables, at_tables: Arrays) -> None:
        """What reaches tables over one variable."""
        for k, own in enumerate(self.edges):
            if len(own) == 1:
                arrived = np.where(tables[k] > 0, 0.0, at_sums[own[0].cells])
                shared = len(tables[k]) == 1 and len(arrived) != 1
                at_tables[k] += arrived.sum(axis=0, keepdims=True) if shared else arrived

    # -- damping -----------------------------------------------------------------------------------------

    def _damped(self, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        if not self.damping:
            return new
        mixed = self._mixed(new, old)
        totals = self._totals(np.where(new > 0, 0.0, np.exp(mixed)))
        return np.where(new > 0, ZERO, np.minimum(mixed - np.log(totals), 0.0))

    def _mixed(self, new: np.ndarray, old: np.ndarray) -> np.ndarray:
        # What has become impossible stays so, and what was impossible has been so ever since.
        return (1 - self.damping) * new + self.damping * np.where(old > 0, new, old)

    def _damped_back(self, new, old, cotangent) -> tuple[np.ndarray, np.ndarray]:
        """Cotangents of the undamped messages and of the old ones."""
        arrived = np.where(new > 0, 0.0, cotangent)
        if not self.damping:
            return arrived, np.zeros_like(old)
        damped = self._damped(new, old)
        arrived = arrived - np.where(new > 0, 0.0, np.exp(damped)) * self._totals(arrived)
        at_old = np.where(old > 0, 0.0, self.damping * arrived)
        return arrived - at_old, at_old

    def _totals(self, entries: np.ndarray) -> np.ndarray:
        """Sum of the message that each entry belongs to."""
        totals = np.empty_like(entries)
        for e in self.messages:
            part = entries[e.place].reshape(e.cells.shape)
            totals[e.place] = np.broadcast_to(reduced(np.add, part), part.shape).ravel()
        return totals

    # -- errors ------------------------------------------------------------------------------------------

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


def marked(p: np.ndarray) -> np.ndarray:
    """log p, with :data:`ZERO` where p is zero."""
    return np.where(p > 0, np.log(np.where(p > 0, p, 1.0)), ZERO)


def parted(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(logs, or 0 for that of zero; 1 for that of zero)."""
    gone = logs > 0
    return np.where(gone, 0.0, logs), gone.astype(float)


def weights(logs: np.ndarray) -> np.ndarray:
    """exp."""
    return np.where(logs > 0, 0.0, np.exp(np.minimum(logs, 0.0)))


def reduced(ufunc: np.ufunc, rows: np.ndarray) -> np.ndarray:
    """Over the states, axis 1, which stays: column by column where they are few, for NumPy reduces short rows
    one after another (ten times slower with two states)."""
    if rows.shape[1] > 8:
        return ufunc.reduce(rows, axis=1, keepdims=True)
    found = rows[:, :1]
    for k in range(1, rows.shape[1]):
        found = ufunc(found, rows[:, k : k + 1])
    return found


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
