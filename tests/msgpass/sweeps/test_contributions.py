"""Terms of what arrives at a parameter: their sums, and each of them as the gradient of its own copy."""

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import Adjoint, Checkpointed, FactorGraph, Loss, OnEdges, Step, Table, Tangent, run
from msgpass.algebra.rules import ClipNorm, Scale
from msgpass.errors import ShapeError, UnavailableError, UnsupportedError
from msgpass.nodes import Parameter
from msgpass.sweeps import contributions
from tests.msgpass.mixed_models import mixed_graphs
from tests.msgpass.recurrence_models import recurrences

EXACT = {"rtol": 1e-9, "atol": 1e-11}


def cell(h, x, W, U, b):
    return np.tanh(h @ W.T + x @ U.T + b)


def batched(rng, T=4, B=3, H=2, separate=False, penalty=True, algebra=None, schedule=None):
    """A batch of recurrences; ``separate``: a copy of W for every step and sample."""
    g = FactorGraph()
    x = g.observe("x", rng.normal(size=(T, B, H)))
    h = g.sequence("h", T, shape=(B, H))
    U, b = g.parameter("U", rng.normal(size=(H, H))), g.parameter("b", rng.normal(size=H))
    start, W = g.parameter("start", rng.normal(size=H)), rng.normal(size=(H, H))
    h0 = g.variable("h0", shape=(B, H))
    g.factor(Step(lambda s: np.ones((B, 1)) * s), start, out=h0, name="spread")
    inputs = h.after(h0), x[:]
    if separate:
        copies = g.observe("W", np.broadcast_to(W, (T, B, H, H)).copy())

        def own(h, x, W, U, b):
            return np.tanh(np.einsum("...bi,...bji->...bj", h, W) + x @ U.T + b)

        g.factor(Step(own, vectorized=True), *inputs, copies[:], U, b, out=h[:], name="cell")
    else:
        parameter = g.parameter("W", W)
        g.factor(Step(cell, vectorized=True), *inputs, parameter, U, b, out=h[:], name="cell")
        if penalty:
            g.factor(Loss(lambda W: (0.5 * (W**2).sum(), (W,)), task="prior"), parameter, name="penalty")
    g.factor(Loss(lambda h: (0.5 * (h**2).sum(), (h,))), h[:], name="loss")
    return run(g, algebra, schedule)


@given(recurrences())
def test_sums_are_what_arrives(graph):
    m = run(graph)
    for node in graph.nodes.values():
        if isinstance(node, Parameter):
            c = m.contributions(node)
            np.testing.assert_allclose(c.by_step.sum(0) + c.without_step, m.parameters[node.name], **EXACT)
            np.testing.assert_allclose(
                c.by_sample.sum(0) + c.without_sample, m.parameters[node.name], **EXACT
            )


@settings(max_examples=30)
@given(mixed_graphs())
def test_sums_of_tables_and_networks_are_what_arrives(graph):
    m = run(graph)
    for name in m.parameters:
        c = m.contributions(name)
        np.testing.assert_allclose(c.by_step.sum(0) + c.without_step, m.parameters[name], **EXACT)
        assert c.by_step.shape == (c.steps, *graph[name].shape)


@pytest.mark.parametrize("schedule", [None, Checkpointed(2)])
def test_terms_are_those_of_copies(schedule):
    """∂total/∂(the copy of W that sample b uses at step t)."""
    rng = np.random.default_rng
    c = batched(rng(0), schedule=schedule).contributions("W")
    wanted = batched(rng(0), separate=True).gradient["W"]
    np.testing.assert_allclose(c.by_step_and_sample, wanted, **EXACT)
    np.testing.assert_allclose(c.by_step, wanted.sum(1), **EXACT)
    np.testing.assert_allclose(c.by_sample, wanted.sum(0), **EXACT)
    np.testing.assert_allclose(c.sample(2, 1), wanted[2, 1], **EXACT)
    np.testing.assert_allclose(list(c), wanted.sum(1), **EXACT)
    np.testing.assert_allclose(c[-1], wanted.sum(1)[-1], **EXACT)
    flat = {"step": wanted.sum(1), "sample": wanted.sum(0), "step and sample": wanted}
    for by, terms in flat.items():
        np.testing.assert_allclose(c.norms(by), np.sqrt((terms**2).sum((-1, -2))), **EXACT)


def test_what_has_no_step_or_no_sample_is_told_apart():
    m = batched(np.random.default_rng(0))
    c = m.contributions("W")
    np.testing.assert_array_equal(c.without_step, m.graph["W"].value)
    np.testing.assert_array_equal(c.without_sample, m.graph["W"].value)
    start = m.contributions("start")
    assert start.steps == 0
    np.testing.assert_allclose(start.without_step, m.parameters["start"], **EXACT)
    np.testing.assert_allclose(start.by_sample, m.gradient["h0"], **EXACT)


def test_one_factor_or_one_task():
    m = batched(np.random.default_rng(0))
    only = m.contributions("W", factor="cell")
    assert not only.without_step.any()
    np.testing.assert_allclose(only.by_step, m.contributions("W").by_step)
    prior = m.contributions("W", task="prior")
    np.testing.assert_allclose(
        prior.by_step.sum(0) + prior.without_step, m.tasks["prior"].parameters["W"], **EXACT
    )


def test_rules_are_in_the_terms():
    half = batched(np.random.default_rng(0), algebra=OnEdges(Adjoint(), {("cell", "W"): Scale(0.5)}))
    whole = batched(np.random.default_rng(0))
    for by in ("by_step", "by_sample", "by_step_and_sample"):
        found, wanted = (getattr(m.contributions("W"), by) for m in (half, whole))
        np.testing.assert_allclose(found, 0.5 * wanted, **EXACT)
    clipped = batched(np.random.default_rng(0), algebra=OnEdges(Adjoint(), {("cell", "W"): ClipNorm(0.1)}))
    c = clipped.contributions("W")
    assert c.norms().max() <= 0.1 + 1e-12
    np.testing.assert_allclose(c.by_step.sum(0) + c.without_step, clipped.parameters["W"], **EXACT)
    with pytest.raises(UnsupportedError, match="not linear"):
        _ = c.by_sample


def test_counts_of_tables_by_step():
    g = FactorGraph()
    z = g.sequence("z", length=4, states=2)
    g.factor(Table(g.parameter("A", np.log([[0.9, 0.1], [0.2, 0.8]]))), z[:-1], z[1:], name="link")
    m = run(g)
    c = m.contributions("A")
    np.testing.assert_allclose(c.by_step[1:], np.exp(m.belief["link"]), **EXACT)
    np.testing.assert_array_equal(c.by_step[0], 0)


def test_what_is_not_there_is_named():
    m = batched(np.random.default_rng(0))
    with pytest.raises(UnavailableError, match="W"):
        m.contributions("x")
    with pytest.raises(UnavailableError, match="does not read"):
        m.contributions("W", factor="loss")
    with pytest.raises(UnavailableError, match="prior"):
        m.contributions("W", task="other")
    with pytest.raises(UnavailableError, match="no step 9"):
        m.contributions("W")[9]
    with pytest.raises(ShapeError, match="norms by"):
        m.contributions("W").norms("row")
    moved = run(m.graph, Tangent({"b": np.ones(2)}, over=Adjoint()))
    with pytest.raises(UnsupportedError, match="tangent"):
        moved.contributions("W")


def test_large_stacks_are_refused(monkeypatch):
    monkeypatch.setattr(contributions, "LIMIT", 100)
    c = batched(np.random.default_rng(0)).contributions("W")
    with pytest.raises(ShapeError, match="one at a time"):
        _ = c.by_step_and_sample
    assert c.norms("step and sample").shape == (4, 3)


def test_two_clocks_need_a_factor():
    g = FactorGraph()
    w = g.parameter("w", 1.0)
    for name, T in (("a", 2), ("b", 3)):
        v, x = g.sequence(name, length=T), g.observe(f"x_{name}", np.ones(T))
        g.factor(Step(lambda x, w: w * x), x[:], w, out=v[:], name=f"to {name}")
        g.factor(Loss(lambda v: (v, 1.0)), v[:])
    m = run(g)
    with pytest.raises(UnsupportedError, match="several clocks"):
        _ = m.contributions("w").by_step
    assert m.contributions("w", factor="to b").by_step.tolist() == [1.0, 1.0, 1.0]
