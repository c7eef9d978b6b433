"""Smoothing in dynamic Bayesian networks."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.harness import Contender, DisagreementError, Problem

TITLE = "Smoothing in a dynamic Bayesian network"
ABOUT = (
    "Posteriors given every observation, float64: the network of pgmpy's docstring (Z → next Z, Z → X → "
    "Y) and factorial HMMs of M chains of K states with one symbol of 4. msgpass runs a kept graph from "
    "slice to slice and reads the beliefs of every hidden node at every step; so does its chain of all "
    "combinations of states. pgmpy answers one query, P(first hidden node at 0 | y), from a network that "
    "is kept: its answers to queries over several slices are wrong, and from some hundred steps on they "
    "are NaN, so that longer series leave it out. Before anything is timed, posteriors of a short series "
    "are compared with enumeration."
)
PATHS = 100_000


@dataclass(frozen=True)
class Net:
    """M chains, each with a start and a transition, and p(symbol | all of them); ``through`` puts a node that
    the chain emits between, as pgmpy's docstring does."""

    starts: list[np.ndarray]
    transitions: list[np.ndarray]
    through: np.ndarray | None
    symbol: np.ndarray

    @property
    def sizes(self) -> list[int]:
        """States of the chains."""
        return [len(s) for s in self.starts]

    @property
    def emission(self) -> np.ndarray:
        """p(symbol | chains)."""
        return self.symbol if self.through is None else self.through @ self.symbol


def docstring() -> Net:
    return Net(
        [np.array([0.5, 0.5])],
        [np.array([[0.4, 0.6], [0.7, 0.3]])],
        np.array([[0.6, 0.4], [0.9, 0.1]]),
        np.array([[0.2, 0.8], [0.3, 0.7]]),
    )


def factorial(M: int, K: int) -> Net:
    rng = np.random.default_rng(M * 100 + K)
    return Net(
        [np.full(K, 1 / K)] * M,
        [rng.dirichlet(np.ones(K), K) for _ in range(M)],
        None,
        rng.dirichlet(np.ones(4), (K,) * M),
    )


def problems(effort: Effort) -> Iterator[Problem]:
    """Series as long as pgmpy bears, and ten thousand steps without it."""
    nets = [("pgmpy's docstring", docstring()), ("factorial, M=2, K=3", factorial(2, 3))]
    if effort != "quick":
        nets += [(f"factorial, M={M}, K={K}", factorial(M, K)) for M, K in ((3, 4), (5, 3), (5, 4), (6, 4))]
    for label, net in nets:
        # Messages of six chains take 200 kB a step.
        longer = (10_000,) if np.prod(net.sizes) <= 256 else ()
        for T in (50,) if effort == "quick" else (200, *longer):
            y = np.random.default_rng(T).integers(net.symbol.shape[-1], size=T)
            # In pgmpy 1.1.2 one query over 200 steps of five chains of three states takes minutes.
            fits = T <= 200 and np.prod(net.sizes) <= 64
            contenders = {"msgpass": partial(msgpass_slices, net, y)}
            if len(net.sizes) > 1:
                contenders["msgpass, one chain of all states"] = partial(msgpass_chain, net, y)
            if fits:
                contenders["pgmpy, one query"] = partial(pgmpy_query, net, y)
            yield Problem(
                label=f"{label}, T={T}",
                contenders=contenders,
                tolerance=1e-8,
                unit="µs/step",
                per=1e6 / T,
                flops=4.0 * T * sum(net.sizes) * float(np.prod(net.sizes)),
                traffic=8.0 * T * (sum(net.sizes) + 1),
            )


def msgpass_slices(net: Net, y: np.ndarray) -> Contender:
    """One sequence a chain, from slice to slice."""
    from msgpass import FactorGraph, JunctionTree, Table, run

    def graph(y):
        g, T = FactorGraph(), len(y)
        z = [g.sequence(f"z{m}", length=T, states=K) for m, K in enumerate(net.sizes)]
        for own, start, transition in zip(z, net.starts, net.transitions, strict=True):
            g.factor(Table(np.log(start)), own[0])
            g.factor(Table(np.log(transition)), own[:-1], own[1:])
        last = z
        if net.through is not None:
            last = [g.sequence("x", length=T, states=net.through.shape[-1])]
            g.factor(Table(np.log(net.through)), z[0][:], last[0][:])
        seen = g.observe("y", y, states=net.symbol.shape[-1])
        g.factor(Table(np.log(net.symbol)), *(own[:] for own in last), seen[:])
        return g, [own.name for own in dict.fromkeys([*z, *last])]

    def answer(g, names):
        m = run(g, schedule=JunctionTree())
        found = [np.exp(m.belief[name]) for name in names]
        return {"first": found[0][0]}

    short = y[: max(1, min(3, int(np.log(PATHS) / np.log(np.prod(net.sizes)))))]
    gap = np.abs(answer(*graph(short))["first"] - enumerated(net, short)).max()
    if gap > 1e-10:
        raise DisagreementError(f"posteriors differ from enumeration by {gap:.3g}")
    return partial(answer, *graph(y))


def msgpass_chain(net: Net, y: np.ndarray) -> Contender:
    """The same as one hidden Markov model."""
    from msgpass import FactorGraph, Table, run

    start, transition = net.starts[0], net.transitions[0]
    for other_start, other in zip(net.starts[1:], net.transitions[1:], strict=True):
        start, transition = np.kron(start, other_start), np.kron(transition, other)
    g = FactorGraph()
    z = g.sequence("z", length=len(y), states=len(start))
    g.factor(Table(np.log(start)), z[0])
    g.factor(Table(np.log(transition)), z[:-1], z[1:])
    emission = net.emission.reshape(len(start), -1)
    g.factor(Table(np.log(emission)), z[:], g.observe("y", y, states=emission.shape[1])[:])

    def answer():
        joint = np.exp(run(g).belief["z"]).reshape(len(y), *net.sizes)
        axes = range(1, joint.ndim)
        found = [joint.sum(axis=tuple(a for a in axes if a != m + 1)) for m in range(len(net.sizes))]
        return {"first": found[0][0]}

    return answer


def pgmpy_query(net: Net, y: np.ndarray) -> Contender:
    """P(z⁰ at 0 | y)."""
    peers.require("pgmpy")
    logging.getLogger("pgmpy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pgmpy.factors.discrete import TabularCPD
        from pgmpy.inference import DBNInference
        from pgmpy.models import DynamicBayesianNetwork

        chains = [f"z{m}" for m in range(len(net.sizes))]
        net_of = DynamicBayesianNetwork()
        lasts = chains if net.through is None else ["x"]
        net_of.add_edges_from([((c, 0), (c, 1)) for c in chains])
        net_of.add_edges_from([((c, 0), ("y", 0)) for c in lasts])
        if net.through is not None:
            net_of.add_edge(("z0", 0), ("x", 0))

        def table(child, values, parents):
            cards = list(values.shape[:-1])
            columns = values.reshape(-1, values.shape[-1]).T
            net_of.add_cpds(
                TabularCPD(
                    child, values.shape[-1], columns, evidence=parents or None, evidence_card=cards or None
                )
            )

        for c, start, transition in zip(chains, net.starts, net.transitions, strict=True):
            table((c, 0), start, [])
            table((c, 1), transition, [(c, 0)])
        if net.through is not None:
            table(("x", 0), net.through, [("z0", 0)])
        table(("y", 0), net.symbol, [(c, 0) for c in lasts])
        net_of.initialize_initial_state()
        evidence = {("y", t): int(v) for t, v in enumerate(y)}

    def answer():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = DBNInference(net_of).backward_inference([("z0", 0)], evidence)
        return {"first": found["z0", 0].values}

    return answer


def enumerated(net: Net, y: np.ndarray) -> np.ndarray:
    """P(z⁰ at 0 | y), all paths of all chains added up."""
    sizes, emission = net.sizes, net.emission
    steps = list(itertools.product(*map(range, sizes)))
    found = np.zeros(sizes[0])
    for path in itertools.product(steps, repeat=len(y)):
        p = 1.0
        for m in range(len(sizes)):
            p *= net.starts[m][path[0][m]]
            for last, now in itertools.pairwise(path):
                p *= net.transitions[m][last[m], now[m]]
        for states, symbol in zip(path, y, strict=True):
            p *= emission[(*states, symbol)]
        found[path[0][0]] += p
    return found / found.sum()
