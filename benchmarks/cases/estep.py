"""The E-step of a categorical HMM: log-likelihood, expected counts of starts, transitions and emissions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.harness import Contender, Problem

TITLE = "E-step of a categorical HMM"
ABOUT = (
    "Log-likelihood and expected counts (starts, transitions, emissions) of a categorical HMM with 16 "
    "symbols, float64; model and data lie ready, everything from there to the counts is timed. msgpass runs "
    "a kept graph and reads m.total and m.parameters; hmmlearn runs the E-step of its fit; dynamax runs its "
    "jitted smoother with transition sums, vmapped over sequences, and adds the emission counts within the "
    "same jitted function; pomegranate runs forward_backward on a tensor of equally long sequences and adds "
    "the emission counts. Share is the least time that the machine needs for 6K² operations a step over "
    "the time taken."
)
SYMBOLS = 16
STATES = (2, 4, 8, 16, 32, 64, 128, 256)
TOLERANCE = 3e-7  # of the largest count; hmmlearn and dynamax floor their normalisers, hmmlearn's logs drift


@dataclass(frozen=True)
class Data:
    """A random model and sequences of equal length sampled at random, which is as good as any for timing."""

    initial: np.ndarray
    transition: np.ndarray
    emission: np.ndarray
    symbols: np.ndarray  # (number of sequences, length)

    @classmethod
    def random(cls, states: int, sequences: int, length: int, seed: int = 0) -> Data:
        rng = np.random.default_rng(seed)
        transition = rng.dirichlet(np.ones(states), states) + 2 * np.eye(states)
        return cls(
            rng.dirichlet(np.ones(states)),
            transition / transition.sum(axis=1, keepdims=True),
            rng.dirichlet(np.ones(SYMBOLS), states),
            rng.integers(0, SYMBOLS, (sequences, length)),
        )


def problems(effort: Effort) -> Iterator[Problem]:
    """One long sequence and many short ones, for each number of states."""
    shapes = ((1, 10_000), (100, 100)) if effort == "quick" else ((1, 100_000), (1000, 100))
    for sequences, length in shapes:
        for states in STATES[:2] if effort == "quick" else STATES:
            data = Data.random(states, sequences, length)
            steps = sequences * length
            contenders = {
                "msgpass": partial(msgpass_estep, data),
                "hmmlearn scaling": partial(hmmlearn_estep, data, "scaling"),
                "hmmlearn log": partial(hmmlearn_estep, data, "log"),
                "dynamax": partial(dynamax_estep, data),
            }
            if sequences > 1 and states <= 16:  # it forms all (N, T, K, K) pairs, and loops over steps
                contenders["pomegranate"] = partial(pomegranate_estep, data)
            if states > 32 and effort != "full":
                del contenders["hmmlearn log"]  # half a minute a call
            yield Problem(
                label=f"K={states}, {sequences} × {length}",
                contenders=contenders,
                tolerance=TOLERANCE,
                unit="ns/step",
                per=1e9 / steps,
                flops=6.0 * states**2 * steps,
                traffic=8.0 * steps,  # the symbols, read once
            )


def msgpass_graph(data: Data):
    """The model as a factor graph, kept from call to call."""
    from msgpass import FactorGraph, Table

    sequences, length = data.symbols.shape
    g = FactorGraph()
    z = g.sequence("z", length=length if sequences == 1 else [length] * sequences, states=len(data.initial))
    x = g.observe("x", data.symbols.ravel(), states=SYMBOLS)
    g.factor(Table(g.parameter("initial", np.log(data.initial))), z[0])
    g.factor(Table(g.parameter("transition", np.log(data.transition))), z[:-1], z[1:])
    g.factor(Table(g.parameter("emission", np.log(data.emission))), z[:], x[:])
    return g


def msgpass_estep(data: Data, schedule=None) -> Contender:
    from msgpass import run

    g = msgpass_graph(data)

    def estep() -> dict[str, object]:
        m = run(g, schedule=schedule)
        names = ("initial", "transition", "emission")
        return {"log_likelihood": m.total} | {name: m.parameters[name] for name in names}

    return estep


def hmmlearn_estep(data: Data, implementation: str) -> Contender:
    hmm = peers.require("hmmlearn.hmm")
    sequences, length = data.symbols.shape
    model = hmm.CategoricalHMM(len(data.initial), n_features=SYMBOLS, implementation=implementation)
    model.startprob_, model.transmat_, model.emissionprob_ = data.initial, data.transition, data.emission
    x, lengths = data.symbols.reshape(-1, 1), [length] * sequences

    def estep() -> dict[str, object]:
        counts, total = model._do_estep(x, lengths)  # what fit calls; there is no public name for it
        return {
            "log_likelihood": total,
            "initial": counts["start"],
            "transition": counts["trans"],
            "emission": counts["obs"],
        }

    return estep


def dynamax_estep(data: Data) -> Contender:
    inference = peers.require("dynamax.hidden_markov_model")
    jax = peers.jax_float64()
    jnp = jax.numpy

    @jax.jit
    def estep(initial, transition, emission, symbols):
        def one(sequence):
            evidence = jnp.log(emission)[:, sequence].T
            posterior = inference.hmm_smoother(initial, transition, evidence)
            counts = jnp.zeros((SYMBOLS, len(initial))).at[sequence].add(posterior.smoothed_probs)
            return posterior.marginal_loglik, posterior.smoothed_probs[0], posterior.trans_probs, counts.T

        if len(symbols) == 1:
            return one(symbols[0])
        return tuple(part.sum(axis=0) for part in jax.vmap(one)(symbols))

    inputs = [jnp.asarray(part) for part in (data.initial, data.transition, data.emission, data.symbols)]
    names = ("log_likelihood", "initial", "transition", "emission")
    return lambda: dict(zip(names, jax.block_until_ready(estep(*inputs)), strict=True))


def pomegranate_model(data: Data):
    """(model, symbols as a tensor, torch); it works in torch's default precision, which is set to float64.

    End probabilities of 1 take no part.
    """
    hmm, torch = peers.require("pomegranate.hmm"), peers.require("torch")
    distributions = peers.require("pomegranate.distributions")
    torch.set_default_dtype(torch.float64)
    states = [distributions.Categorical(torch.tensor(row)[None]) for row in data.emission]
    edges, starts = torch.tensor(data.transition), torch.tensor(data.initial)
    model = hmm.DenseHMM(states, edges, starts, torch.ones(len(starts)), check_data=False)
    return model, torch.tensor(data.symbols)[:, :, None], torch


def pomegranate_estep(data: Data) -> Contender:
    model, symbols, torch = pomegranate_model(data)
    flat = symbols.reshape(-1)

    def estep() -> dict[str, object]:
        pairs, log_marginals, first, _, log_z = model.forward_backward(symbols)
        marginals = torch.exp(log_marginals).reshape(len(flat), -1)
        counts = torch.zeros(SYMBOLS, marginals.shape[1]).index_add_(0, flat, marginals)
        return {
            "log_likelihood": log_z.sum().item(),
            "initial": first.sum(dim=0).numpy(),
            "transition": pairs.sum(dim=0).numpy(),
            "emission": counts.T.numpy(),
        }

    return estep
