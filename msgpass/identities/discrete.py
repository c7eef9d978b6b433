"""Identities 1, 2, 3 and 9: forward-backward, Baum-Welch, Fisher and Viterbi as derivatives of one
recursion."""

from __future__ import annotations

from itertools import product

import numpy as np

from msgpass.algebra import Adjoint, MaxProduct, SumProduct
from msgpass.identities.chains import (
    Chain,
    given_chain,
    maximising_recursion,
    normalised_filter,
    table_graph,
    unnormalised_recursion,
)
from msgpass.identities.record import Identity
from msgpass.run import run
from msgpass.schedule import ForwardOnly

ENUMERABLE = 4096
"""Paths up to which an expectation over paths is a plain sum."""

FORBIDDEN = -1e5
"""What stands for −∞ where scores are carried by a Step."""


def backward_is_adjoint(log_init=None, log_transition=None, log_evidence=None, *, seed=0) -> Identity:
    """1. β_t(i) = ∂Z/∂α_t(i): backward messages are the adjoints of the forward recursion.

    Parameters
    ----------
    log_init, log_transition, log_evidence : (K,), (K, K), (T, K) arrays, optional
        A hidden Markov chain; a random one by default.
    seed : int or numpy.random.Generator
        For the random chain.

    Notes ----- The evidence of a step may be given any factor. The factors that make Z = 1 are used, so that
    long chains stay in range.

    Examples
    --------
    >>> backward_is_adjoint(seed=1).holds
    True
    """
    chain = _with_unit_scale(given_chain(log_init, log_transition, log_evidence, seed))
    passed = run(table_graph(chain), SumProduct())
    recursion = run(unnormalised_recursion(chain), Adjoint())
    return Identity(
        1,
        "backward_is_adjoint",
        "β_t(i) = ∂Z/∂α_t(i)",
        "β from forward-backward (SumProduct)",
        "adjoint of the recursion α_t = b_t ∘ Aᵀα_{t−1} (Adjoint)",
        np.exp(passed.backward["z"]),
        recursion.gradient["alpha"],
        "Darwiche 2003; Eisner 2016",
    )


def expected_counts_are_gradients(
    log_init=None, log_transition=None, log_evidence=None, *, seed=0
) -> Identity:
    """2. γ_t = ∂log Z/∂log b_t, Σ_t ξ_t = ∂log Z/∂log A, γ_0 = ∂log Z/∂log π: the E-step is a gradient.

    Parameters as for :func:`backward_is_adjoint`.

    Examples
    --------
    >>> expected_counts_are_gradients(seed=1).holds
    True
    """
    chain = given_chain(log_init, log_transition, log_evidence, seed)
    passed = run(table_graph(chain), SumProduct())
    recursion = run(normalised_filter(chain), Adjoint())
    names = ("initial", "transition") if len(chain.log_evidence) > 1 else ("initial",)
    return Identity(
        2,
        "expected_counts_are_gradients",
        "γ_t, Σ_t ξ_t = ∂log Z/∂log b_t, ∂log Z/∂log A",
        "expected counts from forward-backward (SumProduct)",
        "gradient of the normalised filter's Σ log c_t (Adjoint)",
        _flat(*(passed.parameters[n] for n in names), np.exp(passed.belief["z"])),
        _flat(*(recursion.parameters[n] for n in names), recursion.gradient["evidence"]),
        "Baum et al. 1970; Eisner 2016",
    )


def fisher(log_init=None, log_transition=None, log_evidence=None, *, seed=0) -> Identity:
    """3. ∂log p(y)/∂θ = E[∂log p(y, z)/∂θ | y], θ the logits of π and of A's rows and an offset of each
    state's evidence.

    The expectation is a sum over all paths where there are at most 4096, and is read off the expected counts
    otherwise. Parameters as for :func:`backward_is_adjoint`.

    Examples
    --------
    >>> fisher(seed=1).holds
    True
    """
    chain = given_chain(log_init, log_transition, log_evidence, seed)
    if all(part is None for part in (log_init, log_transition, log_evidence)):
        chain = chain._replace(log_evidence=chain.log_evidence[:6])
    recursion = run(normalised_filter(chain, of_logits=True), Adjoint())
    length, states = chain.log_evidence.shape
    enumerable = length * np.log(states) <= np.log(ENUMERABLE)
    first, pairs, visits = _enumerated_counts(chain) if enumerable else _expected_counts(chain)
    init, transition = np.exp(chain.log_init), np.exp(chain.log_transition)
    complete = [first - init, visits]
    gradient = [recursion.parameters["initial"], recursion.parameters["offset"]]
    if length > 1:
        complete.append(pairs - pairs.sum(axis=1, keepdims=True) * transition)
        gradient.append(recursion.parameters["transition"])
    return Identity(
        3,
        "fisher",
        "∂log p(y)/∂θ = E[∂log p(y, z)/∂θ | y]",
        "gradient of log p(y) (Adjoint through softmax and filter)",
        "expectation of ∂log p(y, z)/∂θ over "
        + ("all paths" if enumerable else "the posterior (SumProduct)"),
        _flat(*gradient),
        _flat(*complete),
        "Fisher 1925; Salakhutdinov, Roweis & Ghahramani 2003",
    )


def max_is_cold_sum(
    log_init=None, log_transition=None, log_evidence=None, *, seed=0, coldest: float = 2.0**-20
) -> Identity:
    """9. T · log Z(θ/T) → best score as T → 0, and the Viterbi path is the gradient of the best score.

    Parameters as for :func:`backward_is_adjoint`, and

    coldest : float
        The temperature that is compared; ``details`` holds the convergence from T = 1 down to it. Theory
        allows a gap of T times the logarithm of the number of paths.

    Examples
    --------
    >>> max_is_cold_sum(seed=1).holds
    True
    """
    chain = given_chain(log_init, log_transition, log_evidence, seed)
    # The max-plus recursion carries scores as values, which must be finite; no path takes a step this bad.
    chain = Chain(*(np.maximum(part, FORBIDDEN) for part in chain))
    best = run(table_graph(chain), MaxProduct())
    temperatures = np.append(2.0 ** -np.arange(0, 12, 2), coldest)
    free = np.array([_free_energy(chain, temperature) for temperature in temperatures])
    recursion = run(maximising_recursion(chain), Adjoint())
    length, states = chain.log_evidence.shape
    return Identity(
        9,
        "max_is_cold_sum",
        "T log Z(θ/T) → best score; Viterbi path = ∂(best score)/∂log b",
        "best score and path (MaxProduct)",
        "T log Z(θ/T) at the lowest T (SumProduct), gradient of max-plus recursion (Adjoint)",
        _flat(best.total, np.eye(states)[best.assignment["z"]]),
        _flat(free[-1], recursion.gradient["evidence"]),
        "Viterbi 1967; Pearl 1988; Mensch & Blondel 2018",
        allowance=float(coldest * length * np.log(states)),
        details={"temperature": temperatures, "free energy": free, "best score": best.total},
    )


def _free_energy(chain: Chain, temperature: float) -> float:
    colder = Chain(*(part / temperature for part in chain))
    return temperature * run(table_graph(colder), SumProduct(), ForwardOnly()).total


def _with_unit_scale(chain: Chain) -> Chain:
    """The chain with b_t divided by c_t = p(y_t | y_0, …, y_{t−1})."""
    alpha = run(table_graph(chain), SumProduct()).forward["z"]
    log_z = np.logaddexp.reduce(alpha, axis=1)
    return chain._replace(log_evidence=chain.log_evidence - np.diff(log_z, prepend=0.0)[:, None])


def _expected_counts(chain: Chain):
    m = run(table_graph(chain), SumProduct())
    gamma = np.exp(m.belief["z"])
    pairs = m.parameters["transition"] if len(gamma) > 1 else np.zeros_like(chain.log_transition)
    return gamma[0], pairs, gamma.sum(axis=0)


def _enumerated_counts(chain: Chain):
    """E[first state], E[transitions], E[visits] as plain sums over all K^T paths."""
    length, states = chain.log_evidence.shape
    paths = np.array(list(product(range(states), repeat=length)))
    log_p = chain.log_init[paths[:, 0]] + chain.log_evidence[np.arange(length), paths].sum(axis=1)
    log_p = log_p + chain.log_transition[paths[:, :-1], paths[:, 1:]].sum(axis=1)
    weight = np.exp(log_p - np.logaddexp.reduce(log_p))
    one_hot = np.eye(states)[paths]
    pairs = np.einsum("n,nti,ntj->ij", weight, one_hot[:, :-1], one_hot[:, 1:])
    return weight @ one_hot[:, 0], pairs, np.einsum("n,nti->i", weight, one_hot)


def _flat(*parts) -> np.ndarray:
    return np.concatenate([np.ravel(part) for part in parts])
