"""Stretches of causal plans: windows and checkpoints by stretches say what the sweeps in place say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from msgpass import Checkpointed, FactorGraph, FixedLag, Loss, Step, Truncated, run
from msgpass.errors import NumericalError
from msgpass.sweeps import stretches, windowed
from tests.msgpass.recurrence_models import recurrence, recurrences, squared

CAUSAL = ["lag one", "two outputs", "two families", "stacked", "no loop"]
WINDOWS = st.builds(Truncated, st.integers(1, 5), st.integers(1, 6)) | st.builds(FixedLag, st.integers(0, 4))
LENGTHS = st.integers(1, 9) | st.lists(st.integers(1, 6), min_size=2, max_size=3)


def in_place(graph, schedule):
    """The run with windows that bound the sweeps of the whole plan."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowed, "cut", lambda plan: None)
        return run(graph, schedule=schedule)


@given(recurrences(CAUSAL, LENGTHS), WINDOWS)
def test_windows_by_stretches_are_windows_in_place(graph, schedule):
    assert stretches.cut(graph.plan()) is not None
    m, wanted = run(graph, schedule=schedule), in_place(graph, schedule)
    assert m.total == wanted.total
    for name in wanted.gradient:
        np.testing.assert_allclose(
            m.gradient[name], wanted.gradient[name], rtol=1e-10, atol=1e-13, err_msg=name
        )
    for name in wanted.backward:
        np.testing.assert_allclose(
            m.backward[name], wanted.backward[name], rtol=1e-10, atol=1e-13, err_msg=name
        )


@pytest.mark.parametrize("kind", ["lag two", "reverse", "bidirectional", "attention", "encoder edge"])
def test_what_needs_more_than_the_rows_before_is_not_cut(kind, rng):
    assert stretches.cut(recurrence(rng, kind, 5).plan()) is None


def test_windows_in_several_groups(rng, monkeypatch):
    from msgpass.sweeps import windowed_stretches

    graph, schedule = recurrence(rng, "stacked", 40, True), Truncated(2, 5)
    wanted = run(graph, schedule=schedule)
    monkeypatch.setattr(windowed_stretches, "BYTES", 500)
    m = run(graph, schedule=schedule)
    for name in wanted.gradient:
        np.testing.assert_allclose(m.gradient[name], wanted.gradient[name], rtol=1e-10, atol=1e-13)


def last_row(rng, length, vectorized=True):
    """A net whose loss reads one row, with a penalty on its weight and a start made by a step."""
    g = FactorGraph()
    h = g.sequence("h", length, shape=(3,))
    W, x = g.parameter("W", 0.5 * rng.normal(size=(3, 3))), g.observe("x", rng.normal(size=(length, 3)))
    start = g.variable("start", shape=(3,))
    g.factor(Step(lambda a: np.tanh(a)), g.parameter("a", rng.normal(size=3)), out=start)
    g.factor(
        Step(lambda h, x, W: np.tanh(h @ W.T + x), vectorized=vectorized), h.after(start), x[:], W, out=h[:]
    )
    g.factor(Loss(squared), h[-1], g.observe("y", rng.normal(size=3)))
    g.factor(Loss(squared), h[2], g.observe("rows", rng.normal(size=(length, 3)))[2], name="early")
    g.factor(Loss(lambda W: (0.5 * (W**2).sum(), (W,)), task="penalty"), W)
    return g


@pytest.mark.parametrize(
    "schedule", [Checkpointed(2, 1), Checkpointed(2, 3), Checkpointed(1), Truncated(3, 9)]
)
def test_losses_of_single_rows_and_of_none(schedule, rng):
    graph = last_row(rng, 8)
    m, wanted = run(graph, schedule=schedule), run(graph)
    assert m.total == pytest.approx(wanted.total, rel=1e-13)
    assert m.tasks["penalty"].total == wanted.tasks["penalty"].total
    for name in ("a", "W", "x", "y", "rows", "start"):
        np.testing.assert_allclose(m.gradient[name], wanted.gradient[name], rtol=1e-12, atol=1e-14)


def counted(length):
    """A vectorised recurrence that counts its forward steps; in ``vjp`` nothing is evaluated."""
    calls = [0]

    def f(h, x, w):
        calls[0] += 1
        return np.tanh(w * h + x)

    def vjp(inputs, cotangent):
        h, x, w = inputs
        z = cotangent * (1 - np.tanh(w * h + x) ** 2)
        return z * w, z, np.sum(z * h)

    g = FactorGraph()
    h = g.sequence("h", length)
    start, w = g.observe("start", 0.3), g.parameter("w", 0.9)
    step = Step(f, vjp=vjp, vectorized=True)
    g.factor(step, h.after(start), g.observe("x", np.linspace(-1, 1, length))[:], w, out=h[:])
    g.factor(Loss(lambda h: (0.5 * (h**2).sum(), (h,)), vectorized=True), h[:])
    return g, calls


@pytest.mark.parametrize(("steps", "slots", "extra"), [(10, 3, 15), (20, 3, 45), (50, 3, 180)])
def test_row_22_of_the_references(steps, slots, extra):
    """Steps run forward once each for the pass back, and as often beyond as the binomial optimum says."""
    graph, calls = counted(steps)
    wanted = run(graph).parameters["w"]
    calls[0] = 0
    m = run(graph, schedule=Checkpointed(slots, stretch=1))
    assert calls[0] - steps == extra == Checkpointed(slots).extra_steps(steps)
    np.testing.assert_allclose(m.parameters["w"], wanted, rtol=1e-13)


def test_a_start_is_told_without_a_run_in_full():
    graph, calls = counted(30)
    m = run(graph, schedule=Checkpointed(2, stretch=10))
    before = calls[0]
    assert float(m.gradient["start"]) == pytest.approx(float(run(graph).gradient["start"]), rel=1e-13)
    assert calls[0] - before == 30, "only the second run"


def test_a_state_that_overflows_is_named_at_its_row_of_the_whole():
    g = FactorGraph()
    h = g.sequence("h", 700)
    step = Step(lambda h, w: w * h, vjp=lambda i, c: (c * i[1], np.sum(c * i[0])), vectorized=True)
    g.factor(step, h.after(g.observe("start", 1.0)), g.parameter("w", 10.0), out=h[:])
    g.factor(Loss(lambda h: (h.sum(), (np.ones_like(h),)), vectorized=True), h[:])
    with pytest.raises(NumericalError, match=r"'h' became NaN or infinite at step 308"):
        run(g, schedule=Checkpointed(3, stretch=50))


def test_a_run_is_freed_without_the_collector(rng):
    """Each stretch goes before the next one comes."""
    import gc
    import weakref

    alive, made = [], stretches.Stretch.start

    def start(self):
        alive.append(weakref.ref(self))
        return made(self)

    gc.collect()
    gc.disable()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(stretches.Stretch, "start", start)
            m = run(recurrence(rng, "stacked", 40, True), schedule=Checkpointed(3, 4))
        assert sum(r() is not None for r in alive) <= 1
        assert m.total > 0
    finally:
        gc.enable()
