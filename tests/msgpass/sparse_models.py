"""Random chains with a sparse transition and grouped evidence, each with its twin in full tables."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Table

seeds = st.integers(0, 2**32 - 1)
LOCALS = ["symbols", "missing", "dense", "by step", "single", "last", "every", "other groups", "full"]


class Twins(NamedTuple):
    """The same model twice: ``full`` has −∞ where ``sparse`` has nothing, equal rows where it has groups."""

    sparse: FactorGraph
    full: FactorGraph
    folds: dict  # parameter → function from what arrives in full to what must arrive sparsely


@st.composite
def twins(draw, max_states=5, max_length=6):
    """A sparse chain of any form."""
    S = draw(st.integers(1, max_states))
    lengths = draw(st.lists(st.integers(1, max_length), min_size=1, max_size=3))
    locals_ = draw(st.lists(st.sampled_from(LOCALS), unique=True, max_size=4))
    stepped, flipped, zeros = draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from([0.0, 0.3]))
    return make(np.random.default_rng(draw(seeds)), S, lengths, locals_, stepped, flipped, zeros)


def make(
    rng, S, lengths, locals_=("symbols",), stepped=False, flipped=False, zeros=0.0, dtype=float
) -> Twins:
    """See :func:`twins`; values are −∞ with probability ``zeros`` off a planted path."""
    T, n = sum(lengths), sum(lengths) - len(lengths)
    stepped = stepped and n > 0
    K, M = rng.integers(1, S + 1), 3
    path = rng.integers(0, S, T)
    later = np.setdiff1d(np.arange(T), np.cumsum([0, *lengths[:-1]]))
    listed = rng.random((S, S)) < 0.5
    listed[path[later - 1], path[later]] = listed[0, 0] = True
    rows, cols = np.nonzero(listed)
    order = rng.permutation(len(rows))
    rows, cols = rows[order], cols[order]
    used = [int(np.flatnonzero((rows == path[t - 1]) & (cols == path[t]))[0]) for t in later]
    groups, others = rng.integers(0, K, S), rng.integers(0, 2, S)

    def values(shape, keep):
        drawn = rng.normal(size=shape).astype(dtype)
        gone = rng.random(shape) < zeros
        gone[keep] = False
        drawn[gone] = -np.inf
        return drawn

    length = lengths if len(lengths) > 1 else lengths[0]
    sparse, full = FactorGraph(), FactorGraph()
    pair = [g.sequence("z", length, S) for g in (sparse, full)]
    folds: dict = {}

    def both(name, own, spread, fold):
        folds[name] = fold
        return sparse.parameter(name, own), full.parameter(name, spread)

    own = values((n, len(rows)), (np.arange(n), used)) if stepped else values(len(rows), used)
    spread = np.full((*own.shape[:-1], S, S), -np.inf, dtype)
    spread[..., rows, cols] = own
    spread = np.swapaxes(spread, -1, -2) if flipped else spread
    first, second = (cols, rows) if flipped else (rows, cols)
    A, B = both("transition", own, spread, lambda c: c[..., first, second])
    for g, z, table in zip((sparse, full), pair, (Table.sparse(A, first, second), Table(B)), strict=True):
        g.factor(table, *((z[1:], z[:-1]) if flipped else (z[:-1], z[1:])), name="link")

    def local(name, own, axis, group, *slices):
        """A grouped table and its twin."""

        def fold(c):
            return np.stack(
                [c[(slice(None),) * axis + (group == k,)].sum(axis) for k in range(own.shape[axis])], axis
            )

        P, Q = both(name, own, np.take(own, group, axis), fold)
        for g, z, table in zip((sparse, full), pair, (Table.grouped(P, group), Table(Q)), strict=True):
            g.factor(table, *slices[0](z, g), name=f"local {name}")

    x = rng.integers(0, M, T)
    gone = np.where(rng.random(T) < 0.4, -1, x)
    for g in (sparse, full):
        g.observe("x", x, M)
        g.observe("gone", gone, M)
    for name in locals_:
        if name == "symbols":
            local(name, values((K, M), (groups[path], x)), 0, groups, lambda z, g: (z[:], g["x"][:]))
        elif name == "missing":
            local(name, values((M, K), (x, groups[path])), 1, groups, lambda z, g: (g["gone"][:], z[:]))
        elif name == "dense":
            local(name, values((T, K), (np.arange(T), groups[path])), 1, groups, lambda z, g: (z[:],))
        elif name == "by step":
            kept = (np.arange(T), groups[path], x)
            local(name, values((T, K, M), kept), 1, groups, lambda z, g: (z[:], g["x"][:]))
        elif name == "every":
            local(name, values(K, groups[path]), 0, groups, lambda z, g: (z[:],))
        elif name == "other groups":
            local(name, values((T, 2), (np.arange(T), others[path])), 1, others, lambda z, g: (z[:],))
        else:
            shape, kept = ((T, S), (np.arange(T), path)) if name == "full" else (S, path)
            P, Q = both(name, *[values(shape, kept)] * 2, lambda c: c)
            where = {"last": lambda z: z[-1], "single": lambda z: z[0], "full": lambda z: z[:]}[name]
            for g, z, table in zip((sparse, full), pair, (Table(P), Table(Q)), strict=True):
                g.factor(table, where(z), name=f"local {name}")
    if min(lengths) == 1 and not {"single", "last", "symbols", "dense", "full", "every"} & {*locals_}:
        for g, z in zip((sparse, full), pair, strict=True):
            g.factor(Table(np.zeros(S)), z[:])
    return Twins(sparse, full, folds)
