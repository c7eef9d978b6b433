"""Laws of tasks: each one's messages are those of a run in which the other losses are silent."""

import numpy as np
from hypothesis import given

from msgpass import Adjoint, Checkpointed, FactorGraph, Loss, OnEdges, ParallelScan, Step, Truncated, run
from msgpass.algebra.rules import Scale, Stop
from tests.msgpass.recurrence_models import recurrences

EXACT = {"rtol": 1e-9, "atol": 1e-11}
NAMES = {"loss": None, "last loss": "last", "penalty": "prior"}


def with_tasks(graph):
    for name, task in NAMES.items():
        graph.factors[name].potential.task = task
    return graph


def alone(graph, kept: str):
    """A run in which one loss speaks."""
    others = {
        (f.name, s.node.name): Stop()
        for f in graph.factors.values()
        if not f.out and f.name != kept
        for s in f.args
    }
    return run(graph, OnEdges(Adjoint(), others))


@given(recurrences())
def test_every_task_has_the_messages_of_its_losses(graph):
    graph = with_tasks(graph)
    silent = {kept: alone(graph, kept) for kept in NAMES}
    for schedule in (None, ParallelScan(), Checkpointed(2)):
        m = run(graph, schedule=schedule)
        for kept, task in NAMES.items():
            if task is not None:
                for name, g in m.tasks[task].gradient.items() if schedule != Checkpointed(2) else ():
                    np.testing.assert_allclose(g, silent[kept].gradient[name], **EXACT)
                for name, g in m.tasks[task].parameters.items():
                    np.testing.assert_allclose(g, silent[kept].parameters[name], **EXACT)
        for name in m.gradient:
            np.testing.assert_allclose(
                m.gradient[name], sum(s.gradient[name] for s in silent.values()), **EXACT
            )
        for name in m.backward:
            np.testing.assert_allclose(
                m.backward[name], sum(s.backward[name] for s in silent.values()), **EXACT
            )


@given(recurrences(kinds=["lag one", "two outputs", "stacked"]))
def test_rules_and_windows_act_on_each_task(graph):
    graph = with_tasks(graph)
    m, half = run(graph), run(graph, OnEdges(Adjoint(), {"h": Scale(0.5)}))
    np.testing.assert_allclose(half.tasks["last"].gradient["h0"].shape, m.tasks["last"].gradient["h0"].shape)
    total = sum(half.tasks[t].parameters["W"] for t in ("last", "prior"))
    only = run(
        graph, OnEdges(Adjoint(), {"h": Scale(0.5), ("loss", "top" if "top" in graph.nodes else "h"): Stop()})
    )
    np.testing.assert_allclose(total, only.parameters["W"], **EXACT)
    whole = run(graph, schedule=Truncated(9, 9))
    np.testing.assert_allclose(whole.tasks["last"].parameters["W"], m.tasks["last"].parameters["W"], **EXACT)


def test_parameters_of_a_single_number():
    g = FactorGraph()
    w = g.parameter("w", 3.0)
    g.factor(Loss(lambda w: (2 * w, 2.0), task="a"), w)
    g.factor(Loss(lambda w: (w * w, 2 * w), task="b"), w)
    m = run(g)
    assert m.tasks["a"].parameters["w"] == 2 and m.tasks["b"].parameters["w"] == 6 and m.parameters["w"] == 8


def wide(tasks: int, T=5, B=4, H=20, seed=0, kernel=None):
    """A state too large to be linearised, with a loss a task."""
    rng = np.random.default_rng(seed)
    g = FactorGraph()
    x, h = g.observe("x", rng.normal(size=(T, B, 3))), g.sequence("h", T, shape=(B, H))
    W, U = g.parameter("W", rng.normal(size=(H, H)) / H**0.5), g.parameter("U", rng.normal(size=(H, 3)))
    h0 = g.observe("h0", rng.normal(size=(B, H)))
    cell = Step(lambda h, x, W, U: np.tanh(h @ W.T + x @ U.T), vectorized=True, kernel=kernel)
    g.factor(cell, h.after(h0), x[:], W, U, out=h[:], name="cell")
    for k in range(tasks):
        y = rng.normal(size=(T, B, H))
        g.factor(
            Loss(lambda h, y: (0.5 * ((h - y) ** 2).sum(), (h - y, None)), vectorized=True, task=f"t{k}"),
            h[:], g.observe(f"y{k}", y)[:], name=f"loss {k}",
        )  # fmt: skip
    return g


def check_wide(g, tasks):
    m = run(g)
    for k in range(tasks):
        silent = alone(g, f"loss {k}")
        for name, wanted in silent.gradient.items():
            np.testing.assert_allclose(m.tasks[f"t{k}"].gradient[name], wanted, rtol=1e-8, atol=1e-10)
    for name in ("W", "h", "x", "h0"):
        np.testing.assert_allclose(
            m.gradient[name], sum(m.tasks[f"t{k}"].gradient[name] for k in range(tasks)), **EXACT
        )


def test_a_large_state_takes_its_tasks_as_more_instances():
    check_wide(wide(3), 3)


def test_a_compiled_sweep_takes_tasks_one_by_one(monkeypatch):
    from msgpass.sweeps import compiled_recurrence

    monkeypatch.setattr(compiled_recurrence, "PATIENCE", -1.0)
    check_wide(wide(3, kernel="tanh"), 3)
