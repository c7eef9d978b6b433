"""Recurrence: a function of one's own is a network; derivatives by autograd, given, or by another library."""

import numpy as np
import pytest

from msgpass import Adjoint, Checkpointed, Step, Tangent, Truncated
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn import RNN, CrossEntropy, Linear, Recurrence, SquaredError, bptt, curvature, fit
from rnn.cells import ELMAN
from tests.rnn.differences import central


def elman(h, x, w_ih, w_hh, b):
    return np.tanh(x @ w_ih.T + h @ w_hh.T + b)


def fast_weights(h, M, x, U, rate):
    """A state that is a matrix, written by outer products (Ba et al. 2016)."""
    z = np.tanh(x @ U.T + (M * h[..., None, :]).sum(axis=-1))
    decay = 1 / (1 + np.exp(-rate))
    return z, decay * M + 0.5 * z[..., :, None] * z[..., None, :]


def own(vectorized=False, **options):
    options = {"states": {"h": 3, "M": (3, 3)}, "random_state": 0} | options
    return Recurrence(fast_weights, {"U": (3, 2), "rate": np.array(0.3)}, 2, vectorized=vectorized, **options)


def lengths_of(ragged):
    return {"lengths": [5, 2, 4]} if ragged else {}


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("vectorized", [False, True])
def test_it_is_rnn_where_the_function_is(vectorized, ragged, rng):
    net = RNN(2, 3, random_state=0)
    w = net.weights
    bias = w["bias_ih_l0"] + w["bias_hh_l0"]
    weights = {"A": w["weight_ih_l0"], "B": w["weight_hh_l0"], "b": bias}
    mine = Recurrence(elman, weights, 2, 3, vectorized=vectorized)
    x, h0 = rng.normal(size=(5, 3, 2)), rng.normal(size=(3, 3))
    for a, b in zip(mine(x, h0, **lengths_of(ragged)), net(x, h0[None], **lengths_of(ragged)), strict=True):
        np.testing.assert_allclose(a, b.reshape(a.shape), rtol=1e-12, atol=1e-14)
    loss = SquaredError(rng.normal(size=(5, 3, 3)))
    m = bptt(mine, x, loss, h0=h0, **lengths_of(ragged))
    theirs = bptt(net, x, loss, h0=h0[None], **lengths_of(ragged))
    assert m.total == pytest.approx(theirs.total, rel=1e-12)
    for name, key in (("A", "weight_ih_l0"), ("B", "weight_hh_l0"), ("b", "bias_hh_l0")):
        np.testing.assert_allclose(m.parameters[name], theirs.parameters[key], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(m.gradient["h"], theirs.gradient["h_l0"], rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(m.gradient["h0"], theirs.gradient["h0_l0"], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("initial", ["zero", "learned"])
@pytest.mark.parametrize("vectorized", [False, True])
def test_gradients_of_several_states_are_differences(vectorized, initial, ragged, rng):
    net = own(vectorized, initial=initial)
    net.weights = {k: np.array(w + rng.normal(size=w.shape) / 3) for k, w in net.weights.items()}
    assert list(net.weights) == ["U", "rate"] + ["h0", "M0"] * (initial == "learned")
    x, loss = rng.normal(size=(5, 3, 2)), SquaredError(rng.normal(size=(5, 3, 3)))
    m = bptt(net, x, loss, **lengths_of(ragged))
    for key in list(net.weights):

        def value(w, key=key):
            kept, net.weights[key] = net.weights[key], w
            total = bptt(net, x, loss, **lengths_of(ragged)).total
            net.weights[key] = kept
            return total

        np.testing.assert_allclose(m.parameters[key], central(value, net.weights[key]), rtol=1e-6, atol=1e-7)
    whole = bptt(net, x, loss, Checkpointed(2), **lengths_of(ragged))
    for key in net.weights:
        np.testing.assert_allclose(whole.parameters[key], m.parameters[key], rtol=1e-10, atol=1e-12)
    if not ragged:
        assert bptt(net, x, loss, Truncated(1, 2)).total == pytest.approx(m.total)


def test_states_beyond_an_end_are_held(rng):
    net, x = own(), rng.normal(size=(5, 3, 2))
    output, (h, M) = net(x, lengths=[5, 2, 4])
    for b, n in enumerate([5, 2, 4]):
        alone, (h_b, M_b) = net(x[:n, b])
        np.testing.assert_allclose(output[:n, b], alone, rtol=1e-12)
        np.testing.assert_allclose(h[b], h_b, rtol=1e-12)
        np.testing.assert_allclose(M[b], M_b, rtol=1e-12)
    assert (output[2:, 1] == 0).all()
    again, _ = net(x[3:, 0], tuple(s[0] for s in net(x[:3])[1]))
    np.testing.assert_allclose(again, output[3:, 0], rtol=1e-12)


def test_given_derivatives_are_used(rng):
    rules = ELMAN["tanh"].step
    calls = []

    def vjp(inputs, cotangent):
        calls.append(1)
        return rules.vjp(inputs, cotangent)

    weights = {k: v for k, v in RNN(2, 3, random_state=0).weights.items() if "weight" in k}
    options = {"jvp": rules.jvp, "hvp": rules.hvp, "vectorized": True}
    net = Recurrence(rules.f, weights, 2, 3, vjp=vjp, **options)
    auto = Recurrence(lambda h, x, a, b: np.tanh(x @ a.T + h @ b.T), weights, 2, 3)
    x, loss = rng.normal(size=(4, 2, 2)), CrossEntropy([[0, 1], [2, -1], [1, 1], [0, 0]])
    for lengths in (None, [4, 2]):
        m, n = (bptt(one, x, loss, lengths=lengths) for one in (net, auto))
        for key in weights:
            np.testing.assert_allclose(m.parameters[key], n.parameters[key], rtol=1e-10, atol=1e-12)
        a, b = (curvature(one, x, loss, lengths=lengths).dense() for one in (net, auto))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    assert calls


def test_a_step_with_a_compiled_sweep_is_taken_as_it_is(rng):
    weights = {k: v for k, v in RNN(2, 3, bias=False, random_state=0).weights.items()}
    net = Recurrence(ELMAN["tanh"].step, weights, 2, 3)
    x = rng.normal(size=(4, 2, 2))
    np.testing.assert_array_equal(net(x)[0], RNN(2, 3, bias=False, random_state=0)(x)[0])
    with pytest.raises(DataError, match="a Step has its own derivatives"):
        Recurrence(ELMAN["tanh"].step, weights, 2, 3, vjp=lambda *_: None)


def test_it_learns_and_is_drawn_anew(rng):
    x = rng.normal(size=(30, 1))
    echo = np.concatenate([np.full((1, 1), np.nan), x[:-1]])
    net = Recurrence(elman, {"A": (5, 1), "B": (5, 5), "b": np.zeros(5)}, 1, 5, random_state=0)
    loss = SquaredError(echo, "mean", Linear(5, 1, random_state=1))
    history = fit(net, x, loss, n_iter=40, tol=None, progress=False)
    assert history.best < 0.2 * history.losses[0]
    assert (net.weights["b"] != 0).any()
    first = net.reset(3).state_dict()
    assert (first["b"] == 0).all() and np.abs(first["B"]).max() <= 5**-0.5
    assert all((net.reset(3).weights[k] == v).all() for k, v in first.items())
    other = Recurrence(elman, first, 1, 5, dtype="float32", batch_first=True)
    assert other(x[None].astype(np.float32))[0].dtype == np.float32
    m = bptt(other, x[None], SquaredError(np.zeros((1, 30, 5))))
    assert m.parameters["B"].dtype == np.float32


def test_a_tangent_runs_through(rng):
    net, x = own(True), rng.normal(size=(4, 2, 2))
    loss = SquaredError(rng.normal(size=(4, 2, 3)))
    v = {"U": rng.normal(size=(3, 2)), "rate": np.array(1.0)}
    m = bptt(net, x, loss, direction=v)
    slope = sum(float((m.parameters[k].value * v[k]).sum()) for k in v)
    assert m.total.tangent == pytest.approx(slope, rel=1e-10)
    assert isinstance(Tangent(v, over=Adjoint()), Tangent)


@pytest.mark.parametrize(
    ("build", "error", "words"),
    [
        (lambda: Recurrence(3, {}, 1, 2), DataError, "f must be a function"),
        (lambda: Recurrence(elman, [1], 1, 2), DataError, "weights must be a dict"),
        (lambda: Recurrence(elman, {"h": (2,)}, 1, 2), DataError, "cannot be called 'h'"),
        (lambda: Recurrence(elman, {"a": np.nan}, 1, 2), DataError, "weight 'a' holds NaN"),
        (lambda: Recurrence(elman, {"a": "b"}, 1, 2), DataError, "weight 'a' must hold real numbers"),
        (lambda: Recurrence(elman, {"a": (0, 2)}, 1, 2), ShapeError, "the shape of 'a'"),
        (lambda: Recurrence(elman, {}, 1, {}), DataError, "at least one state"),
        (lambda: Recurrence(elman, {}, 1, {"x": 2}), DataError, "cannot be called 'x'"),
        (lambda: Recurrence(elman, {}, 1, {"M": (2, 2)}), ShapeError, "first state, 'M', is the output"),
        (lambda: own()(np.zeros((3, 1, 2)), np.zeros((1, 3))), DataError, "h0 has 1 parts.*h, M"),
        (
            lambda: own()(np.zeros((3, 1, 2)), (np.zeros((1, 3)), np.zeros((3, 3)))),
            ShapeError,
            r"M0 has shape \(3, 3\), wanted \(1, 3, 3\)",
        ),
        (lambda: Recurrence(elman, {"a": (2, 2)}, 1, 2)(np.zeros((3, 1))), ShapeError, "'cell' failed"),
        (lambda: own().save("net"), UnsupportedError, "Recurrence's f is .*save_file"),
    ],
)
def test_bad_input_is_named(build, error, words):
    with pytest.raises(error, match=words):
        build()


@pytest.mark.peers
def test_torch_functions(rng):
    torch = pytest.importorskip("torch")

    def f(h, x, a, b):
        return torch.tanh(x @ a.T + h @ b.T)

    weights = {k: v for k, v in RNN(2, 3, bias=False, random_state=0).weights.items()}
    x, loss = rng.normal(size=(4, 3, 2)), SquaredError(rng.normal(size=(4, 3, 3)))
    for lengths in (None, [4, 2, 1]):
        want = bptt(Recurrence(ELMAN["tanh"].step, weights, 2, 3), x, loss, lengths=lengths)
        for vectorized in (False, True):
            net = Recurrence.from_torch(f, weights, 2, 3, vectorized=vectorized)
            m = bptt(net, x, loss, lengths=lengths)
            for key in weights:
                np.testing.assert_allclose(m.parameters[key], want.parameters[key], rtol=1e-10)
    assert isinstance(net.step, Step)


@pytest.mark.peers
def test_jax_functions(rng):
    jax = pytest.importorskip("jax")
    jnp = jax.numpy

    def f(h, x, a, b):
        return jnp.tanh(x @ a.T + h @ b.T)

    weights = {k: v for k, v in RNN(2, 3, bias=False, random_state=0).weights.items()}
    x, loss = rng.normal(size=(4, 3, 2)), SquaredError(rng.normal(size=(4, 3, 3)))
    want = bptt(Recurrence(ELMAN["tanh"].step, weights, 2, 3), x, loss, lengths=[4, 2, 1])
    net = Recurrence.from_jax(f, weights, 2, 3, vectorized=True)
    m = bptt(net, x, loss, lengths=[4, 2, 1])
    for key in weights:
        np.testing.assert_allclose(m.parameters[key], want.parameters[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["norm_w", "h0_w", "c0_w"])
def test_a_weight_of_any_name_is_drawn(name):
    net = Recurrence(lambda h, x, w: np.tanh(x @ w.T + h), {name: (4, 2)}, 2, 4, random_state=0)
    assert len(np.unique(net.weights[name])) == 8


def test_batches_take_their_own_initial_states(rng):
    x, h0 = rng.normal(size=(5, 7, 2)), (rng.normal(size=(7, 3)), rng.normal(size=(7, 3, 3)))
    net = own()
    loss = SquaredError(net(x, h0)[0], "mean")
    history = fit(net, x, loss, "sgd", lr=1e-12, batch_size=3, n_iter=1, tol=None, h0=h0, progress=False)
    assert history.best < 1e-12
