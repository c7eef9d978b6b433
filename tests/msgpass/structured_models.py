"""Random factors with structure, with everything that a test must know of them."""

import numpy as np
from hypothesis import strategies as st

from msgpass import And, AtMostOne, Cardinality, Equal, ExactlyOne, NoisyOr, Or, Parity, Pool, Potts

PARAMETRIC = ["count", "counts", "noisy", "noisy each", "noisy shared", "potts"]
KINDS = ["parity", "odd", "parities", "or", "and", "one", "most", "pool", "equal", *PARAMETRIC]
seeds = st.integers(0, 2**32 - 1)


def make(kind, rng, n, arity, inside=False):
    """(potential, states of its variables) of n instances."""
    low, high = (0.1, 0.9) if inside else (0.0, 1.0)

    def chance(*shape):
        p = rng.uniform(low, high, shape)
        return p if inside else np.where(rng.random(shape) < 0.2, rng.integers(0, 2, shape), p)

    weights = rng.normal(size=(n, arity + 1))
    weights[:, rng.integers(arity + 1)] = -np.inf
    return {
        "parity": lambda: (Parity(), 2),
        "odd": lambda: (Parity(1), 2),
        "parities": lambda: (Parity(rng.integers(0, 2, n)), 2),
        "or": lambda: (Or(), 2),
        "and": lambda: (And(), 2),
        "one": lambda: (ExactlyOne(), 2),
        "most": lambda: (AtMostOne(), 2),
        "pool": lambda: (Pool(), 2),
        "count": lambda: (Cardinality(weights[0]), 2),
        "counts": lambda: (Cardinality(weights), 2),
        "noisy": lambda: (NoisyOr(chance(arity - 1), chance()[()]), 2),
        "noisy each": lambda: (NoisyOr(chance(n, arity - 1), chance(n)), 2),
        "noisy shared": lambda: (NoisyOr(chance()[()], chance(n)), 2),
        "equal": lambda: (Equal(), 3),
        "potts": lambda: (Potts(rng.normal(size=n)), 4),
    }[kind]()


@st.composite
def factors(draw, kinds=KINDS, zeros=True, inside=False):
    """(potential, incoming log messages (n, arity, K)); with hard zeros and messages of thousands of nats."""
    kind, n = draw(st.sampled_from(kinds)), draw(st.integers(1, 4))
    arity = 2 if kind == "potts" else draw(st.integers(2, 6))
    rng = np.random.default_rng(draw(seeds))
    potential, states = make(kind, rng, n, arity, inside)
    scale = draw(st.sampled_from([1.0, 30.0, 2000.0] if zeros else [1.0]))
    incoming = scale * rng.normal(size=(n, arity, states))
    if zeros:
        incoming[rng.random(incoming.shape) < draw(st.sampled_from([0.0, 0.2, 0.6]))] = -np.inf
    return potential, incoming
