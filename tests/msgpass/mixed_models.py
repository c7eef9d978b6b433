"""Random graphs in which a recurrence scores the tables of a chain or a comb, with and without labels."""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Loss, Step, Table
from tests.msgpass.table_models import seeds

K, H = 2, 2


def scores(h, V):
    return h @ V.T


def score_tables(h, V):
    return np.reshape(h @ V.T, (*np.shape(h)[:-1], K, K))


def cell(h, x, W, U):
    return np.tanh(h @ W.T + x @ U.T)


@st.composite
def mixed_graphs(draw, scored=("local", "transition", "both"), labels=("none", "some", "all")):
    """A recurrence whose states score the local tables, the transitions, or both, of a chain or a comb."""
    return mixed_graph(
        np.random.default_rng(draw(seeds)),
        draw(st.sampled_from([1, 2, 4, [2, 1, 2], [3, 2]])),
        draw(st.sampled_from(scored)),
        draw(st.sampled_from(["chain", "comb"])),
        draw(st.sampled_from(labels)),
        draw(st.booleans()),
        draw(st.booleans()),
    )


def mixed_graph(rng, lengths, scored, shape, labels, vectorized, crossed=False) -> FactorGraph:
    """See :func:`mixed_graphs`."""
    g, total = FactorGraph(), int(np.sum(lengths))

    def parameter(name, *size):
        return g.parameter(name, 0.7 * rng.normal(size=size))

    def sequence_of(name, f, V, *size):
        s = g.sequence(name, length=lengths, shape=size)
        g.factor(Step(f, vectorized=vectorized), h[:], V, out=s[:], name=f"{name} step")
        return s

    x, h = g.observe("x", rng.normal(size=(total, 2))), g.sequence("h", length=lengths, shape=(H,))
    g.factor(
        Step(cell, vectorized=vectorized),
        h.after(parameter("h0", H)),
        x[:],
        parameter("W", H, H),
        parameter("U", H, 2),
        out=h[:],
    )
    z = g.sequence("z", length=lengths, states=K)
    if scored != "transition":
        g.factor(Table(sequence_of("s", scores, parameter("V", K, H), K)[:]), z[:], name="local")
    if crossed:
        g.factor(Table(h[-1]), z[0], name="last state at the start")
    if scored != "local":
        a = sequence_of("a", score_tables, parameter("V2", K * K, H), K, K)
        g.factor(Table(a[1:]), z[:-1], z[1:], name="scored link")
        g.factor(Table(parameter("bias", K)), z[:], name="bias everywhere")
    else:
        g.factor(Table(parameter("A", K, K)), z[:-1], z[1:], name="link")
    if shape == "comb":
        w = g.sequence("w", length=lengths, states=2)
        g.factor(Table(parameter("tooth", K, 2)), z[:], w[:], name="teeth")
        g.factor(
            Table(parameter("emission", 2, 3)),
            w[:],
            g.observe("y", rng.integers(-1, 3, total), states=3)[:],
            name="emit",
        )
    if labels != "none":
        known = rng.integers(0, K, total)
        g.condition(z, np.where(rng.random(total) < 0.5, -1, known) if labels == "some" else known)
    g.factor(Loss(lambda h: (0.5 * (h**2).sum(), (h,))), h[-1], name="loss")
    return g
