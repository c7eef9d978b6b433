"""Loopy belief propagation: grids, random graphs, a code."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.harness import Contender, Problem

TITLE = "Loopy belief propagation"
ABOUT = (
    "Synchronous sum-product sweeps without damping, and the marginals after them: spins on a grid with a "
    "table an edge, the same on random graphs of three edges a spin, and Gallager's (3, 6) code after a "
    "binary symmetric channel that turns one bit in twenty-five. msgpass in float64, from the arrays of a "
    "run to marginals, its set-up included; "
    "PGMax in float32, on messages that lie ready, without its set-up, its checks as lists of the 32 even "
    "words of six bits. Graphs are kept by both. An odd-looking unit: nanoseconds a message, that is, a call "
    "over its sweeps and over two messages an edge (the code: one message each way)."
)
SWEEPS, CODE_SWEEPS = 50, 20


@dataclass(frozen=True)
class Spins:
    """Couplings of pairs and fields; log tables are J s s' and h s, s = ∓1."""

    n: int
    pairs: np.ndarray
    J: np.ndarray
    h: np.ndarray

    @property
    def tables(self) -> np.ndarray:
        """(pairs, 2, 2)."""
        return self.J[:, None, None] * np.array([[1.0, -1.0], [-1.0, 1.0]])

    @property
    def fields(self) -> np.ndarray:
        """(n, 2)."""
        return self.h[:, None] * np.array([-1.0, 1.0])


def grid(side: int) -> Spins:
    numbers = np.arange(side * side).reshape(side, side)
    across = np.stack([numbers[:, :-1].ravel(), numbers[:, 1:].ravel()], axis=1)
    down = np.stack([numbers[:-1].ravel(), numbers[1:].ravel()], axis=1)
    return _spins(side * side, np.concatenate([across, down]))


def random(n: int) -> Spins:
    rng = np.random.default_rng(n)
    pairs = np.sort(rng.integers(n, size=(3 * n + n // 100, 2)), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return _spins(n, pairs[rng.permutation(len(pairs))[: 3 * n]])


def _spins(n: int, pairs: np.ndarray) -> Spins:
    rng = np.random.default_rng(0)
    return Spins(n, pairs, 0.3 * rng.normal(size=len(pairs)), 0.1 * rng.normal(size=n))


def problems(effort: Effort) -> Iterator[Problem]:
    """A grid and a code beside PGMax, and graphs of up to a million edges."""
    sides = {"quick": (30,), "normal": (100, 320, 708), "full": (100, 320, 708)}[effort]
    for side in sides:
        spins = grid(side)
        label = f"grid {side} × {side}, {len(spins.pairs)} edges, {SWEEPS} sweeps"
        yield _problem(label, spins, side <= 100)
    for n in {"quick": (1000,), "normal": (3333, 33_333, 333_333), "full": (3333, 33_333, 333_333)}[effort]:
        spins = random(n)
        label = f"random graph, {len(spins.pairs)} edges, {SWEEPS} sweeps"
        yield _problem(label, spins, n <= 3333)
    for n in (600,) if effort == "quick" else (1200, 6000):
        contenders = {"msgpass": partial(_our_code, n), "PGMax": partial(_their_code, n)}
        per = 1e9 / (CODE_SWEEPS * 2 * 3 * n)
        label = f"code of {n} bits, {CODE_SWEEPS} sweeps"
        yield Problem(label, contenders, 1e-3, "ns/message", per)


def _problem(label: str, spins: Spins, beside: bool) -> Problem:
    contenders = {"msgpass": partial(_ours, spins)}
    if beside:
        contenders["PGMax"] = partial(_theirs, spins)
    return Problem(label, contenders, 1e-4, "ns/message", 1e9 / (SWEEPS * 2 * len(spins.pairs)))


def _ours(spins: Spins) -> Contender:
    from msgpass import FactorGraph, Flooding, Table, run
    from msgpass.errors import ConvergenceWarning

    g = FactorGraph()
    s = g.sequence("s", length=spins.n, states=2)
    i, j = spins.pairs.T
    g.factor(Table(g.parameter("J", spins.tables)), s[i], s[j])
    g.factor(Table(g.parameter("h", spins.fields)), s[:])
    schedule = Flooding("flood", tol=0, max_iter=SWEEPS)

    def call() -> dict[str, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return {"p(up)": np.exp(run(g, schedule=schedule).belief["s"][:, 1])}

    return call


def _theirs(spins: Spins) -> Contender:
    peers.pgmax()
    from pgmax import fgroup

    def factors(v):
        scopes = [[v[int(a)], v[int(b)]] for a, b in spins.pairs]
        return fgroup.PairwiseFactorGroup(variables_for_factors=scopes, log_potential_matrix=spins.tables)

    return _their_call(spins.n, factors, spins.fields, SWEEPS, "p(up)")


def _their_call(n: int, factors, evidence: np.ndarray, sweeps: int, name: str) -> Contender:
    import jax
    from pgmax import fgraph, infer, vgroup

    v = vgroup.NDVarArray(num_states=2, shape=(n,))
    graph = fgraph.FactorGraph(variable_groups=v)
    graph.add_factors(factors(v))
    inferer = infer.build_inferer(graph.bp_state, backend="bp")
    start = inferer.init(evidence_updates={v: evidence})

    def call() -> dict[str, np.ndarray]:
        arrays = inferer.run(start, num_iters=sweeps, damping=0.0, temperature=1.0)
        found = infer.get_marginals(inferer.get_beliefs(jax.block_until_ready(arrays)))
        return {name: np.asarray(found[v])[:, 1]}

    return call


def _sent(n: int):
    """A code, and what arrives of a word of it, as log evidence (n, 2)."""
    from msgpass.codes import BinarySymmetric, gallager

    code, channel, rng = gallager(n, seed=0), BinarySymmetric(0.04), np.random.default_rng(0)
    sent = code.encode(rng.integers(0, 2, code.dimension))
    return code, channel.log_evidence(channel.send(sent, rng))


def _our_code(n: int) -> Contender:
    from msgpass import FactorGraph, Flooding, Table, run
    from msgpass.codes import parity_checks
    from msgpass.errors import ConvergenceWarning

    code, evidence = _sent(n)
    g = FactorGraph()
    x = g.sequence("x", length=n, states=2)
    g.factor(Table(g.parameter("evidence", evidence)), x[:])
    parity_checks(g, x, code)
    schedule = Flooding("flood", tol=0, max_iter=CODE_SWEEPS)

    def call() -> dict[str, np.ndarray]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            return {"p(1)": np.exp(run(g, schedule=schedule).belief["x"][:, 1])}

    return call


def _their_code(n: int) -> Contender:
    peers.pgmax()
    from pgmax import fgroup

    code, evidence = _sent(n)

    def factors(v):
        scopes = [[v[int(b)] for b in bits] for bits in code.checks]
        even = np.array([w for w in itertools.product((0, 1), repeat=6) if sum(w) % 2 == 0])
        return fgroup.EnumFactorGroup(variables_for_factors=scopes, factor_configs=even)

    return _their_call(n, factors, evidence, CODE_SWEEPS, "p(1)")
