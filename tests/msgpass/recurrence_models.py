"""Random recurrences for the laws: every shape of recurrence that slices can say, written once for one row
and for many.

Each state h gets an observed zero input e_h added to it, so that ∂total/∂e_h is λ, the adjoint of h.
"""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Loss, Step
from tests.msgpass.table_models import seeds

H, I = 2, 2


def cell(h, x, e, W, U):
    return np.tanh(h @ W.T + x @ U.T) + e


def second_order(one, two, x, e, W, U):
    return np.tanh(one @ W.T - 0.5 * two + x @ U.T) + e


def gated(h, c, x, e, W, U):
    memory = 0.5 * c + np.tanh(h @ W.T + x @ U.T)
    return np.tanh(memory) * h + e, memory


def attend(d, encoder, e, W):
    scores = np.exp(d @ W @ encoder.T)
    return np.tanh(d + scores @ encoder / np.sum(scores, axis=-1, keepdims=True)) + e


def squared(h, y):
    return 0.5 * ((h - y) ** 2).sum(), (h - y, y - h)


KINDS = [
    "lag one",
    "lag two",
    "reverse",
    "two outputs",
    "two families",
    "stacked",
    "bidirectional",
    "attention",
    "encoder edge",
    "no loop",
]
LENGTHS = st.one_of(st.integers(1, 5), st.lists(st.integers(1, 4), min_size=2, max_size=3))


@st.composite
def recurrences(draw, kinds=KINDS, lengths=LENGTHS):
    """A recurrence of one of ``kinds`` over one or several sequences, with a loss on some of its steps."""
    return recurrence(
        np.random.default_rng(draw(seeds)),
        draw(st.sampled_from(kinds)),
        draw(lengths),
        draw(st.booleans()),
        draw(st.booleans()),
    )


def recurrence(rng, kind: str, lengths, vectorized: bool = False, own_starts: bool = False) -> FactorGraph:
    """See :func:`recurrences`; ``own_starts``: each of several sequences starts from its own row of h0."""
    g, total = FactorGraph(), int(np.sum(lengths))
    several = np.iterable(lengths) and len(lengths) > 1
    x = g.observe("x", rng.normal(size=(total, I)))

    def parameter(name, *shape):
        return g.parameter(name, 0.7 * rng.normal(size=shape))

    def start(name):
        return parameter(name, len(lengths), H) if several and own_starts else parameter(name, H)

    def state(name):
        return g.sequence(name, length=lengths, shape=(H,)), g.observe(f"e_{name}", np.zeros((total, H)))

    def step(f):
        return Step(f, vectorized=vectorized)

    h, e = state("h")
    if kind == "lag two" and np.min(lengths) > 1:
        W, U = parameter("W", H, H), parameter("U", H, I)
        g.factor(
            step(cell), g[start("h0").name], x[0], e[0], W, U, out=h[0], name="first"
        ) if not several else g.factor(
            step(cell), parameter("h0", H), x[0], e[0], W, U, out=h[0], name="first"
        )
        g.factor(step(cell), h[0], x[1], e[1], W, U, out=h[1], name="second")
        g.factor(step(second_order), h[1:-1], h[:-2], x[2:], e[2:], W, U, out=h[2:], name="step")
    elif kind == "reverse":
        g.factor(
            step(cell),
            h.before(start("hT")),
            x[:],
            e[:],
            parameter("W", H, H),
            parameter("U", H, I),
            out=h[:],
            name="step",
        )
    elif kind == "two outputs":
        c = g.sequence("c", length=lengths, shape=(H,))
        g.factor(
            step(gated),
            h.after(start("h0")),
            c.after(start("c0")),
            x[:],
            e[:],
            parameter("W", H, H),
            parameter("U", H, I),
            out=(h[:], c[:]),
            name="step",
        )
    elif kind == "two families":
        gate, e_gate = state("gate")
        h0 = start("h0")
        g.factor(
            step(cell), gate[:], x[:], e[:], parameter("W", H, H), parameter("U", H, I), out=h[:], name="step"
        )
        g.factor(
            step(cell),
            h.after(h0),
            x[:],
            e_gate[:],
            parameter("V", H, H),
            parameter("S", H, I),
            out=gate[:],
            name="gate step",
        )
    else:
        source = x[:]
        if kind != "no loop":
            g.factor(
                step(cell),
                h.after(start("h0")),
                source,
                e[:],
                parameter("W", H, H),
                parameter("U", H, I),
                out=h[:],
                name="step",
            )
        else:
            g.factor(
                step(cell),
                x[:],
                x[:],
                e[:],
                parameter("W", H, I),
                parameter("U", H, I),
                out=h[:],
                name="step",
            )
    top = h
    if kind == "stacked":
        top, e_top = state("top")
        g.factor(
            step(cell),
            top.after(start("top0")),
            h[:],
            e_top[:],
            parameter("W2", H, H),
            parameter("U2", H, H),
            out=top[:],
            name="upper step",
        )
    elif kind == "bidirectional":
        r, e_r = state("r")
        g.factor(
            step(cell),
            r.before(start("rT")),
            x[:],
            e_r[:],
            parameter("W2", H, H),
            parameter("U2", H, I),
            out=r[:],
            name="back step",
        )
        top, e_top = state("top")
        g.factor(
            step(cell),
            h[:],
            r[:],
            e_top[:],
            parameter("W3", H, H),
            parameter("U3", H, H),
            out=top[:],
            name="readout",
        )
    elif kind == "attention" and not several:
        top, e_top = g.sequence("top", length=3, shape=(H,)), g.observe("e_top", np.zeros((3, H)))
        g.factor(
            step(attend),
            top.after(h[-1]),
            h.all,
            e_top[:],
            parameter("W4", H, H),
            out=top[:],
            name="attention",
        )
    elif kind == "encoder edge":
        top, e_top = state("top")
        g.factor(
            step(cell),
            top.after(h[-1]),
            x[:],
            e_top[:],
            parameter("W5", H, H),
            parameter("U5", H, I),
            out=top[:],
            name="decoder",
        )

    y = rng.normal(size=(top.clock.total, H))
    y[rng.random(len(y)) < 0.3] = np.nan
    g.factor(Loss(squared, vectorized=vectorized), top[:], g.observe("y", y)[:], name="loss")
    g.factor(Loss(squared), h[-1], g.observe("goal", rng.normal(size=(total, H)))[-1], name="last loss")
    g.factor(Loss(lambda W: (0.1 * (W**2).sum(), (0.2 * W,))), g["W"], name="penalty")
    return g
