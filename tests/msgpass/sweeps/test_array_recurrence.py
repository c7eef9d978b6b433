"""Sweeps by arrays give every message of the reference, for steps of many kinds over a batch."""

from itertools import pairwise

import numpy as np
import pytest

from msgpass import Checkpointed, FactorGraph, Loss, Sequential, Step, Truncated, run
from msgpass.sweeps import traced_recurrence
from msgpass.sweeps.array_recurrence import ArraySweep
from tests.msgpass.sweeps.test_traced_recurrence import same_messages, sweeps

RNG = np.random.default_rng(1)
MASK = np.array([1.0, 0.0, 1.0])


def net(h, x, s, w, b, each):
    return h + 0.1 * np.tanh(h @ w + b + s * x)


def columns(h, x, s, w, b, each):
    u, v, z = h[:, 0], h[:, 1], h[:, 2]
    return np.stack([u + 0.1 * s * v, v - 0.1 * np.sin(u) * b[0], z * 0.9 + x[:, 0]], axis=-1)


def kinks(h, x, s, w, b, each):
    return np.where(h > x, np.maximum(h, b) * 0.5, np.abs(h) - np.minimum(x, 0.2)) * MASK + 0.1 * h


def softmax(h, x, s, w, b, each):
    e = np.exp(h - np.max(h, axis=1, keepdims=True))
    return h * 0.5 + (e / e.sum(axis=1, keepdims=True)) @ w + each


def bilinear(h, x, s, w, b, each):
    score = np.einsum("bi,bj->bij", h, x)
    return 0.3 * h + 0.1 * np.einsum("bij,bj->bi", score, x) + np.sqrt(1 + h**2) * s


def deep(h, x, s, w, b, each):
    for _ in range(2):
        h = np.tanh((h @ w) * s + b) + 0.2 * x
    return h / (1 + np.sum(h * h, axis=-1, keepdims=True))


def single_column(h, x, s, w, b, each):
    return np.concatenate([h[:, 1:], np.reshape(h[:, 0] * np.log(2 + np.cos(x[:, 0])), (-1, 1))], axis=1) + b


FUNCTIONS = [net, columns, kinks, softmax, bilinear, deep, single_column]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """By arrays, from the first run on."""
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 0.0)
    monkeypatch.setattr(traced_recurrence, "MANY", 1)
    monkeypatch.setattr(traced_recurrence, "MOST_OPERATIONS", 0)


def model(f, kernel, rows=19, length=(5, 3), dtype=float, vectorized=False, reverse=False):
    """A recurrence over a batch, with an input a row, one a step, shared ones and one a row for all steps."""
    rng = np.random.default_rng(0)
    total = sum(length)
    g = FactorGraph()
    x = g.observe("x", rng.normal(size=(total, rows, 3)).astype(dtype))
    s = g.observe("s", rng.uniform(0.5, 1, total).astype(dtype))
    w = g.parameter("w", (rng.normal(size=(3, 3)) / 2).astype(dtype))
    b = g.parameter("b", rng.normal(size=3).astype(dtype))
    each = g.parameter("each", rng.normal(size=(rows, 3)).astype(dtype))
    start = g.parameter("start", rng.normal(size=(rows, 3)).astype(dtype))
    h = g.sequence("h", length=list(length), shape=(rows, 3))

    def many(h, x, s, w, b, each):
        return f(h[0], x[0], s[0], w, b, each)[None]

    used = many if vectorized and kernel else f
    step = Step(used, kernel=kernel, vectorized=vectorized and bool(kernel))
    before = h.before(start) if reverse else h.after(start)
    g.factor(step, before, x[:], s[:], w, b, each, out=h[:], name="step")
    target = rng.normal(size=(rows, 3)).astype(dtype)
    g.factor(Loss(lambda y: (((y - target) ** 2).sum(), 2 * (y - target))), h[:])
    return g


@pytest.mark.parametrize("f", FUNCTIONS, ids=lambda f: f.__name__)
def test_every_message_is_that_of_the_reference(f):
    m, wanted = run(model(f, "auto")), run(model(f, None))
    assert ArraySweep in sweeps(m)
    same_messages(m, wanted)


@pytest.mark.parametrize("rows", [8, 16, 40])
@pytest.mark.parametrize("vectorized", [False, True])
def test_batches_that_fill_blocks_and_do_not(rows, vectorized):
    options = {"rows": rows, "vectorized": vectorized, "length": (4,)}
    m = run(model(net, "auto", **options))
    assert ArraySweep in sweeps(m)
    same_messages(m, run(model(net, None, **options)))


def test_against_the_clock():
    m, wanted = (run(model(net, kernel, reverse=True)) for kernel in ("auto", None))
    assert ArraySweep in sweeps(m)
    same_messages(m, wanted)


@pytest.mark.parametrize("schedule", [Truncated(2, 3), Checkpointed(2)])
def test_schedules(schedule):
    m, wanted = (run(model(net, kernel), schedule=schedule) for kernel in ("auto", None))
    np.testing.assert_allclose(m.total, wanted.total, rtol=1e-10)
    for name, g in wanted.parameters.items():
        np.testing.assert_allclose(m.parameters[name], g, rtol=1e-8, atol=1e-10)


def test_single_precision():
    m, wanted = (run(model(net, kernel, dtype=np.float32)) for kernel in ("auto", None))
    assert ArraySweep in sweeps(m)
    assert m.gradient["h"].dtype == m.parameters["w"].dtype == np.float32
    same_messages(m, wanted, 2e-4, 2e-4)


def test_the_same_bits_again():
    one, other = run(model(deep, "auto")), run(model(deep, "auto"))
    for name, g in one.parameters.items():
        np.testing.assert_array_equal(g, other.parameters[name])


@pytest.mark.parametrize("width", [64, 67])
def test_wide_layers(width):
    """Products and their weights' gradients in whole tiles and in parts of them."""
    rng = np.random.default_rng(2)
    a, c = rng.normal(size=(3, width)) / 2, rng.normal(size=(width, width)) / width

    def f(h, x, s, w, b, each):
        wide = np.tanh(np.tanh(h @ a + 0.1 * (h @ w) @ a) @ c)
        return 0.5 * h + wide @ c @ c.T[:, :3] + x

    m, wanted = run(model(f, "auto")), run(model(f, None))
    assert ArraySweep in sweeps(m)
    same_messages(m, wanted)


@pytest.mark.parametrize("sizes", [(3, 20, 21, 3), (3, 64, 64, 3)])
def test_gradients_of_layers(sizes):
    def graph(kernel):
        rng = np.random.default_rng(3)
        g = FactorGraph()
        weights = [g.parameter(f"w{k}", rng.normal(size=s) / 4) for k, s in enumerate(pairwise(sizes))]
        biases = [g.parameter(f"b{k}", rng.normal(size=n)) for k, n in enumerate(sizes[1:])]
        start = g.parameter("start", rng.normal(size=(33, 3)))
        h = g.sequence("h", 3, shape=(33, 3))

        def f(h, *rest):
            for w, b in zip(rest[:3], rest[3:], strict=True):
                h = np.tanh(h @ w + b)
            return h

        g.factor(Step(f, kernel=kernel), h.after(start), *weights, *biases, out=h[:])
        g.factor(Loss(lambda y: ((y**2).sum(), 2 * y)), h[:])
        return g

    m, wanted = run(graph("auto")), run(graph(None))
    assert ArraySweep in sweeps(m)
    same_messages(m, wanted)


def test_rows_that_read_each_other_run_as_they_are():
    def f(h, x, s, w, b, each):
        return 0.5 * h + h.mean(axis=0) + x

    m, wanted = (run(model(f, kernel), schedule=Sequential()) for kernel in ("auto", None))
    assert ArraySweep not in sweeps(m)
    same_messages(m, wanted)


def test_chosen_by_size(monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 0.0)
    m = run(model(net, "auto"))
    assert ArraySweep not in sweeps(m), "few numbers run one by one"


def test_large_steps_wait_for_no_more_than_their_own_work(monkeypatch):
    """What waits is counted by the numbers of a step, not by its calls alone."""
    monkeypatch.setattr(traced_recurrence, "PATIENCE", 1.0)
    rng = np.random.default_rng(0)
    w, v = rng.normal(size=(2, 64)) / 8, rng.normal(size=(64, 2)) / 8
    g = FactorGraph()
    h, start = g.sequence("h", 300, shape=(128, 2)), g.parameter("start", rng.normal(size=(128, 2)))
    given = g.parameter("w", w), g.parameter("v", v)

    def f(h, w, v):
        for _ in range(4):
            h = h + 0.001 * np.tanh(h @ w) @ v
        return h

    g.factor(Step(f, kernel="auto"), h.after(start), *given, out=h[:])
    g.factor(Loss(lambda y: ((y**2).sum(), 2 * y)), h[-1])
    kinds = [sweeps(run(g))[0] for _ in range(6)]
    assert kinds[0] is not ArraySweep and kinds[-1] is ArraySweep
