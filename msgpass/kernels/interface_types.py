"""The programs of all slices as flat arrays: what sweeps over slices run.

A slice's program is a list of cliques. Each multiplies its *inputs*, tables of factors and messages of
earlier cliques, and reduces what it decides (the *residual*) to a message over the *separator*. An entry of a
clique is numbered r·S + s, with r < R of the residual and s < S of the separator; ``maps`` says which entry
of an input it meets. All messages of a run lie in one array, slice after slice, so that those of the same
slice and the incoming one of the slice before are found relative to where the slice's own begin. Hence a
program says nothing of the time, and a slice is its number, where its messages begin, and which instances its
factors are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Programs(NamedTuple):
    """All programs.

    Attributes
    ----------
    cliques : (P + 1,)
        First clique of each program.
    residual, separator, message : (C,)
        R and S of each clique, and where its message lies from the begin of the slice's.
    run : (C,)
        Entries of a clique that lie one after another, or are one, in each of its inputs; they divide S.
    pair : (C,)
        The input that a run stays at, of a clique of two inputs whose other one it goes along; −1 elsewhere.
    inputs : (C + 1,)
        First input of each clique.
    family, place, sender, size, map, along : (I,)
        Of each input: its family (−1: a message), its place among the slice's instances (of a message:
        where it lies from the begin of the slice's messages), the slice's clique that sent it (−1: the last
        one of the slice before), its entries, where its map begins, and whether a run of the clique goes
        along its entries (1) or stays at one (0).
    sinks : (C + 1,)
        First reading of each clique.
    sink, sink_place, sink_size, sink_map, sink_run, sink_along : (K,)
        Of each reading: a family, or number of families + node; its place among the slice's instances (−1: it
        counts rows); its entries; its map; a run of its own, and how that goes.
    variables : (C + 1,)
        First variable of each clique, residual first.
    decided : (C,)
        Variables of the residual.
    node, lag, states : (V,)
        Of each variable: its node, how many slices back it lies (−1: it belongs to no slice), its states.
    maps : int32, flat
    """

    cliques: np.ndarray
    residual: np.ndarray
    separator: np.ndarray
    message: np.ndarray
    run: np.ndarray
    pair: np.ndarray
    inputs: np.ndarray
    family: np.ndarray
    place: np.ndarray
    sender: np.ndarray
    size: np.ndarray
    map: np.ndarray
    along: np.ndarray
    sinks: np.ndarray
    sink: np.ndarray
    sink_place: np.ndarray
    sink_size: np.ndarray
    sink_map: np.ndarray
    sink_run: np.ndarray
    sink_along: np.ndarray
    variables: np.ndarray
    decided: np.ndarray
    node: np.ndarray
    lag: np.ndarray
    states: np.ndarray
    maps: np.ndarray


class Slices(NamedTuple):
    """What differs from slice to slice.

    Attributes
    ----------
    program : (N,)
    block : (N + 1,)
        Where each slice's messages begin.
    first : (N + 1,)
        Where each slice's instances begin in ``instances``.
    number : (N + 1,)
        Cliques before each slice.
    instances : flat
        Number of the instance of each factor of a slice, within its family.
    closed : bool (N,)
        Nothing goes on to the next slice.
    """

    program: np.ndarray
    block: np.ndarray
    first: np.ndarray
    number: np.ndarray
    instances: np.ndarray
    closed: np.ndarray


class Tables(NamedTuple):
    """Tables of one run.

    Attributes
    ----------
    entries : flat
        Log tables of all families, or their exponentials, each instance's largest entry being 1.
    base, step, stride : (families,)
        Where a family's begin, and how far its instances and the members of an aligned batch are apart (0
        where they share one).
    scale : (B, N)
        What was taken out of the tables of each slice, in logs.
    low, low_base : flat, (families,)
        Exponent (of 2) of the smallest entry that is not zero, of each table in ``entries``; where a family's
        begin. Of exponentials alone.
    """

    entries: np.ndarray
    base: np.ndarray
    step: np.ndarray
    stride: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    low_base: np.ndarray

    def table(self, f: int, instances: int, size: int) -> np.ndarray:
        """Tables of a family, (B or 1, instances or 1, size)."""
        instances = instances if self.step[f] else 1
        members = len(self.scale) if self.stride[f] else 1
        begin = int(self.base[f])
        return self.entries[begin : begin + members * instances * size].reshape(members, instances, size)


def number_of(p: Programs, s: Slices, number: int) -> tuple[int, int]:
    """(slice, clique of the programs) of the clique that is ``number`` over all slices."""
    t = int(np.searchsorted(s.number, number, side="right")) - 1
    return t, int(p.cliques[s.program[t]] + number - s.number[t])


def settle(p: Programs, s: Slices, states: np.ndarray, firsts: np.ndarray, number: int, chosen) -> None:
    """Write the states (…, variables) that state ``chosen`` of a clique's residual stands for."""
    t, c = number_of(p, s, number)
    at = slice(int(p.variables[c]), int(p.variables[c] + p.decided[c]))
    lag = p.lag[at]
    of = firsts[p.node[at]] + np.where(lag < 0, 0, t - lag)
    for v, state in zip(of, np.unravel_index(chosen, p.states[at].tolist()), strict=True):
        states[..., v] = state
