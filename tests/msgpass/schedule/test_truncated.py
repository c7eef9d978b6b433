"""Truncated and FixedLag: a loss at a time in (e − k1, e] reaches factors at times in (e − k2, e], nothing
else is dropped."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import FactorGraph, FixedLag, Gaussian, Loss, MaxProduct, Step, SumProduct, Truncated, run
from msgpass.errors import DataError, UnsupportedError
from tests.msgpass import gaussian_models
from tests.msgpass.mixed_models import mixed_graph
from tests.msgpass.table_models import chains, seeds
from tests.oracles import Enumeration, Flat, dense_gaussian

windows = st.builds(Truncated, st.integers(1, 4), st.integers(1, 5)) | st.builds(FixedLag, st.integers(0, 4))


def ends(length, k1):
    """Window ends e = k1 − 1, 2 k1 − 1, … and the last step."""
    return sorted({*range(k1 - 1, length, k1), length - 1})


def horizon(t, length, schedule):
    """The last time whose evidence reaches t, or None."""
    reached = [e for e in ends(length, schedule.k1) if e - schedule.k2 < t <= e]
    return max(reached, default=None)


def members(z):
    return [(int(o), n) for o, n in zip(z.clock.offsets, z.clock.lengths, strict=False)]


@given(chains(batched=False), windows, st.sampled_from([SumProduct(), MaxProduct()]))
def test_beliefs_of_a_table_chain_use_the_evidence_in_reach(graph, schedule, algebra):
    m, full = run(graph, algebra, schedule), Flat.of(graph)
    assert m.total == pytest.approx(run(graph, algebra).total, rel=1e-12), (
        "truncation drops messages, not evidence"
    )
    for start, length in members(graph["z"]):
        sizes = {k: s for k, s in full.sizes.items() if start <= k[1] < start + length}
        own = Flat(sizes, [t for t in full.tables if t[0][0] in sizes])
        for t in range(length):
            h = horizon(t, length, schedule)
            seen = Enumeration(
                own.only(
                    lambda keys, h=t if h is None else h, start=start: all(k[1] <= start + h for k in keys)
                ),
                "max" if isinstance(algebra, MaxProduct) else "sum",
            )
            np.testing.assert_allclose(
                np.exp(m.belief["z"][start + t]),
                np.exp(seen.marginal(("z", start + t))),
                rtol=1e-9,
                atol=1e-9,
            )


@given(chains(batched=False), windows)
def test_counts_of_a_table_chain_use_the_evidence_in_reach(graph, schedule):
    m, full, z = run(graph, schedule=schedule), Flat.of(graph), graph["z"]
    transition = graph["transition"].value
    if graph["link"].args[0].start == 1 or transition.shape != (z.states, z.states):
        return
    counts = np.zeros_like(transition)
    for start, length in members(z):
        sizes = {k: s for k, s in full.sizes.items() if start <= k[1] < start + length}
        own = Flat(sizes, [t for t in full.tables if t[0][0] in sizes])
        for t in range(1, length):
            h = horizon(t, length, schedule)
            if h is not None:
                seen = Enumeration(
                    own.only(lambda keys, h=h, start=start: all(k[1] <= start + h for k in keys))
                )
                counts += np.exp(seen.marginal(("z", start + t - 1), ("z", start + t)))
    np.testing.assert_allclose(m.parameters["transition"], counts, rtol=1e-9, atol=1e-9)


@given(gaussian_models.chains(), windows)
def test_beliefs_of_a_gaussian_chain_use_the_evidence_in_reach(graph, schedule):
    m, x = run(graph, Gaussian(), schedule), graph["x"]
    n = x.size
    np.testing.assert_allclose(m.total, run(graph).total, rtol=1e-10)
    for start, length in members(x):
        for t in range(length):
            h = horizon(t, length, schedule)
            seen = dense_gaussian(
                graph,
                keep=lambda keys, h=t if h is None else h, start=start: all(
                    start <= k[1] <= start + h for k in keys
                ),
            )
            np.testing.assert_allclose(
                m.belief["x"].mean[start + t].reshape(n), seen.mean(("x", start + t)), rtol=1e-7, atol=1e-8
            )
            np.testing.assert_allclose(
                m.belief["x"].cov[start + t].reshape(n, n), seen.cov(("x", start + t)), rtol=1e-7, atol=1e-8
            )


def cell(h, x, W, U):
    return np.tanh(h @ W.T + x @ U.T)


def squared(h, y):
    return 0.5 * ((h - y) ** 2).sum(), (h - y, y - h)


def stacked_net(rng, lengths, vectorized):
    """Two layers with a loss at every step of the upper one."""
    g, total = FactorGraph(), int(np.sum(lengths))
    x, below = g.observe("x", rng.normal(size=(total, 2))), None
    for k in range(2):
        h = g.sequence(f"h{k}", length=lengths, shape=(2,))
        start, W, U = (
            g.parameter(f"{name}{k}", 0.8 * rng.normal(size=size))
            for name, size in (("start", 2), ("W", (2, 2)), ("U", (2, 2)))
        )
        g.factor(
            Step(cell, vectorized=vectorized),
            h.after(start),
            x[:] if below is None else below[:],
            W,
            U,
            out=h[:],
        )
        below = h
    g.factor(Loss(squared, vectorized=vectorized), below[:], g.observe("y", rng.normal(size=(total, 2)))[:])
    return g


def windowed_loss(graph, m, schedule, moved):
    """Σ over windows of the window's losses, states before the window held where the run had them."""
    value = {n: moved.get(n, graph[n].value) for n in ("start0", "W0", "U0", "start1", "W1", "U1", "x", "y")}
    total = 0.0
    for start, length in members(graph["h0"]):
        for e in ends(length, schedule.k1):
            low, first_loss = max(0, e - schedule.k2 + 1), e // schedule.k1 * schedule.k1
            h = [m.forward[f"h{k}"][start + low - 1] if low else value[f"start{k}"] for k in range(2)]
            for t in range(low, e + 1):
                h[0] = cell(h[0], value["x"][start + t], value["W0"], value["U0"])
                h[1] = cell(h[1], h[0], value["W1"], value["U1"])
                if t >= first_loss:
                    total += squared(h[1], value["y"][start + t])[0]
    return total


@given(st.sampled_from([1, 3, 5, 8, [4, 1, 6]]), windows, st.booleans(), seeds)
def test_truncated_gradients_hold_what_lies_before_the_window(lengths, schedule, vectorized, seed):
    rng = np.random.default_rng(seed)
    graph = stacked_net(rng, lengths, vectorized)
    m = run(graph, schedule=schedule)
    for name in ("start0", "W0", "U0", "start1", "W1", "U1", "x"):
        direction = rng.normal(size=graph[name].value.shape)
        ahead, behind = (
            windowed_loss(graph, m, schedule, {name: graph[name].value + s * direction})
            for s in (1e-5, -1e-5)
        )
        np.testing.assert_allclose(
            (m.gradient[name] * direction).sum(), (ahead - behind) / 2e-5, rtol=1e-6, atol=1e-7
        )
    assert m.total == pytest.approx(run(graph).total, rel=1e-12)


@given(st.sampled_from([1, 4, [3, 1, 5]]), st.integers(1, 6), st.booleans(), seeds)
def test_windows_over_everything_are_exact(lengths, k1, vectorized, seed):
    graph = stacked_net(np.random.default_rng(seed), lengths, vectorized)
    m, whole = run(graph), run(graph, schedule=Truncated(k1, int(np.max(lengths)) + k1))
    for name in m.gradient:
        np.testing.assert_allclose(whole.gradient[name], m.gradient[name], rtol=1e-9, atol=1e-12)


@given(st.sampled_from([1, 4, [3, 1, 2]]), windows, seeds)
def test_windows_of_a_neural_hmm_give_its_scores_marginals_of_the_evidence_in_reach(lengths, schedule, seed):
    graph = mixed_graph(np.random.default_rng(seed), lengths, "local", "chain", "none", False)
    m = run(graph, schedule=schedule)
    full = Flat.of(graph, {"s": m.forward["s"]})
    for start, length in members(graph["z"]):
        sizes = {k: n for k, n in full.sizes.items() if start <= k[1] < start + length}
        own = Flat(sizes, [t for t in full.tables if t[0][0] in sizes])
        for t in range(length):
            h, wanted = horizon(t, length, schedule), 0.0
            if h is not None:
                seen = own.only(lambda keys, h=h, start=start: all(k[1] <= start + h for k in keys))
                wanted = -np.exp(Enumeration(seen).marginal(("z", start + t)))
            np.testing.assert_allclose(m.gradient["s"][start + t], wanted, rtol=1e-9, atol=1e-9)


@given(st.sampled_from([1, 4, [3, 1, 2]]), st.sampled_from(["none", "some", "all"]), st.integers(1, 4), seeds)
def test_windows_over_everything_are_exact_in_mixed_graphs(lengths, labels, k1, seed):
    graph = mixed_graph(np.random.default_rng(seed), lengths, "both", "chain", labels, True)
    m, whole = run(graph), run(graph, schedule=Truncated(k1, int(np.max(lengths)) + k1))
    for name in m.gradient:
        np.testing.assert_allclose(whole.gradient[name], m.gradient[name], rtol=1e-9, atol=1e-10)


def test_fixed_lag_is_the_truncation_by_one_step():
    assert (FixedLag(3).k1, FixedLag(3).k2) == (1, 4)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, None, "2"])
def test_windows_are_whole_numbers(bad):
    with pytest.raises(DataError, match="whole number"):
        Truncated(bad, 2)
    with pytest.raises(DataError, match="whole number"):
        Truncated(2, bad)
    with pytest.raises(DataError, match="whole number"):
        FixedLag(-1 if bad == 0 else bad)


def test_what_runs_against_the_clock_is_not_truncated():
    g = FactorGraph()
    h = g.sequence("h", length=4, shape=(2,))
    g.factor(
        Step(lambda h, W: np.tanh(W @ h)),
        h.before(g.parameter("end", np.ones(2))),
        g.parameter("W", np.eye(2)),
        out=h[:],
    )
    g.factor(Loss(lambda h: (0.5 * h @ h, (h,))), h[0])
    with pytest.raises(UnsupportedError, match="against the clock"):
        run(g, schedule=Truncated(2, 2))


def test_truncation_trap():
    """h ← w h, w = .2, h₀ = .9, loss h₃: ∂h₃/∂w = 3 w² h₀ = .108 over the whole past, w² h₀ times the steps
    in reach otherwise."""
    g = FactorGraph()
    h = g.sequence("h", length=3, shape=())
    g.factor(Step(lambda h, w: w * h), h.after(g.parameter("h0", 0.9)), g.parameter("w", 0.2), out=h[:])
    g.factor(Loss(lambda h: (float(h), (np.ones(()),))), h[-1])
    for k2, wanted in ((1, 0.036), (2, 0.072), (3, 0.108), (9, 0.108)):
        assert run(g, schedule=Truncated(1, k2)).parameters["w"] == pytest.approx(wanted, rel=1e-12)
    assert run(g).parameters["w"] == pytest.approx(0.108, rel=1e-12)
