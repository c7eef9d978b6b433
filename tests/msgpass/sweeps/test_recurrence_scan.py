"""Cotangents of recurrences by a scan: which recurrences scan, and that they say what the sweep says."""

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, ParallelScan, Step, run
from msgpass.sweeps import recurrence
from tests.msgpass.recurrence_models import recurrence as model

EXACT = {"rtol": 1e-9, "atol": 1e-11}


@pytest.fixture
def scanned(monkeypatch):
    """Whether each scan that was tried went through."""
    calls, original = [], recurrence.scan_cotangents

    def noted(*arguments):
        calls.append(original(*arguments))
        return calls[-1]

    monkeypatch.setattr(recurrence, "scan_cotangents", noted)
    return calls


@pytest.mark.parametrize("lengths", [1, 60, [20, 1, 33]])
@pytest.mark.parametrize("kind", ["lag one", "reverse", "two outputs"])
def test_a_step_that_reads_the_one_before_scans(kind, lengths, scanned):
    graph = model(np.random.default_rng(0), kind, lengths, vectorized=True)
    m, other = run(graph), run(graph, schedule=ParallelScan())
    for node in graph.nodes:
        np.testing.assert_allclose(other.gradient[node], m.gradient[node], **EXACT)
    assert scanned == [True]


@pytest.mark.parametrize(
    ("kind", "vectorized"), [("lag two", True), ("two families", True), ("lag one", False)]
)
def test_any_other_is_swept(kind, vectorized, scanned):
    graph = model(np.random.default_rng(1), kind, 12, vectorized=vectorized)
    m, other = run(graph), run(graph, schedule=ParallelScan())
    for node in graph.nodes:
        np.testing.assert_array_equal(other.gradient[node], m.gradient[node])
    assert not scanned


def steep(T, H):
    """Jacobians of 10³ by the step's own word, while values stay as they are; only the first step has a
    loss.
    """
    g = FactorGraph()
    h = g.sequence("h", length=T, shape=(H,))
    step = Step(lambda h: 1.0 * h, vjp=lambda given, c: (1e3 * c,), vectorized=True)
    g.factor(step, h.after(g.parameter("h0", np.ones(H))), out=h[:])
    g.factor(Loss(lambda h: (float(h.sum()), (np.ones_like(h),))), h[0])
    return g


@pytest.mark.parametrize("H", [1, 16])
def test_products_that_overflow_are_swept(H, scanned):
    """The product of 600 is no number, but nothing runs through it; in one tree, and in blocks."""
    m, other = run(steep(600, H)), run(steep(600, H), schedule=ParallelScan())
    assert scanned == [False]
    np.testing.assert_array_equal(other.gradient["h0"], m.gradient["h0"])
    np.testing.assert_array_equal(m.gradient["h0"], np.full(H, 1e3))


def test_states_of_many_numbers_are_swept(scanned):
    run(steep(20, 17), schedule=ParallelScan()).gradient["h0"]
    assert not scanned


def test_large_states_are_cut_into_blocks(scanned):
    rng = np.random.default_rng(2)
    T, H = 1200, 16
    g = FactorGraph()
    h = g.sequence("h", length=T, shape=(H,))
    step = Step(lambda h, x, W: np.tanh(h @ W.T + x), vectorized=True)
    W = g.parameter("W", rng.normal(size=(H, H)) / np.sqrt(H))
    g.factor(
        step, h.after(g.parameter("h0", np.zeros(H))), g.observe("x", rng.normal(size=(T, H)))[:], W, out=h[:]
    )
    g.factor(Loss(lambda h: (0.5 * float((h * h).sum()), (h,))), h[:])
    m, other = run(g), run(g, schedule=ParallelScan())
    for name in ("W", "x", "h0", "h"):
        np.testing.assert_allclose(other.gradient[name], m.gradient[name], rtol=1e-9, atol=1e-9)
    assert scanned == [True]
