"""EM in Bayesian networks with hidden variables."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.harness import Contender, Problem

TITLE = "EM in a Bayesian network with hidden variables"
ABOUT = (
    "Two iterations from given tables, float64, of the networks' own structure: the chest clinic of "
    "Lauritzen and Spiegelhalter, whose two causes of a shadow are not seen, and random networks of binary "
    "nodes with up to three parents, some hidden. msgpass is msgpass.learning.fit with "
    "JunctionTree(); pgmpy its ExpectationMaximization with n_jobs=1, which sees each row complete but for "
    "the hidden nodes. Equal rows run once in both."
)
ITERATIONS = 2


@dataclass(frozen=True)
class Net:
    """Parents and start tables of each node, the child last, parents first; data of what is seen."""

    parents: dict[str, list[str]]
    tables: dict[str, np.ndarray]
    hidden: list[str]
    data: dict[str, np.ndarray]


def problems(effort: Effort) -> Iterator[Problem]:
    """From eight nodes to thirty."""
    clinic = {
        "asia": [], "smoke": [], "tub": ["asia"], "lung": ["smoke"], "bronc": ["smoke"],
        "either": ["tub", "lung"], "xray": ["either"], "dysp": ["either", "bronc"],
    }  # fmt: skip
    nets = [("chest clinic", clinic, ["tub", "lung"], 1000)]
    if effort != "quick":
        nets += [(f"{n} nodes, 3 hidden", structure(n), [f"x{k}" for k in (1, 4, 7)], 500) for n in (12, 30)]
    for label, parents, hidden, rows in nets:
        net = drawn(parents, hidden, rows)
        yield Problem(
            label=f"{label}, {rows} rows",
            contenders={"msgpass": partial(msgpass, net), "pgmpy": partial(pgmpy, net)},
            tolerance=1e-8,
            unit="ms/iteration",
            per=1e3 / ITERATIONS,
        )


def structure(n: int) -> dict[str, list[str]]:
    """A random network whose parents are among the five nodes before."""
    rng = np.random.default_rng(n)
    found = {}
    for k in range(n):
        near = np.arange(max(0, k - 5), k)
        chosen = rng.choice(near, min(len(near), int(rng.integers(1, 4))), replace=False)
        found[f"x{k}"] = [f"x{p}" for p in sorted(chosen)]
    return found


def drawn(parents, hidden, rows: int) -> Net:
    """Data from random tables; other random tables to start from."""
    rng = np.random.default_rng(len(parents))
    data: dict[str, np.ndarray] = {}
    for name, own in parents.items():
        p = rng.dirichlet([0.5, 0.5], (2,) * len(own))[..., 0]
        data[name] = (rng.random(rows) >= p[tuple(data[q] for q in own)]).astype(np.int64)
    tables = {name: rng.dirichlet([2.0, 2.0], (2,) * len(own)) for name, own in parents.items()}
    return Net(parents, tables, hidden, {n: c for n, c in data.items() if n not in hidden})


def msgpass(net: Net) -> Contender:
    from msgpass import FactorGraph, JunctionTree, Table
    from msgpass.learning import fit

    g = FactorGraph()
    for name in net.parents:
        g.variable(name, states=2)
    for name, own in net.parents.items():
        g.factor(Table(g.parameter(f"p({name})", np.log(net.tables[name]))), *(g[n] for n in (*own, name)))

    def iterate():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that two iterations have not converged
            found = fit(g, net.data, schedule=JunctionTree(), n_iter=ITERATIONS, tol=0).probabilities
        return {name: found[f"p({name})"] for name in net.parents}

    return iterate


def pgmpy(net: Net) -> Contender:
    peers.require("pgmpy")
    pandas = peers.require("pandas")
    logging.getLogger("pgmpy").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pgmpy.estimators import ExpectationMaximization
        from pgmpy.factors.discrete import TabularCPD
        from pgmpy.models import DiscreteBayesianNetwork

        edges = [(parent, name) for name, own in net.parents.items() for parent in own]
        model = DiscreteBayesianNetwork(edges, latents=set(net.hidden))
        start = {
            name: TabularCPD(
                name, 2, net.tables[name].reshape(-1, 2).T, evidence=own or None,
                evidence_card=[2] * len(own) or None,
            )
            for name, own in net.parents.items()
        }  # fmt: skip
        frame = pandas.DataFrame(net.data)

    def iterate():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ExpectationMaximization(model, frame).get_parameters(
                latent_card=dict.fromkeys(net.hidden, 2), max_iter=ITERATIONS, n_jobs=1, init_cpds=start,
                show_progress=False,
            )  # fmt: skip
        order = {name: [*own, name] for name, own in net.parents.items()}
        return {
            cpd.variable: cpd.values.transpose([cpd.variables.index(n) for n in order[cpd.variable]])
            for cpd in found
        }

    return iterate
