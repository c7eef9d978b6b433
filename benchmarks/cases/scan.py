"""One long chain by ParallelScan and by Sequential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from benchmarks.cases import Effort
from benchmarks.harness import Contender, Problem

TITLE = "A scan over one long chain"
ABOUT = (
    "Under ParallelScan, then under Sequential: one chain of tables with one transition, or with one a step, "
    "and one Gaussian chain (a random stable system, whose gains settle, or with an observation matrix a "
    "step), on graphs that are kept: expected counts at every "
    "parameter, the log messages of every step, the best path; filter and smoother. Under Sequential, chains "
    "of tables with one transition have both processors at work as well."
)
STATES, STEPS = (
    (2, 4, 8, 16),
    {"quick": (10_000,), "normal": (100_000,), "full": (10_000, 100_000, 1_000_000)},
)
LARGEST = 40_000_000  # entries of transitions by step


def problems(effort: Effort) -> Iterator[Problem]:
    """Tables of 2 to 16 states (64 with ``full``), states of 2 to 16 real numbers."""
    for length in STEPS[effort]:
        for states in (*STATES, 32, 64) if effort == "full" else STATES:
            for by_step in (False, True):
                if length * states**2 > (LARGEST if by_step else 4 * LARGEST):
                    continue
                for reading in (counts, messages, path):
                    made = partial(_tables, states, length, by_step, reading)
                    kind = "a transition a step" if by_step else "one transition"
                    label = f"T={length}, K={states}, {kind}: {reading.__doc__}"
                    yield _problem(label, made, length)
    for length in STEPS[effort][:2]:
        for n, p in ((2, 1), (4, 2), (8, 4), (16, 8)):
            for by_step in (False, True):
                made = partial(_gaussian, n, p, length, by_step)
                kind = "an observation matrix a step" if by_step else "constant"
                yield _problem(f"T={length}, {n} states, {p} outputs, {kind}: smoother", made, length)


def _problem(label: str, made: Callable, length: int) -> Problem:
    from msgpass import ParallelScan, Sequential

    contenders = {
        "msgpass": partial(made, ParallelScan()),
        "msgpass Sequential": partial(made, Sequential()),
    }
    return Problem(label=label, contenders=contenders, tolerance=1e-8, unit="ns/step", per=1e9 / length)


def counts(graph, schedule) -> dict[str, object]:
    """counts"""
    from msgpass import run

    m = run(graph, schedule=schedule)
    return {"log_likelihood": m.total} | {name: m.lent(name) for name in m.parameters}


def messages(graph, schedule) -> dict[str, object]:
    """log messages"""
    from msgpass import run

    m = run(graph, schedule=schedule)
    return {"forward": m.forward["z"], "backward": m.backward["z"]}


def path(graph, schedule) -> dict[str, object]:
    """best path"""
    from msgpass import MaxProduct, run

    m = run(graph, MaxProduct(), schedule)
    return {"score": m.total, "path": m.assignment["z"]}


def _tables(states: int, length: int, by_step: bool, reading: Callable, schedule) -> Contender:
    from msgpass import FactorGraph, Table

    rng, g = np.random.default_rng(0), FactorGraph()
    z = g.sequence("z", length=length, states=states)
    shape = (length - 1, states, states) if by_step else (states, states)
    g.factor(Table(g.parameter("initial", np.zeros(states))), z[0])
    g.factor(Table(g.parameter("transition", rng.normal(size=shape))), z[:-1], z[1:])
    g.factor(Table(g.parameter("evidence", rng.normal(size=(length, states)))), z[:])
    return partial(reading, g, schedule)


def _gaussian(n: int, p: int, length: int, by_step: bool, schedule) -> Contender:
    from msgpass import FactorGraph, Quadratic, run

    rng, g = np.random.default_rng(0), FactorGraph()
    x = g.sequence("x", length=length, shape=(n,))
    F = rng.normal(size=(n, n))
    F *= 0.95 / np.abs(np.linalg.eigvals(F)).max()
    g.factor(Quadratic.prior(np.zeros(n), np.eye(n)), x[0])
    g.factor(Quadratic.linear_gaussian(F, np.eye(n)), x[:-1], x[1:])
    y = g.observe("y", rng.normal(size=(length, p)))
    H = rng.normal(size=(p, n))
    if by_step:
        H = H * (1 + 0.1 * rng.normal(size=(length, 1, 1)))
    g.factor(Quadratic.observation(H, np.eye(p)), x[:], y[:])

    def smoother() -> dict[str, object]:
        m = run(g, schedule=schedule)
        belief = m.belief["x"]
        return {"log_likelihood": m.total, "mean": belief.mean, "cov": belief.cov}

    return smoother
