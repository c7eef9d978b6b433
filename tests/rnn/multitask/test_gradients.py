"""Gradients by task and their conflicts, against separate runs and definitions."""

from dataclasses import replace

import numpy as np
import pytest

from msgpass import FactorGraph, Loss, Step, Truncated, run
from msgpass.errors import DataError, UnavailableError
from rnn import CRF, GRU, RNN, Linear, Several, SquaredError, TagChain, bptt
from rnn.multitask import MGDA, TaskGradients, conflicts, conflicts_of, task_gradients
from rnn.training.reach import reached
from tests.rnn.multitask.multitask_models import CELLS, problem


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("more", [{}, {"num_layers": 2}, {"bidirectional": True}])
def test_one_sweep_is_separate_runs(cell, more, rng):
    net, x, losses = problem(rng, cell, tasks=3, **more)
    if "bidirectional" in more:
        for loss in losses:
            loss.readout = Linear(10, loss.readout.weights["weight"].shape[0], random_state=4)
    found = task_gradients(net, x, Several(*losses))
    assert found.tasks == ("level", "kind", "count") and set(found.names) == set(net.weights)
    for loss in losses:
        alone = bptt(net, x, loss)
        np.testing.assert_allclose(found.totals[loss.task], alone.total, rtol=1e-12)
        for key in found.names:
            np.testing.assert_allclose(
                found.by_task[loss.task][key], alone.parameters[key], rtol=1e-9, atol=1e-12
            )
    for key in found.names:
        total = sum(found.by_task[task][key] for task in found.tasks)
        np.testing.assert_allclose(total, found.messages.parameters[key], rtol=1e-9, atol=1e-12)


def test_under_windows(rng):
    net, x, losses = problem(rng)
    found = task_gradients(net, x, Several(*losses), Truncated(1, 3))
    alone = bptt(net, x, losses[1], Truncated(1, 3))
    np.testing.assert_allclose(
        found.by_task["kind"]["weight_hh_l0"], alone.parameters["weight_hh_l0"], rtol=1e-9
    )


def test_cosines_by_group(rng):
    net, x, losses = problem(rng, tasks=3)
    groups = {"recurrent": ["weight_hh_l0", "bias_hh_l0"], "input": "weight_ih_l0"}
    found = task_gradients(net, x, Several(*losses), groups=groups)
    for group, keys in {
        "all": found.names,
        "recurrent": groups["recurrent"],
        "input": ["weight_ih_l0"],
    }.items():
        G = np.stack([np.concatenate([g[k].ravel() for k in keys]) for g in found.by_task.values()])
        np.testing.assert_array_equal(found.matrix(group), G)
        np.testing.assert_allclose(found.norms(group), np.linalg.norm(G, axis=1))
        wanted = G @ G.T / np.outer(*[np.linalg.norm(G, axis=1)] * 2)
        np.testing.assert_allclose(found.cosines(group), wanted, rtol=1e-12)
        np.testing.assert_allclose(np.diag(found.cosines(group)), 1)
    np.testing.assert_array_equal(
        found.matrix("bias_hh_l0"), found.matrix()[:, found.vector().parts["bias_hh_l0"]]
    )
    d = found.combined(MGDA())
    np.testing.assert_allclose(found.vector().joined(d), MGDA()(found.matrix()).direction)
    assert "3" not in repr(found)[:5] and "shared weights" in repr(found)


def test_a_task_at_rest_has_no_cosine(rng):
    net, x, losses = problem(rng)
    found = task_gradients(net, x, Several(*losses), names=["weight_hh_l0"])
    resting = replace(found, by_task=found.by_task | {"level": {"weight_hh_l0": np.zeros((5, 5))}})
    assert np.isnan(resting.cosines()[0]).all() and resting.cosines()[1, 1] == pytest.approx(1)


def test_reach_is_read_from_the_graph(rng):
    net, x, losses = problem(rng)
    m = bptt(net, x, Several(*losses))
    reach = reached(m.graph)
    assert reach["level"] == {*net.weights, "readout_level.weight", "readout_level.bias"} | (
        reach["level"] & {"h0_l0"}
    )
    assert None not in reach
    mixed = bptt(net, x, Several(losses[0], SquaredError(np.zeros((7, 3, 5)))))
    assert set(net.weights) <= reached(mixed.graph)[None]


def test_reach_through_a_chain_of_tables(rng):
    net = GRU(2, 4, random_state=0)
    tags = rng.integers(0, 3, size=(6, 2))
    loss = CRF(tags, TagChain(3), readout=Linear(4, 3, random_state=1))
    m = bptt(net, rng.normal(size=(6, 2, 2)), loss)
    (found,) = reached(m.graph).values()
    assert found >= {*net.weights} and found >= {k for k in m.parameters if "readout" in k}
    assert {k for k in m.parameters if np.any(m.parameters[k])} <= found


def test_what_is_not_there(rng):
    net, x, losses = problem(rng)
    with pytest.raises(UnavailableError, match="no loss of this run has a task"):
        task_gradients(net, x, SquaredError(np.zeros((7, 3, 5))))
    both = Several(*losses)
    with pytest.raises(UnavailableError, match="no parameter 'weight'"):
        task_gradients(net, x, both, names=["weight"])
    with pytest.raises(DataError, match="must be a list of shared weights"):
        task_gradients(net, x, both, groups={"heads": ["readout_level.weight"]})
    with pytest.raises(DataError, match="not be called 'all'"):
        task_gradients(net, x, both, groups={"all": ["weight_hh_l0"]})
    with pytest.raises(UnavailableError, match="no group 'x'"):
        task_gradients(net, x, both).cosines("x")
    g = FactorGraph()
    for name in "ab":
        g.factor(Loss(lambda w: (w, 1.0), task=name), g.parameter(f"w{name}", 1.0))
    with pytest.raises(DataError, match="share no parameter"):
        TaskGradients.of(run(g))


@pytest.mark.parametrize("cell", CELLS)
def test_shares_of_the_steps(cell, rng):
    net, x, losses = problem(rng, cell)
    report = conflicts(net, x, Several(*losses))
    found = report.gradients
    a, b = (found.messages.contributions("weight_hh_l0", task=t).by_step for t in found.tasks)
    whole = [found.by_task[t]["weight_hh_l0"] for t in found.tasks]
    wanted = 0.5 * (np.tensordot(a, whole[1], 2) + np.tensordot(b, whole[0], 2))
    pair = report["level", "kind", "weight_hh_l0"]
    np.testing.assert_allclose(pair.by_step, wanted, rtol=1e-9, atol=1e-12)
    assert pair.without_step == 0
    for one in report.pairs:
        np.testing.assert_allclose(one.by_step.sum() + one.without_step, one.dot, rtol=1e-9, atol=1e-11)
        assert one.conflicting == (one.dot < 0)
    assert report["kind", "level"] is report["level", "kind"]
    assert len(report.pairs) == 1 + len(found.names)


def test_a_conflict_that_comes_from_two_steps():
    """The tasks want the same but at the last two steps, and no step hears of another."""
    net, x = RNN(1, 6, random_state=1), np.ones((12, 1))
    net.load_state_dict({**net.weights, "weight_hh_l0": np.zeros((6, 6))})
    same = np.full((12, 1), 2.0)
    turned = same.copy()
    turned[-2:] = -30.0
    a, b = (
        SquaredError(y, readout=Linear(6, 1, random_state=2), task=t) for y, t in ((same, "a"), (turned, "b"))
    )
    report = conflicts(net, x, Several(a, b), names=["weight_ih_l0"])
    pair = report["a", "b"]
    assert pair.conflicting and sorted(pair.worst_steps(2)) == [10, 11]
    assert pair.by_step[-2:].max() < 2 * pair.by_step[:-2].min()
    told = repr(report).splitlines()[1]
    assert told.startswith("  a × b: conflict, cosine -1.000; pulled apart most at t=10, t=11")
    assert conflicts(net, x, Several(a, SquaredError(same, readout=b.readout, task="b"))).conflicting == ()


def test_of_any_graph_with_a_penalty():
    g = FactorGraph()
    w, x = g.parameter("w", 2.0), g.observe("x", [1.0, -3.0])
    h = g.sequence("h", length=2)
    g.factor(Step(lambda x, w: w * x), x[:], w, out=h[:])
    g.factor(Loss(lambda h: (h, 1.0), task="sum"), h[:])
    g.factor(Loss(lambda w: (0.5 * w * w, w), task="small"), w)
    pair = conflicts_of(run(g))["sum", "small"]
    # g_sum = 1 − 3, g_small = 2: half of each product is the steps', half is the penalty's
    np.testing.assert_allclose(pair.by_step, [1.0, -3.0])
    assert pair.without_step == pytest.approx(-2) and pair.dot == pytest.approx(-4) and pair.cosine == -1


def test_frames_and_figures(rng):
    pytest.importorskip("pandas"), pytest.importorskip("matplotlib")
    net, x, losses = problem(rng, tasks=3)
    report = conflicts(net, x, Several(*losses))
    frame, steps = report.to_frame(), report.to_frame("step")
    assert len(frame) == 3 * 5 and len(steps) == 3 * 5 * 7
    one = report["kind", "count", "bias_hh_l0"]
    row = frame[(frame.group == "bias_hh_l0") & (frame.task == "kind") & (frame.other == "count")]
    assert row["cosine"].item() == one.cosine and row["dot"].item() == one.dot
    assert steps.groupby(["group", "task", "other"]).share.sum()["all", "level", "kind"] == pytest.approx(
        report["level", "kind"].dot
    )
    assert len(report.gradients.to_frame()) == 15
    left, right = report.plot().axes[:2]
    assert left.images[0].get_array().shape == (5, 3) and len(right.lines) == 4
    assert "3 tasks" in repr(report)
    with pytest.raises(UnavailableError, match="no pair"):
        report["level", "level"]
