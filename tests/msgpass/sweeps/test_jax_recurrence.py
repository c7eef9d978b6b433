"""A recurrence of a JAX function by ``lax.scan`` against the reference sweep."""

import numpy as np
import pytest

from msgpass import Adjoint, FactorGraph, Loss, Step, Tangent, Truncated, run
from msgpass.errors import NumericalError, UnsupportedError
from msgpass.sweeps import jax_recurrence

pytestmark = pytest.mark.peers
EXACT = {"rtol": 1e-12, "atol": 1e-14}
T, B, H = 9, 3, 2


@pytest.fixture(autouse=True)
def double():
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        yield


def plain(h, c, x, k, W, scale):
    """Two states, each of which reads the other, and a switch."""
    new = np.tanh(h @ W + x * scale) + 0.1 * c
    return new, np.where(k > 1, c * 0.5, c) + new**2


def in_jax(h, c, x, k, W, scale):
    from jax import numpy as jnp

    new = jnp.tanh(h @ W + x * scale) + 0.1 * c
    return new, jnp.where(k > 1, c * 0.5, c) + new**2


def graph(step, seed=0):
    rng = np.random.default_rng(seed)
    g = FactorGraph()
    h, c = g.sequence("h", T, shape=(B, H)), g.sequence("c", T, shape=(B, H))
    h0, c0 = (g.parameter(name, rng.normal(size=(B, H))) for name in ("h0", "c0"))
    x, k = g.observe("x", rng.normal(size=(T, B, H))), g.observe("s", rng.uniform(0, 3, T))
    W, scale = g.parameter("W", rng.normal(size=(H, H))), g.parameter("scale", 0.7)
    g.factor(step, h.after(h0), c.after(c0), x[:], k[:], W, scale, out=(h[:], c[:]))
    target = g.observe("target", rng.normal(size=(T, B, H)))
    g.factor(
        Loss(lambda h, y: (0.5 * ((h - y) ** 2).sum(), (h - y, y - h)), vectorized=True), h[:], target[:]
    )
    g.factor(Loss(lambda c: ((c**2).sum(), (2 * c,))), c[-1])
    return g


@pytest.mark.parametrize("f", [plain, in_jax])
def test_the_scan_gives_what_single_steps_give(f, monkeypatch):
    expected = run(graph(Step(plain)))
    for patience in (np.inf, -1.0):
        monkeypatch.setattr(jax_recurrence, "PATIENCE", patience)
        m = run(graph(Step.from_jax(f)))
        np.testing.assert_allclose(m.total, expected.total, **EXACT)
        for name in ("h", "c"):
            np.testing.assert_allclose(m.forward[name], expected.forward[name], **EXACT)
            np.testing.assert_allclose(m.backward[name], expected.backward[name], **EXACT)
        for name in ("h", "c", "x", "s", "h0", "c0", "W", "scale"):
            np.testing.assert_allclose(m.gradient[name], expected.gradient[name], **EXACT)


def test_other_schedules_and_algebras_go_step_by_step(monkeypatch):
    monkeypatch.setattr(jax_recurrence, "PATIENCE", -1.0)
    g, reference = graph(Step.from_jax(plain)), graph(Step(plain))
    schedule = Truncated(2, 4)
    mine, theirs = run(g, Adjoint(), schedule), run(reference, Adjoint(), schedule)
    np.testing.assert_allclose(mine.parameters["W"], theirs.parameters["W"], **EXACT)
    direction = {"W": np.ones((H, H))}
    mine, theirs = run(g, Tangent(direction)), run(reference, Tangent(direction))
    np.testing.assert_allclose(mine.total.tangent, theirs.total.tangent, rtol=1e-10)


def test_it_waits_until_compiling_pays(monkeypatch):
    monkeypatch.setattr(jax_recurrence, "PATIENCE", 2.5 * T * jax_recurrence.CALL)
    g = graph(Step.from_jax(plain))
    plan = g.plan()
    block = next(b for b in plan.blocks if b.kind == "Recurrence")
    assert jax_recurrence.fits(block)
    values = {name: node.value for name, node in g.nodes.items() if hasattr(node, "value")}
    made = [jax_recurrence.make(plan, 0, block, values) for _ in range(4)]
    assert [type(m).__name__ for m in made] == ["NoneType", "NoneType", "JaxSweep", "JaxSweep"]


def test_a_state_that_blows_up_is_named(monkeypatch):
    monkeypatch.setattr(jax_recurrence, "PATIENCE", -1.0)
    g = FactorGraph()
    h = g.sequence("h", 50, shape=(1,))
    g.factor(Step.from_jax(lambda h: np.exp(h)), h.after(g.parameter("h0", [1.0])), out=h[:])
    g.factor(Loss(lambda h: (h.sum(), (np.ones(1),))), h[-1])
    with pytest.raises(NumericalError, match="'h'"):
        run(g)


def test_what_numpy_code_jax_cannot_trace_is_said():
    def assigned(h):
        new = h + 0.0
        new[0] = 1.0
        return new

    g = FactorGraph()
    h = g.sequence("h", 3, shape=(2,))
    g.factor(Step.from_jax(lambda h: assigned(np.sin(h))), h.after(g.parameter("h0", np.ones(2))), out=h[:])
    g.factor(Loss(lambda h: (h.sum(), (np.ones(2),))), h[-1])
    with pytest.raises(UnsupportedError, match="assignment into an array"):
        run(g)


def test_numpy_functions_of_many_kinds():
    import jax

    from msgpass.interop.jax_boxes import for_jax

    def f(x, W):
        a, b = x[:2], np.stack([x[0], x[1] * 2])
        n = len(x) + x.ndim + x.shape[0]
        y = np.concatenate([np.maximum(a, 0.3), np.einsum("ij,j->i", W, b)]) ** 2 / n
        return [y.sum(), y.reshape(2, 2).T, -np.linalg.norm(y) + abs(y).max(), sum(v for v in b)]

    rng = np.random.default_rng(0)
    x, W = rng.normal(size=3), rng.normal(size=(2, 2))
    for mine, theirs in zip(jax.jit(for_jax(f))(x, W), f(x, W), strict=True):
        np.testing.assert_allclose(mine, theirs, **EXACT)
