"""Random Gaussian graphs with loops whose precision is diagonally dominant, so that loopy propagation
settles: vectors of sizes one to three, pairs and triples, what is dominant spread over the factors."""

import numpy as np
from hypothesis import strategies as st

from msgpass import FactorGraph, Quadratic
from tests.msgpass.table_models import seeds


@st.composite
def dominant(draw):
    """See the module."""
    return dominant_graph(
        np.random.default_rng(draw(seeds)),
        singles=draw(st.integers(2, 5)),
        rows=draw(st.sampled_from([0, 3, 6])),
        factors=draw(st.integers(1, 8)),
    )


def dominant_graph(rng, singles=4, rows=3, factors=6) -> FactorGraph:
    """Singles v0, v1, … and a sequence s of pairs; h and precisions are parameters."""
    g = FactorGraph()
    nodes = [g.variable(f"v{k}", shape=[(), (1,), (2,), (3,)][rng.integers(4)]) for k in range(singles)]
    for k in range(factors):
        own = [nodes[i] for i in rng.permutation(singles)[: rng.integers(2, 4)]]
        n = sum(v.size for v in own)
        g.factor(
            Quadratic(g.parameter(f"h{k}", rng.normal(size=n)), g.parameter(f"W{k}", block(rng, n))), *own
        )
    for k, v in enumerate(nodes):
        g.factor(Quadratic(rng.normal(size=v.size), g.parameter(f"own W{k}", 0.3 * np.eye(v.size))), v)
    if rows:
        s = g.sequence("s", length=rows, shape=(2,))
        g.factor(Quadratic.prior(np.zeros(2), g.parameter("cov s", 2 * np.eye(2))), s[:], name="prior s")
        n = int(rng.integers(1, 7))
        first = rng.integers(rows, size=n)
        second = (first + rng.integers(1, rows, size=n)) % rows
        each = np.stack([block(rng, 4) for _ in range(n)]) if rng.random() < 0.5 else block(rng, 4)
        g.factor(Quadratic(rng.normal(size=4), g.parameter("W s", each)), s[first], s[second], name="pairs")
        beside = nodes[0]
        W = g.parameter("W side", block(rng, 2 + beside.size))
        g.factor(Quadratic(rng.normal(size=2 + beside.size), W), s[second], beside, name="to the side")
        y = g.observe("y s", rng.normal(size=(n, 1)))
        g.factor(Quadratic.observation([[1.0, 0.0]], [[0.4]]), s[first], y[:], name="see s")
    return g


def block(rng, n: int) -> np.ndarray:
    """A symmetric matrix whose diagonal is what its rows hold beside it."""
    W = 0.5 * rng.normal(size=(n, n))
    W = W + W.T
    np.fill_diagonal(W, 0.0)
    return W + np.diag(np.abs(W).sum(axis=1))
