"""Random graphs of quadratics with loops: vectors of sizes one to three, linear relations between any of
them, joint quadratics over up to three, rows picked by index arrays beside single variables, observed and
missing data."""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Quadratic
from tests.msgpass.gaussian_models import covariance, gaps
from tests.msgpass.table_models import seeds

KINDS = ["relation", "two sources", "joint", "triple", "observed", "given", "driven", "half seen"]
SYMMETRIC = ("cov", "Q", "R", "W")


@st.composite
def loopy_gaussians(draw):
    """See the module; parameters whose names start with one of ``SYMMETRIC`` move symmetrically only."""
    return loopy_gaussian(
        np.random.default_rng(draw(seeds)),
        singles=draw(st.integers(2, 5)),
        rows=draw(st.sampled_from([0, 0, 2, 5])),
        kinds=draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=8)),
    )


def loopy_gaussian(rng, singles=4, rows=0, kinds=("relation",) * 5) -> FactorGraph:
    """Variables are called v0, v1, …; the sequence of picked rows is s."""
    g = FactorGraph()
    nodes = [g.variable(f"v{k}", shape=[(), (1,), (2,), (3,)][rng.integers(4)]) for k in range(singles)]
    for k, v in enumerate(nodes):
        prior = Quadratic.prior(g.parameter(f"mean{k}", rng.normal(size=v.size)), covariance(rng, v.size))
        g.factor(prior, v, name=f"prior{k}")
    for k, kind in enumerate(kinds):
        _factor(rng, g, k, kind, [nodes[i] for i in rng.permutation(singles)])
    if rows:
        _picked(rng, g, rows, nodes[0])
    return g


def _factor(rng, g, k, kind, nodes):
    a, b, c = nodes[0], nodes[1], nodes[2 % len(nodes)]
    if kind == "relation":
        F, Q = g.parameter(f"F{k}", rng.normal(size=(b.size, a.size))), covariance(rng, b.size)
        relation = Quadratic.linear_gaussian(
            F, g.parameter(f"Q{k}", Q), g.parameter(f"b{k}", rng.normal(size=b.size))
        )
        g.factor(relation, a, b, name=f"f{k}")
    elif kind == "two sources" and len(nodes) > 2:
        F = g.parameter(f"F{k}", rng.normal(size=(c.size, a.size + b.size)))
        g.factor(Quadratic.linear_gaussian(F, covariance(rng, c.size)), a, b, c, name=f"f{k}")
    elif kind in ("joint", "triple", "two sources"):
        members = nodes[: 3 if kind == "triple" else 2]
        n = sum(v.size for v in members)
        W = g.parameter(f"W{k}", covariance(rng, n))
        g.factor(Quadratic(g.parameter(f"h{k}", rng.normal(size=n)), W, 0.3), *members, name=f"f{k}")
    elif kind == "observed":
        y = g.observe(f"y{k}", gaps(rng, rng.normal(size=2)))
        F = g.parameter(f"F{k}", rng.normal(size=(2, a.size + b.size)))
        R = g.parameter(f"R{k}", covariance(rng, 2))
        g.factor(Quadratic.linear_gaussian(F, R, rng.normal(size=2)), a, b, y, name=f"f{k}")
    elif kind == "given":
        H = g.parameter(f"F{k}", rng.normal(size=(2, a.size)))
        g.factor(Quadratic.observation(H, covariance(rng, 2), gaps(rng, rng.normal(size=2))), a, name=f"f{k}")
    elif kind == "driven":
        u = g.observe(f"u{k}", rng.normal(size=2))
        F = g.parameter(f"F{k}", rng.normal(size=(b.size, a.size + 2)))
        g.factor(Quadratic.linear_gaussian(F, covariance(rng, b.size)), a, u, b, name=f"f{k}")
    else:
        y = g.observe(f"y{k}", gaps(rng, rng.normal(size=2)))
        n = a.size + b.size + 2
        W = g.parameter(f"W{k}", covariance(rng, n))
        g.factor(Quadratic(g.parameter(f"h{k}", rng.normal(size=n)), W), a, y, b, name=f"f{k}")


def _picked(rng, g, rows, beside):
    s = g.sequence("s", length=rows, shape=(2,))
    g.factor(Quadratic.prior(np.zeros(2), g.parameter("cov s", covariance(rng, 2))), s[:], name="prior s")
    n = int(rng.integers(1, 7))
    first = rng.integers(rows, size=n)
    second = (first + rng.integers(1, rows, size=n)) % rows
    F = g.parameter("F s", rng.normal(size=(2, 2)) if rng.random() < 0.5 else rng.normal(size=(n, 2, 2)))
    g.factor(Quadratic.linear_gaussian(F, covariance(rng, 2)), s[first], s[second], name="pairs")
    W = g.parameter("W s", covariance(rng, 2 + beside.size))
    g.factor(Quadratic(rng.normal(size=2 + beside.size), W), s[second], beside, name="to the side")
    y = g.observe("y s", gaps(rng, rng.normal(size=(n, 1))))
    g.factor(Quadratic.observation(rng.normal(size=(1, 2)), [[0.4]]), s[first], y[:], name="see s")
