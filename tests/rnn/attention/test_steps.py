"""The steps of attention: values by loops, derivatives by differences and transposes, scores of any size."""

from types import SimpleNamespace

import numpy as np
import pytest

from rnn.attention import additive
from rnn.attention.additive import additive_step
from rnn.attention.dot import dot_step
from rnn.attention.joined import joined_step
from rnn.attention.products import match, mix, spread
from rnn.attention.read import READ
from rnn.attention.weights import weights_of
from rnn.beside import SIDE_BY_SIDE
from tests.rnn.differences import central

N, B, S, Q, A = 2, 3, 4, 3, 5


def case(kind, masked, rng):
    """A step, its inputs, and the score of one query and one key by definition."""
    query, w = rng.normal(size=(N, B, Q)), rng.normal(size=(A, Q))
    v = rng.normal(size=A)
    made = {
        "additive": (additive_step(1.7, masked), A, [w, v], lambda q, k: v @ np.tanh(w @ q + k)),
        "dot": (dot_step(1.7, masked), Q, [], lambda q, k: q @ k),
        "projected": (dot_step(1.7, masked, True), A, [w], lambda q, k: (w @ q) @ k),
    }
    step, width, weights, score = made[kind]
    mask = (np.arange(S)[:, None] < np.array([4, 1, 3])).astype(float)[..., None]
    inputs = (query, rng.normal(size=(S, B, width)), *([mask] if masked else []), *weights)
    return SimpleNamespace(step=step, inputs=inputs, score=score, mask=mask if masked else np.ones((S, B, 1)))


@pytest.fixture(params=[(k, m) for k in ("additive", "dot", "projected") for m in (False, True)], ids=str)
def problem(request, rng):
    return case(*request.param, rng)


def moving(problem):
    """Inputs that have derivatives: all but the mask."""
    masked = len(problem.mask) and any(v is problem.mask for v in problem.inputs)
    return [k for k in range(len(problem.inputs)) if not (masked and k == 2)]


def test_weights_are_the_softmax_of_scores_by_definition(problem):
    query, keys, *_ = problem.inputs
    found = problem.step.f(*problem.inputs)
    for n in range(N):
        for b in range(B):
            e = np.exp([1.7 * problem.score(query[n, b], keys[s, b]) for s in range(S)])
            e *= problem.mask[:, b, 0]
            np.testing.assert_allclose(found[n, b], e / e.sum(), rtol=1e-12, atol=1e-15)


def test_vjp_is_the_gradient(problem, rng):
    cotangent = rng.normal(size=(N, B, S))
    found = problem.step.vjp(problem.inputs, cotangent)
    for k in moving(problem):

        def value(v, k=k):
            given = (*problem.inputs[:k], v, *problem.inputs[k + 1 :])
            return float((problem.step.f(*given) * cotangent).sum())

        np.testing.assert_allclose(found[k], central(value, problem.inputs[k]), rtol=1e-6, atol=1e-8)


def test_jvp_is_the_transpose_of_vjp(problem, rng):
    cotangent = rng.normal(size=(N, B, S))
    tangents = tuple(rng.normal(size=v.shape) for v in problem.inputs)
    forward = (problem.step.jvp(problem.inputs, tangents) * cotangent).sum()
    found = problem.step.vjp(problem.inputs, cotangent)
    assert forward == pytest.approx(sum((found[k] * tangents[k]).sum() for k in moving(problem)), rel=1e-11)


def test_single_precision_stays(problem):
    given = tuple(v.astype(np.float32) for v in problem.inputs)
    out = problem.step.f(*given)
    assert out.dtype == np.float32
    assert {g.dtype.name for g in problem.step.vjp(given, out) if g is not None} == {"float32"}


def test_scores_of_any_size_are_safe():
    keys = np.array([[[1.0]], [[-1.0]], [[1.0]]])
    for q in (1e300, 1e5, 1e-300):
        a = dot_step(1.0, False).f(np.full((1, 1, 1), q), keys)
        assert np.isfinite(a).all() and a.sum() == pytest.approx(1)
    np.testing.assert_array_equal(weights_of(np.array([[[8e307, -8e307, 8e307]]])), [[[0.5, 0.0, 0.5]]])
    mask = np.array([[[1.0]], [[0.0]], [[1.0]]])
    np.testing.assert_array_equal(weights_of(np.array([[[0.0, 1e308, 0.0]]]), mask), [[[0.5, 0.0, 0.5]]])


def test_long_runs_go_piece_by_piece(monkeypatch, rng):
    given = case("additive", True, rng)
    cotangent = rng.normal(size=(N, B, S))
    whole = given.step.f(*given.inputs), given.step.vjp(given.inputs, cotangent)
    monkeypatch.setattr(additive, "CHUNK", 1)
    np.testing.assert_array_equal(given.step.f(*given.inputs), whole[0])
    for a, b in zip(given.step.vjp(given.inputs, cotangent), whole[1], strict=True):
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_products(rng):
    q, k, a = rng.normal(size=(N, B, Q)), rng.normal(size=(S, B, Q)), rng.normal(size=(N, B, S))
    np.testing.assert_allclose(match(q, k), np.einsum("nbq,sbq->nbs", q, k))
    np.testing.assert_allclose(mix(a, k), np.einsum("nbs,sbq->nbq", a, k))
    np.testing.assert_allclose(spread(a, q), np.einsum("nbs,nbq->sbq", a, q))


@pytest.mark.parametrize("name", ["read", "side by side", "linear", "tanh"])
def test_other_steps(name, rng):
    step, shapes = {
        "read": (READ, [(N, B, S), (S, B, Q)]),
        "side by side": (SIDE_BY_SIDE, [(N, B, Q), (N, B, A), (N, B, S)]),
        "linear": (joined_step(False), [(N, B, Q), (N, B, S), (A, Q + S), (A,)]),
        "tanh": (joined_step(True), [(N, B, Q), (N, B, S), (A, Q + S), (A,)]),
    }[name]
    inputs, tangents = (tuple(rng.normal(size=s) for s in shapes) for _ in range(2))
    cotangent = rng.normal(size=step.f(*inputs).shape)
    found = step.vjp(inputs, cotangent)
    for k, value in enumerate(inputs):
        moved = lambda v, k=k: float((step.f(*inputs[:k], v, *inputs[k + 1 :]) * cotangent).sum())  # noqa: E731
        np.testing.assert_allclose(found[k], central(moved, value), rtol=1e-6, atol=1e-8)
    assert (step.jvp(inputs, tangents) * cotangent).sum() == pytest.approx(
        sum((g * t).sum() for g, t in zip(found, tangents, strict=True)), rel=1e-11
    )
    there = [a + 1e-6 * t for a, t in zip(inputs, tangents, strict=True)]
    back = [a - 1e-6 * t for a, t in zip(inputs, tangents, strict=True)]
    pairs = zip(step.vjp(tuple(there), cotangent), step.vjp(tuple(back), cotangent), strict=True)
    for got, (up, down) in zip(step.hvp(inputs, cotangent, tangents), pairs, strict=True):
        wanted = (up - down) / 2e-6
        np.testing.assert_allclose(
            np.zeros_like(wanted) if got is None else got, wanted, rtol=1e-6, atol=1e-8
        )
