"""Hidden Markov chains for the identities, twice: as a graph of tables, and as recursions written with Steps.

    unnormalised   α_t = b_t ∘ (Aᵀ α_{t−1})                             Z = Σ_i α_T(i)
    normalised     c_t = Σ_i b_t(i) (Aᵀ φ_{t−1})_i,   φ_t = b_t ∘ (Aᵀ φ_{t−1}) / c_t,   log Z = Σ_t log c_t
    max-plus       δ_t = b_t + max_i (δ_{t−1}(i) + A(i, ·))             best = max_i δ_T(i)

The first route is forward-backward; in the second the engine sees an ordinary recurrence and runs its
adjoint. All three tables are logarithms: ``log_init`` (K,), ``log_transition`` (K, K), ``log_evidence`` (T,
K).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import ShapeError
from msgpass.graph import FactorGraph
from msgpass.potentials import Loss, Step, Table


class Chain(NamedTuple):
    """Log tables of a hidden Markov chain."""

    log_init: np.ndarray
    log_transition: np.ndarray
    log_evidence: np.ndarray


def random_chain(seed=0, states: int = 3, length: int = 8) -> Chain:
    """A chain with Dirichlet rows and evidence over a few nats."""
    rng = np.random.default_rng(seed)
    init, transition = rng.dirichlet(np.ones(states)), rng.dirichlet(np.ones(states), size=states)
    return Chain(np.log(init), np.log(transition), rng.normal(size=(length, states)) - 1.0)


def given_chain(log_init, log_transition, log_evidence, seed) -> Chain:
    """The caller's chain, or a random one where none is given."""
    given = (log_init, log_transition, log_evidence)
    if all(part is None for part in given):
        return random_chain(seed)
    if any(part is None for part in given):
        raise ShapeError(
            "give log_init (K,), log_transition (K, K) and log_evidence (T, K) together, or none of them for "
            "a random chain"
        )
    chain = Chain(*(np.asarray(part, dtype=float) for part in given))
    states = chain.log_init.size
    wanted = ((states,), (states, states), (len(chain.log_evidence), states))
    shapes = tuple(part.shape for part in chain)
    if shapes != wanted:
        raise ShapeError(
            "a chain has log_init (K,), log_transition (K, K) and log_evidence (T, K); got "
            f"{', '.join(map(str, shapes))}"
        )
    return chain


def table_graph(chain: Chain) -> FactorGraph:
    """The chain as a graph of tables: sequence z; parameters initial, transition, evidence; factor links."""
    g = FactorGraph()
    length, states = chain.log_evidence.shape
    z = g.sequence("z", length=length, states=states)
    g.factor(Table(g.parameter("initial", chain.log_init)), z[0])
    if length > 1:
        g.factor(Table(g.parameter("transition", chain.log_transition)), z[:-1], z[1:], name="links")
    g.factor(Table(g.parameter("evidence", chain.log_evidence)), z[:])
    return g


def unnormalised_recursion(chain: Chain) -> FactorGraph:
    """α_t = b_t ∘ (Aᵀ α_{t−1}) as Steps, with the loss Z; A and b in probabilities."""

    def step(alpha, b, A):
        return (alpha @ A) * b

    def start(init, b):
        return init * b

    return _recursion(
        chain._replace(**{k: np.exp(v) for k, v in chain._asdict().items()}),
        start,
        step,
        Loss(lambda alpha: (alpha.sum(), (np.ones_like(alpha),))),
    )


def maximising_recursion(chain: Chain) -> FactorGraph:
    """δ_t = b_t + max_i (δ_{t−1}(i) + A(i, ·)) as Steps, with the loss max_i δ_T(i)."""

    def step(delta, b, A):
        return np.max(delta[:, None] + A, axis=0) + b

    def start(init, b):
        return init + b

    return _recursion(
        chain, start, step, Loss(lambda delta: (delta.max(), (np.eye(delta.size)[delta.argmax()],)))
    )


def _recursion(chain: Chain, start, step, loss: Loss) -> FactorGraph:
    g = FactorGraph()
    length, states = chain.log_evidence.shape
    alpha = g.sequence("alpha", length=length, shape=(states,))
    init, evidence = g.parameter("initial", chain.log_init), g.observe("evidence", chain.log_evidence)
    g.factor(Step(start), init, evidence[0], out=alpha[0], name="start")
    if length > 1:
        transition = g.parameter("transition", chain.log_transition)
        g.factor(Step(step), alpha[:-1], evidence[1:], transition, out=alpha[1:], name="step")
    g.factor(loss, alpha[-1])
    return g


def normalised_filter(chain: Chain, of_logits: bool = False) -> FactorGraph:
    """The filter φ_t with a loss log c_t at every step, its inputs in logarithms; c_t is up to a factor.

    Parameters
    ----------
    of_logits : bool
        The tables go through a softmax first, so that gradients are with respect to logits; a parameter
        ``offset`` (K,) is added to the evidence of every step.
    """

    def transition_of(A):
        return np.exp(A) / np.exp(A).sum(axis=1, keepdims=True) if of_logits else np.exp(A)

    def init_of(pi):
        return np.exp(pi) / np.exp(pi).sum() if of_logits else np.exp(pi)

    def observe(predicted, b, offset):
        joint = predicted * np.exp(b + offset)
        scale = joint.sum()
        return joint / scale, np.log(scale)

    g = FactorGraph()
    length, states = chain.log_evidence.shape
    filtered, score = g.sequence("filter", length=length, shape=(states,)), g.sequence("score", length=length)
    # A factor of a step's evidence shifts its log c_t and no gradient; exp(−10⁴) is 0, as exp(−∞) is.
    relative = chain.log_evidence - chain.log_evidence.max(axis=1, keepdims=True)
    init, evidence = g.parameter("initial", chain.log_init), g.observe("evidence", np.maximum(relative, -1e4))
    offset = g.parameter("offset", np.zeros(states))
    g.factor(
        Step(lambda pi, b, e: observe(init_of(pi), b, e)),
        init,
        evidence[0],
        offset,
        out=(filtered[0], score[0]),
        name="start",
    )
    if length > 1:
        transition = g.parameter("transition", chain.log_transition)
        g.factor(
            Step(lambda phi, b, A, e: observe(phi @ transition_of(A), b, e)),
            *(filtered[:-1], evidence[1:], transition, offset),
            out=(filtered[1:], score[1:]),
            name="step",
        )
    g.factor(Loss(lambda s: (s.sum(), (np.ones_like(s),)), vectorized=True), score[:])
    return g
