"""One slice's program: its cliques in order, what each multiplies, and where its message goes.

The variables that are done are eliminated one after another, each with all that is known of it by then
(*buckets*, Dechter 1999), and what is left is multiplied over the interface. For M chains of K states that
means M cliques of K^(M+1) entries, one chain taking its step at a time, and one of K^M.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from msgpass.sweeps.interface.order import elimination_order
from msgpass.sweeps.interface.slices import SINGLE, Key, Sliced

SHORTEST = 3
"""Entries that a run has at least; below, looking each one up is as fast."""

INCOMING = -1
"""Number of the message that comes from the slice before, among a program's messages."""


@dataclass(frozen=True, eq=False)
class Clique:
    """A step of a program.

    Attributes
    ----------
    residual, separator : tuples of Key
    inputs : tuple of (kind, number, scope)
        Kind is "factor", the number being its place among the slice's instances, or "message", the number
        being that of a clique or ``INCOMING``.
    """

    residual: tuple[Key, ...]
    separator: tuple[Key, ...]
    inputs: tuple[tuple[str, int, tuple[Key, ...]], ...]

    @property
    def scope(self) -> tuple[Key, ...]:
        """All variables, residual first."""
        return self.residual + self.separator


@dataclass(frozen=True, eq=False)
class Program:
    """What a slice runs.

    Attributes
    ----------
    incoming, outgoing : tuples of Key
        The interfaces, as this slice sees them.
    families : tuple of int
        Whose instances it owns, in order.
    cliques : tuple of Clique
    sizes : dict of Key to int
    """

    incoming: tuple[Key, ...]
    outgoing: tuple[Key, ...]
    families: tuple[int, ...]
    cliques: tuple[Clique, ...]
    sizes: dict[Key, int] = field(repr=False)

    def entries(self, keys) -> int:
        """Of a table over these variables."""
        return math.prod(self.sizes[k] for k in keys)

    @cached_property
    def largest(self) -> int:
        """Entries of the largest clique."""
        return max(self.entries(c.scope) for c in self.cliques)

    @cached_property
    def work(self) -> int:
        """Entries of all cliques: what one pass over the slice multiplies and adds up."""
        return sum(self.entries(c.scope) for c in self.cliques)

    def steps(self, scope: tuple[Key, ...], of: tuple[Key, ...]) -> np.ndarray:
        """Of every entry of a table over ``scope``, the entry of a table over ``of`` that it meets."""
        found = np.zeros([self.sizes[k] for k in scope], np.int32)
        step = 1
        for key in reversed(of):  # a variable that comes twice adds up to the diagonal
            shape = [1] * len(scope)
            shape[scope.index(key)] = -1
            found += (np.arange(self.sizes[key], dtype=np.int32) * step).reshape(shape)
            step *= self.sizes[key]
        return found.ravel()

    def trailing(self, clique: Clique) -> list[int]:
        """Lengths of stretches that end at the end of a clique's separator, growing."""
        sizes = [self.sizes[key] for key in reversed(clique.separator)]
        return [int(n) for n in np.cumprod(sizes)]

    def run(self, clique: Clique) -> int:
        """Entries of a clique that lie one after another, or are one, in each of its inputs."""
        maps = [self.steps(clique.scope, scope) for *_, scope in clique.inputs]
        lengths = self.trailing(clique)
        return max((n for n in lengths if n >= SHORTEST and all(along(m, n) >= 0 for m in maps)), default=1)


def longest(steps: np.ndarray, lengths: list[int]) -> tuple[int, int]:
    """(the longest stretch that goes along or stays at one, which of them it does)."""
    run = max((n for n in lengths if n >= SHORTEST and along(steps, n) >= 0), default=1)
    return run, along(steps, run)


def along(steps: np.ndarray, run: int) -> int:
    """Whether stretches of ``run`` entries go along the entries that they meet (1), stay at one (0), or
    neither (−1).
    """
    rows = steps.reshape(-1, run)
    gaps = rows - rows[:, :1]
    if not gaps.any():
        return 0
    return 1 if (gaps == np.arange(run)).all() else -1


def earlier(keys) -> tuple[Key, ...]:
    """The same variables as the next slice sees them."""
    return tuple((k, lag if lag == SINGLE else lag + 1) for k, lag in keys)


def compile_slice(
    found: Sliced, incoming: tuple[Key, ...], families, done, max_size: float
) -> Program | None:
    """The program of a slice, or None where a clique would have more than ``max_size`` entries.

    Parameters
    ----------
    found : Sliced
    incoming : tuple of Key
        Variables of the message that comes in, in the order of its axes.
    families : tuple of int
        Whose instances the slice owns.
    done : set of Key
        What is eliminated here.
    """
    fresh = [(k, 0) for k in range(len(found.nodes)) if k not in found.singles]
    scopes = [found.scopes[f] for f in families]
    late = [(k, SINGLE) for k in found.singles if (k, SINGLE) in done]
    keys = dict.fromkeys([*incoming, *fresh, *late, *(key for scope in scopes for key in scope)])
    sizes = {key: found.sizes[key[0]] for key in keys}
    gone = [key for key in keys if key in done]
    outgoing = tuple(sorted(key for key in keys if key not in done))
    known: list[tuple[str, int, tuple[Key, ...]]] = [("factor", k, scope) for k, scope in enumerate(scopes)]
    if incoming:
        known.insert(0, ("message", INCOMING, incoming))
    cliques: list[Clique] = []

    def add(residual, separator, inputs) -> bool:
        cliques.append(Clique(tuple(residual), tuple(separator), tuple(inputs)))
        return math.prod(sizes[k] for k in (*residual, *separator)) <= max_size

    for v in elimination_order([scope for *_, scope in known], gone, sizes):
        inputs = [one for one in known if v in one[2]]
        known = [one for one in known if v not in one[2]]
        last = len(cliques) - 1
        if inputs and all(one[:2] == ("message", last) for one in inputs) and last >= 0:
            # Nothing but the last clique knows of v: it decides v as well.
            before = cliques.pop()
            residual = (*before.residual, v)
            separator = tuple(k for k in before.separator if k != v)
            inputs = list(before.inputs)
        else:
            residual = (v,)
            joined = dict.fromkeys(k for one in inputs for k in one[2] if k != v)
            separator = tuple(k for k in outgoing if k in joined) + tuple(
                k for k in joined if k not in outgoing
            )
        if not add(residual, separator, inputs):
            return None
        known.append(("message", len(cliques) - 1, separator))
    whole = len(known) == 1 and known[0][:2] == ("message", len(cliques) - 1) and known[0][2] == outgoing
    if not whole and not add((), outgoing, known):
        return None
    return Program(incoming, outgoing, tuple(families), tuple(cliques), sizes)
