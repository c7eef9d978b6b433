"""All marginals of networks that pgmpy bundles."""

from __future__ import annotations

import gzip
import logging
import warnings
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.harness import Contender, Problem

TITLE = "All marginals of Bayesian networks"
ABOUT = (
    "Marginals of every variable that is not observed, float64, of networks that pgmpy bundles: without "
    "evidence, and with three variables observed, others at every call (eight sets in turn, drawn from "
    "the network; in munin one). Graphs and networks are built before anything is timed and kept. "
    "msgpass runs JunctionTree('best') and reads all beliefs; its first call, compilation left out, "
    "also finds the order of elimination and lays out the cliques: it is timed as a contender of its "
    "own, with a new graph at every call. pgmpy's fastest exact method is VariableElimination with its "
    "default contraction by opt_einsum, a query a variable, each of which leaves out what its answer "
    "does not depend on; joint queries of several variables would build the table of all of them. "
    "pgmpy's BeliefPropagation is timed where its clique trees, which disregard numbers of states, take "
    "less than a second: one calibration, then each marginal from the smallest clique that has it; "
    "evidence goes into the cliques before. Rows of the files' tables add up to 1 to about eight "
    "digits, which pgmpy does not see where it leaves variables out; so results are compared to 1e-7. "
    "munin1 is left out: its clique trees have tables of 8 * 10^7 entries."
)
NETWORKS = ("child", "insurance", "alarm", "hailfinder", "win95pts", "munin")
ORDER = "best"
SETS = 8


def problems(effort: Effort) -> Iterator[Problem]:
    """Six networks, without and with evidence."""
    for name in NETWORKS[:1] if effort == "quick" else NETWORKS:
        large = name == "munin"
        for evidence in (3,) if large else (0, 3):
            contenders = {
                "msgpass": partial(msgpass_marginals, name, evidence),
                "pgmpy": partial(pgmpy_elimination, name, evidence),
                "msgpass, first query": partial(msgpass_first, name, evidence),
            }
            if name == "child":
                contenders["pgmpy, BeliefPropagation"] = partial(pgmpy_propagation, name, evidence)
            yield Problem(
                label=f"{name}, {evidence or 'nothing'} observed",
                contenders=contenders,
                tolerance=1e-7,
                unit="ms" if not large else "s",
                per=1e3 if not large else 1.0,
            )


@cache
def text(name: str) -> str:
    """The network's BIF file."""
    folder = Path(str(peers.require("pgmpy").__file__)).parent / "utils" / "example_models"
    return gzip.decompress((folder / f"{name}.bif.gz").read_bytes()).decode()


def graph(name: str):
    """As a graph of msgpass."""
    from msgpass.interop.bif import parse_bif

    return parse_bif(text(name))


def names_of(g) -> list[str]:
    """Variables, in the file's order."""
    return list(g.state_names)


@cache
def observed(name: str, n: int) -> tuple[dict[str, str], ...]:
    """Sets of evidence, each of n variables of a draw of all, by the names of their states."""
    from msgpass import JunctionTree, run

    if not n:
        return ({},)
    g, rng = graph(name), np.random.default_rng(0)
    m, names = run(g, schedule=JunctionTree(ORDER)), names_of(g)
    sets = 1 if name == "munin" else SETS
    draws = {v: m.sample(v, np.random.default_rng(1), n=sets) for v in names}
    return tuple(
        {str(v): g.state_names[v][int(draws[v][k])] for v in rng.choice(names, n, replace=False)}
        for k in range(sets)
    )


def turns(name: str, n: int, answer) -> Contender:
    """Calls with one set of evidence after the other; the first call answers all, to be compared."""
    names = names_of(graph(name))
    sets = [(e, [v for v in names if v not in e]) for e in observed(name, n)]
    calls = 0

    def turn() -> dict[str, Any]:
        nonlocal calls
        calls += 1
        if calls > 1:
            answer(*sets[calls % len(sets)])
            return {}
        found = [answer(*one) for one in sets]
        return {f"{v} in set {k}": p for k, own in enumerate(found) for v, p in own.items()}

    return turn


def msgpass_marginals(name: str, n: int) -> Contender:
    from msgpass import JunctionTree, run

    g, schedule = graph(name), JunctionTree(ORDER)

    def answer(evidence, names):
        m = run(g, schedule=schedule, values=evidence or None)
        return {v: np.exp(m.belief[v]) for v in names}

    answer({}, names_of(g))
    return turns(name, n, answer)


def msgpass_first(name: str, n: int) -> Contender:
    """Kept graphs lay out their cliques once; here every call has to."""
    from msgpass import JunctionTree, run

    g = graph(name)

    def answer(evidence, names):
        g.plan().cache.clear()
        m = run(g, schedule=JunctionTree(ORDER), values=evidence or None)
        return {v: np.exp(m.belief[v]) for v in names}

    answer({}, names_of(g))
    return turns(name, n, answer)


@cache
def network(name: str):
    """As pgmpy reads it."""
    peers.require("pgmpy")
    logging.getLogger("pgmpy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pgmpy.readwrite import BIFReader

        return BIFReader(string=text(name)).get_model()


def pgmpy_elimination(name: str, n: int) -> Contender:
    model = network(name)
    from pgmpy.inference import VariableElimination

    inference = VariableElimination(model)

    def answer(evidence, names):
        return {
            v: ordered(inference.query([v], evidence, show_progress=False), v, g.state_names[v])
            for v in names
        }

    g = graph(name)
    return turns(name, n, answer)


def pgmpy_propagation(name: str, n: int) -> Contender:
    model, g = network(name), graph(name)
    from pgmpy.factors.discrete import DiscreteFactor
    from pgmpy.inference import BeliefPropagation

    inference = BeliefPropagation(model)
    tree = inference.junction_tree

    def answer(evidence, names):
        own = tree.copy()
        for v, state in evidence.items():
            clique = min((c for c in own.nodes() if v in c), key=len)
            states = model.states[v]
            mask = [float(s == state) for s in states]
            own.get_factors(clique).product(DiscreteFactor([v], [len(states)], mask, {v: states}))
        inference.junction_tree = own
        inference.calibrate()
        found = {}
        for v in names:
            clique = min((c for c in inference.clique_beliefs if v in c), key=len)
            rest = [u for u in clique if u != v]
            belief = inference.clique_beliefs[clique].marginalize(rest, inplace=False)
            found[v] = ordered(belief.normalize(inplace=False), v, g.state_names[v])
        return found

    return turns(name, n, answer)


def ordered(factor, name: str, states) -> np.ndarray:
    """A marginal in the order of the file's states."""
    places = [factor.state_names[name].index(s) for s in states]
    return factor.values[places]
