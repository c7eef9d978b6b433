"""Loops over the entries of a clique, a run at a time: what an input does along a run is known beforehand.

Entries are numbered r·S + s. Along a run of them an input either goes along its own entries or stays at one,
so that its map is looked at once a run, and what is left are loops over what lies side by side. Indices are
unsigned: those cannot count from the end, and without the test for that LLVM makes vectors of the loops.
"""

import numpy as np

from msgpass.kernels.runtime import lean_jit as jit

FAST = {"contract", "reassoc", "nsz", "arcp"}


@jit(fastmath=FAST)
def multiply(table, source, at, maps, m, n, run, along, first):
    """table *= the entries of a source that it meets; with ``first``, table = these."""
    if run == 1:
        for e in range(n):
            value = source[at + maps[m + e]]
            table[e] = value if first else table[e] * value
        return
    length = np.uintp(run)
    for begin in range(0, n, run):
        own, begun = np.uintp(begin), np.uintp(at + maps[m + begin])
        if along == 1:
            if first:
                for e in range(length):
                    table[own + e] = source[begun + e]
            else:
                for e in range(length):
                    table[own + e] *= source[begun + e]
        else:
            value = source[begun]
            if first:
                for e in range(length):
                    table[own + e] = value
            else:
                for e in range(length):
                    table[own + e] *= value


@jit(fastmath=FAST)
def scatter(out, at, table, maps, m, n, run, along, factor):
    """out += the entries of a table times a number, where the map sends them."""
    if run == 1:
        for e in range(n):
            out[at + maps[m + e]] += table[e] * factor
        return
    length = np.uintp(run)
    for begin in range(0, n, run):
        own, begun = np.uintp(begin), np.uintp(at + maps[m + begin])
        if along == 1:
            for e in range(length):
                out[begun + e] += table[own + e] * factor
        else:
            total = 0.0
            for e in range(length):
                total += table[own + e]
            out[begun] += total * factor


@jit(fastmath=FAST)
def rows_times(table, R, S, source, at):
    """Each row of (R, S) times the same entries of a source."""
    columns, begun = np.uintp(S), np.uintp(at)
    for r in range(np.uintp(R)):
        for e in range(columns):
            table[r * columns + e] *= source[begun + e]


@jit(fastmath=FAST)
def add_rows(table, R, S, out, at):
    """out = the sum of the rows of (R, S)."""
    columns, begun = np.uintp(S), np.uintp(at)
    for e in range(columns):
        out[begun + e] = table[e]
    for r in range(np.uintp(1), np.uintp(R)):
        for e in range(columns):
            out[begun + e] += table[r * columns + e]


@jit(fastmath=FAST)
def mix(one, at_one, map_one, many, at_many, map_many, maps, R, S, run, out, at):
    """out[s] = Σ_r of a product of two, where runs stay at an entry of the one and go along the other."""
    length, block = np.uintp(run), np.uintp(at)
    for e in range(np.uintp(S)):
        out[block + e] = 0.0
    for begin in range(0, S, run):
        to = block + np.uintp(begin)
        for r in range(R):
            value = one[at_one + maps[map_one + r * S + begin]]
            begun = np.uintp(at_many + maps[map_many + r * S + begin])
            for e in range(length):
                out[to + e] += value * many[begun + e]


@jit(fastmath=FAST)
def unmix(one, at_one, map_one, said, at_said, maps, R, S, run, out, at, map_out):
    """The other way: out += an entry of the one times what is said of s, along the runs of out."""
    length = np.uintp(run)
    for begin in range(0, S, run):
        begun = np.uintp(at_said + begin)
        for r in range(R):
            value = one[at_one + maps[map_one + r * S + begin]]
            to = np.uintp(at + maps[map_out + r * S + begin])
            for e in range(length):
                out[to + e] += value * said[begun + e]


@jit(fastmath=FAST)
def dots(many, at_many, map_many, said, at_said, maps, R, S, run, out, at, map_out):
    """out += Σ along a run of what it meets in many, times what is said of s."""
    length = np.uintp(run)
    for begin in range(0, S, run):
        begun = np.uintp(at_said + begin)
        for r in range(R):
            from_ = np.uintp(at_many + maps[map_many + r * S + begin])
            total = 0.0
            for e in range(length):
                total += many[from_ + e] * said[begun + e]
            out[at + maps[map_out + r * S + begin]] += total
