"""Random graphs of quadratics for the laws: linear-Gaussian chains in every form that a slice allows, and
trees of vectors."""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Quadratic
from tests.msgpass.table_models import seeds


def covariance(rng, n: int) -> np.ndarray:
    """A well-conditioned covariance."""
    A = rng.normal(size=(n, n))
    return A @ A.T / n + 0.5 * np.eye(n)


def gaps(rng, y: np.ndarray) -> np.ndarray:
    """With about a third of its cells missing."""
    return np.where(rng.random(y.shape) < 0.3, np.nan, y)


LOCALS = ["observed", "gappy", "by step", "canonical", "last", "given", "feed-through", "second prior"]
LINKS = ["shared", "by step", "no offset", "canonical", "inputs", "inputs by step"]
STARTS = ["prior", "shared prior", "partly flat", "driven"]


@st.composite
def chains(draw):
    """A real sequence, possibly ragged, with a prior, linear-Gaussian transitions and any mix of evidence."""
    shape = draw(st.sampled_from([(), (1,), (2,), (3,)]))
    lengths = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    transition, start = draw(st.sampled_from(LINKS)), draw(st.sampled_from(STARTS))
    locals_ = draw(st.lists(st.sampled_from(LOCALS), unique=True))
    if start == "partly flat":
        locals_ = ["observed", *(kind for kind in locals_ if kind != "observed")]  # or nothing determines x
    return chain(np.random.default_rng(draw(seeds)), shape, lengths, transition, locals_, start)


def chain(rng, shape=(2,), lengths=(4,), transition="shared", locals_=("observed",), start="shared prior"):
    """See :func:`chains`."""
    n, total, pairs = int(np.prod(shape)), sum(lengths), sum(lengths) - len(lengths)
    g = FactorGraph()
    x = g.sequence("x", length=list(lengths), shape=shape)
    mean, cov = rng.normal(size=n), covariance(rng, n)
    if start == "prior":
        many = rng.normal(size=(len(lengths), n)), np.stack([covariance(rng, n) for _ in lengths])
        g.factor(Quadratic.prior(g.parameter("mean", many[0]), many[1]), x[0], name="prior")
    elif start == "partly flat":
        cov[0], cov[:, 0], cov[0, 0] = 0, 0, np.inf
        g.factor(Quadratic.prior(g.parameter("mean", mean), cov), x[0], name="prior")
    elif start == "driven":
        v = g.observe("drive", rng.normal(size=2))
        D, b = g.parameter("D", rng.normal(size=(n, 2))), g.parameter("start", mean)
        g.factor(Quadratic.linear_gaussian(D, g.parameter("cov", cov), b), v, x[0], name="prior")
    else:
        g.factor(Quadratic.prior(g.parameter("mean", mean), g.parameter("cov", cov)), x[0], name="prior")
    F, Q = 0.7 * rng.normal(size=(n, n)), covariance(rng, n)
    if transition.startswith("inputs"):
        u = g.observe("u", rng.normal(size=(total, 2)))
        F = np.hstack([F, rng.normal(size=(n, 2))])
        if transition == "inputs by step":
            F = rng.normal(size=(pairs, n, n + 2))
        relation = Quadratic.linear_gaussian(g.parameter("F", F), g.parameter("Q", Q), g.parameter("b", mean))
        g.factor(relation, x[:-1], u[:-1], x[1:], name="link")
        return _with_locals(g, rng, x, n, total, locals_)
    if transition == "by step" and pairs:
        F = g.parameter("F", 0.7 * rng.normal(size=(pairs, n, n)))
        Q = np.stack([covariance(rng, n) for _ in range(pairs)])
        g.factor(Quadratic.linear_gaussian(F, Q, rng.normal(size=(pairs, n))), x[:-1], x[1:], name="link")
    elif transition == "canonical":
        W, h = np.eye(2 * n) + covariance(rng, 2 * n), rng.normal(size=2 * n)
        g.factor(Quadratic(g.parameter("pull", h), g.parameter("W", W), 0.3), x[:-1], x[1:], name="link")
    elif transition == "no offset":
        g.factor(
            Quadratic.linear_gaussian(g.parameter("F", F), g.parameter("Q", Q)), x[:-1], x[1:], name="link"
        )
    else:
        b = g.parameter("b", rng.normal(size=n))
        g.factor(
            Quadratic.linear_gaussian(g.parameter("F", F), g.parameter("Q", Q), b), x[:-1], x[1:], name="link"
        )
    return _with_locals(g, rng, x, n, total, locals_)


def _with_locals(g, rng, x, n: int, total: int, locals_):
    for kind in locals_:
        if kind == "observed":
            y = g.observe("y", rng.normal(size=(total, 2)))
            potential = Quadratic.observation(
                g.parameter("H", rng.normal(size=(2, n))), g.parameter("R", covariance(rng, 2))
            )
            g.factor(potential, x[:], y[:], name="see")
        elif kind == "gappy":
            y = g.observe("v", gaps(rng, rng.normal(size=(total, 2))))
            potential = Quadratic.observation(
                g.parameter("G", rng.normal(size=(2, n))), g.parameter("S", covariance(rng, 2))
            )
            g.factor(potential, x[:], y[:], name="see some")
        elif kind == "by step":
            y = g.observe("w", gaps(rng, rng.normal(size=(total, 1))))
            R = 0.5 + rng.random((total, 1, 1))
            g.factor(
                Quadratic.observation(rng.normal(size=(total, 1, n)), R), x[:], y[:], name="see drifting"
            )
        elif kind == "canonical":
            h, W = g.parameter("h", rng.normal(size=n)), g.parameter("precision", covariance(rng, n))
            g.factor(Quadratic(h, W, g.parameter("scale", 0.2)), x[:], name="local")
        elif kind == "last":
            g.factor(Quadratic(g.parameter("h last", rng.normal(size=n)), np.eye(n)), x[-1], name="end")
        elif kind == "feed-through":
            w, y = (
                g.observe("inputs", rng.normal(size=(total, 1))),
                g.observe("o", gaps(rng, rng.normal(size=(total, 2)))),
            )
            HD, d = g.parameter("HD", rng.normal(size=(2, n + 1))), g.parameter("d", rng.normal(size=2))
            g.factor(Quadratic.linear_gaussian(HD, covariance(rng, 2), d), x[:], w[:], y[:], name="fed")
        elif kind == "second prior":
            g.factor(
                Quadratic.prior(g.parameter("pull to", rng.normal(size=n)), covariance(rng, n)),
                x[-1],
                name="again",
            )
        else:
            potential = Quadratic.observation(rng.normal(size=(2, n)), covariance(rng, 2), rng.normal(size=2))
            g.factor(potential, x[-1], name="given")
    return g


@st.composite
def trees(draw):
    """Vectors of sizes one to three joined into a tree by linear relations either way and by joint quadratics
    over up to three."""
    rng = np.random.default_rng(draw(seeds))
    g = FactorGraph()
    nodes = [g.variable("v0", shape=draw(st.sampled_from([(), (1,), (2,)])))]
    g.factor(
        Quadratic.prior(g.parameter("mean", rng.normal(size=nodes[0].size)), covariance(rng, nodes[0].size)),
        nodes[0],
        name="prior",
    )
    for k in range(1, draw(st.integers(1, 6))):
        kind = draw(
            st.sampled_from(["child", "parent", "two parents", "joint", "triple", "leaf", "new root"])
        )
        old = nodes[int(rng.integers(len(nodes)))]
        if kind == "leaf":
            y = g.observe(f"y{k}", gaps(rng, rng.normal(size=2)))
            g.factor(
                Quadratic.observation(
                    g.parameter(f"H{k}", rng.normal(size=(2, old.size))), covariance(rng, 2)
                ),
                old,
                y,
                name=f"f{k}",
            )
            continue
        fresh = [
            g.variable(f"v{k}{c}", shape=[(), (1,), (2,), (3,)][int(rng.integers(4))])
            for c in range(2 if kind in ("triple", "two parents") else 1)
        ]
        nodes += fresh
        if kind == "child":
            F, Q = (
                g.parameter(f"F{k}", rng.normal(size=(fresh[0].size, old.size))),
                covariance(rng, fresh[0].size),
            )
            g.factor(
                Quadratic.linear_gaussian(F, Q, rng.normal(size=fresh[0].size)), old, fresh[0], name=f"f{k}"
            )
        elif kind == "parent":
            g.factor(
                Quadratic.prior(rng.normal(size=fresh[0].size), covariance(rng, fresh[0].size)),
                fresh[0],
                name=f"prior{k}",
            )
            F, Q = g.parameter(f"F{k}", rng.normal(size=(old.size, fresh[0].size))), covariance(rng, old.size)
            g.factor(Quadratic.linear_gaussian(F, Q), fresh[0], old, name=f"f{k}")
        elif kind == "two parents":
            other, child = fresh
            prior = Quadratic.prior(rng.normal(size=other.size), covariance(rng, other.size))
            g.factor(prior, other, name=f"prior{k}")
            F = g.parameter(f"F{k}", rng.normal(size=(child.size, old.size + other.size)))
            relation = Quadratic.linear_gaussian(F, covariance(rng, child.size), rng.normal(size=child.size))
            g.factor(relation, old, other, child, name=f"f{k}")
        else:
            members = fresh if kind == "new root" else [*fresh, old]
            members = [members[i] for i in rng.permutation(len(members))]
            n = sum(v.size for v in members)
            h = g.parameter(f"h{k}", rng.normal(size=n))
            g.factor(Quadratic(h, np.eye(n) + covariance(rng, n)), *members, name=f"f{k}")
    return g
