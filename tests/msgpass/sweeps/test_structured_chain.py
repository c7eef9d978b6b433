"""Long factors as chains of small tables: exact under every schedule that is, on trees and loops."""

import numpy as np
import pytest

import msgpass.sweeps.structured_chain as chain
from msgpass import (
    Cardinality,
    Equal,
    ExactlyOne,
    FactorGraph,
    JunctionTree,
    MaxProduct,
    NoisyOr,
    Or,
    Parity,
    Sequential,
    Table,
    run,
)
from msgpass.errors import UnavailableError, UnsupportedError
from msgpass.gradient_check import check_gradients

SCHEDULES = pytest.mark.parametrize("schedule", [Sequential(), JunctionTree()], ids=["tree", "cliques"])


@pytest.fixture
def short(monkeypatch):
    """Everything runs as a chain."""
    monkeypatch.setattr(chain, "WHOLE", 1)


def model(kind, rng, n=2):
    """A factor over four steps' variables, one of them observed, each with evidence of its own."""
    g = FactorGraph()
    states = 3 if kind == "equal" else 2
    x = [g.sequence(f"x{k}", length=n, states=states) for k in range(3)]
    for v in x:
        g.factor(Table(rng.normal(size=(n, states))), v[:])
    y = g.observe("y", rng.integers(0, states, n), states=states)
    potential = {
        "parity": lambda: Parity(),
        "or": lambda: Or(),
        "one": lambda: ExactlyOne(),
        "equal": lambda: Equal(),
        "count": lambda: Cardinality(g.parameter("w", rng.normal(size=5))),
        "noisy": lambda: NoisyOr(g.parameter("links", rng.uniform(0.1, 0.9, 3)), g.parameter("leak", 0.2)),
        "noisy each": lambda: NoisyOr(g.parameter("links", rng.uniform(0.1, 0.9, (n, 3))), 0.2),
    }[kind]()
    order = [x[0], x[1], x[2], y] if "noisy" in kind else [x[0], y, x[1], x[2]]
    g.factor(potential, *(v[:] for v in order), name="f")
    return g


KINDS = ["parity", "or", "one", "equal", "count", "noisy", "noisy each"]


@SCHEDULES
@pytest.mark.parametrize("algebra", [None, MaxProduct()], ids=["sum", "max"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_chain_is_its_factor(kind, algebra, schedule, rng, monkeypatch):
    g = model(kind, rng)
    whole = run(g, algebra, schedule)
    monkeypatch.setattr(chain, "WHOLE", 1)
    h = model(kind, np.random.default_rng(20_240_229))
    parts = run(h, algebra, schedule)
    assert np.isclose(parts.total, whole.total, rtol=1e-12)
    for name in ("x0", "x1", "x2"):
        np.testing.assert_allclose(parts.belief[name], whole.belief[name], rtol=1e-9, atol=1e-12)
        if algebra is not None:
            np.testing.assert_array_equal(parts.assignment[name], whole.assignment[name])
    for name in g.factors["f"].potential.parameters:
        name = g.factors["f"].potential.parts[name].name
        np.testing.assert_allclose(parts.parameters[name], whole.parameters[name], rtol=1e-9, atol=1e-12)


@SCHEDULES
@pytest.mark.parametrize("kind", ["count", "noisy", "noisy each"])
def test_gradients_through_a_chain(kind, schedule, rng, short):
    check_gradients(model(kind, rng), schedule=schedule)


@SCHEDULES
@pytest.mark.parametrize("kind", ["parity", "count", "noisy"])
def test_missing_observations_are_summed_out(kind, schedule, rng, monkeypatch):
    g = model(kind, rng)
    gone = {"y": np.array([-1, 0])}
    whole = run(g, schedule=schedule, values=gone)
    monkeypatch.setattr(chain, "WHOLE", 1)
    h = model(kind, np.random.default_rng(20_240_229))
    parts = run(h, schedule=schedule, values=gone)
    assert np.isclose(parts.total, whole.total, rtol=1e-12)
    np.testing.assert_allclose(parts.belief["x1"], whole.belief["x1"], rtol=1e-9)
    for name in ("w", "links", "leak"):
        if name in g.nodes:
            np.testing.assert_allclose(parts.parameters[name], whole.parameters[name], rtol=1e-9)
    if kind != "noisy":
        with pytest.raises(UnsupportedError, match="missing observations under max-product"):
            run(h, MaxProduct(), schedule, gone)


@SCHEDULES
def test_two_hundred_bits(schedule, rng):
    """P(odd) of independent bits is ½ − ½ Π (1 − 2p)."""
    g, p = FactorGraph(), rng.uniform(0, 0.02, 200)
    x = g.sequence("x", length=200, states=2)
    g.factor(Table(np.log(np.stack([1 - p, p], axis=1))), x[:])
    g.factor(Parity(1), *(x[k] for k in range(200)), name="odd")
    m = run(g, schedule=schedule)
    assert np.isclose(m.total, np.log(0.5 - 0.5 * np.prod(1 - 2 * p)))
    rest = np.array([0.5 + 0.5 * np.prod(np.delete(1 - 2 * p, k)) for k in range(200)])
    np.testing.assert_allclose(np.exp(m.belief["x"][:, 1]), p * rest / np.exp(m.total))
    with pytest.raises(UnavailableError, match=r"2\^200 entries; read those of its variables"):
        _ = m.belief["odd"]


def test_two_overlapping_long_checks(rng):
    """A loop: bits 20 and 21 are in both checks."""
    logs = rng.normal(size=(42, 2))
    g = FactorGraph()
    x = g.sequence("x", length=42, states=2)
    g.factor(Table(logs), x[:])
    rows = np.stack([np.arange(22), np.arange(20, 42)])
    g.factor(Parity(), *(x[rows[:, k]] for k in range(22)))
    m = run(g, schedule=JunctionTree())
    p = np.exp(logs - np.logaddexp.reduce(logs, axis=1)[:, None])
    tilt = p[:, 0] - p[:, 1]
    first, last = np.prod(tilt[:20]), np.prod(tilt[22:])
    both = tilt[20] * tilt[21]
    chance = (1 + first * both + last * both + first * last) / 4
    assert np.isclose(m.total, np.log(chance) + np.logaddexp.reduce(logs, axis=1).sum())
    assert "junction tree" in repr(g.plan())


def test_long_noisy_or_under_max_says_why(rng):
    g = FactorGraph()
    x = g.sequence("x", length=30, states=2)
    g.factor(Table(rng.normal(size=(30, 2))), x[:])
    g.factor(NoisyOr(0.5, 0.1), *(x[k] for k in range(30)))
    assert np.isfinite(run(g).total)
    with pytest.raises(UnsupportedError, match="knapsack"):
        run(g, MaxProduct())
