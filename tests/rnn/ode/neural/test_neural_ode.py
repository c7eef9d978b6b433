"""NeuralODE: it is odeint's chain with weights, and a network like any other."""

import numpy as np
import pytest

import rnn
from msgpass import Checkpointed, check_gradients
from msgpass.errors import DataError, NumericalError, ShapeError, UnsupportedError
from rnn import CrossEntropy, Linear, Pooled, SquaredError, bptt, fit
from rnn.ode import METHODS, BlowUpError, odeint
from rnn.ode.neural import NeuralODE
from rnn.ode.neural.activations import ACTIVATIONS
from tests.rnn.differences import central

T = np.array([0.0, 0.1, 0.5, 1.2])


def oscillator(t, y, p):
    return np.stack([y[..., 1], -p["k"] * y[..., 0] - p["c"] * y[..., 1]], axis=-1)


def driven(t, y, p):
    return p["a"] * np.sin(t) * y - p["b"] * y**3


def net_of(kind, **options):
    options = {"random_state": 0} | options
    if kind == "mlp":
        return NeuralODE(2, (5,), **options)
    if kind == "time":
        return NeuralODE(2, (4, 3), time=True, **options)
    if kind == "driven":
        return NeuralODE(2, field=driven, initial={"a": 0.7, "b": (2,)}, **options)
    return NeuralODE(2, field=oscillator, initial={"k": 1.3, "c": 0.2}, **options)


KINDS = ["mlp", "time", "oscillator", "driven"]


@pytest.mark.parametrize("method", [n for n, m in METHODS.items() if not m.implicit])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_odeint(kind, method, rng):
    net, y0 = net_of(kind, method=method, step=0.3), rng.normal(size=(3, 2))
    wanted = odeint(net.rate, y0, T, dict(net.weights), method, step=0.3)
    np.testing.assert_allclose(net(y0, T), wanted.y, rtol=1e-12, atol=1e-13)
    fine = net_of(kind, method=method, step=1e-3)
    np.testing.assert_allclose(fine(y0, T), net.solve(y0, T, rtol=1e-9).y, atol=2e-3)


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_differences(kind, own, rng):
    net, y0 = net_of(kind, steps=2), rng.normal(size=(3, 2))
    t = T[:, None] * [1.0, 0.8, 1.5] + [0, 0.1, -1] if own else T
    loss = SquaredError(rng.normal(size=(4, 3, 2)), "mean")
    check_gradients(net.graph(y0, loss, t=t))
    m = bptt(net, y0, loss, t=t)
    few = bptt(net, y0, loss, Checkpointed(2), t=t)
    for key in net.weights:
        np.testing.assert_allclose(few.parameters[key], m.parameters[key], rtol=1e-10, atol=1e-13)
    wanted = central(lambda y: bptt(net, y, loss, t=t).total, y0)
    np.testing.assert_allclose(m.gradient["y0"], wanted, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_has_its_slope(activation, rng):
    net = NeuralODE(3, (6, 4), activation, time=True, random_state=1)
    check_gradients(net.graph(rng.normal(size=3), SquaredError(np.zeros((4, 3))), t=T))


@pytest.mark.parametrize("kind", KINDS)
def test_each_sequence_may_have_its_own_times(kind, rng):
    net, y0 = net_of(kind, steps=3), rng.normal(size=(3, 2))
    t = np.cumsum(rng.uniform(0.05, 0.5, size=(6, 3)), axis=0)
    lengths = np.array([6, 2, 4])
    together = net(y0, t, lengths)
    for b, n in enumerate(lengths):
        np.testing.assert_allclose(together[:n, b], net(y0[b], t[:n, b]), rtol=1e-12, atol=1e-14)
        assert not together[n:, b].any()
    first = net_of(kind, steps=3, batch_first=True)
    np.testing.assert_array_equal(first(y0, t.T, lengths), together.swapaxes(0, 1))


def test_what_lies_beyond_an_end_is_not_read(rng):
    net, y0, lengths = net_of("mlp"), rng.normal(size=(3, 2)), [4, 2, 3]
    t, target = np.repeat(T[:, None], 3, axis=1), rng.normal(size=(4, 3, 2))
    m = bptt(net, y0, SquaredError(target, "mean"), t=t, lengths=lengths)
    t[2:, 1], target[2:, 1] = np.nan, 1e300
    again = bptt(net, y0, SquaredError(target, "mean"), t=t, lengths=lengths)
    assert again.total == m.total
    np.testing.assert_array_equal(again.parameters["weight_0"], m.parameters["weight_0"])


def test_the_order_of_a_batch_does_not_matter(rng):
    net, y0, order = net_of("time"), rng.normal(size=(4, 2)), [2, 0, 3, 1]
    t = np.cumsum(rng.uniform(0.1, 0.5, size=(5, 4)), axis=0)
    np.testing.assert_allclose(net(y0[order], t[:, order]), net(y0, t)[:, order], rtol=1e-13)


def test_batches_are_cut_by_sequence(rng):
    y0, t = rng.normal(size=(7, 2)), np.cumsum(rng.uniform(0.1, 0.5, size=(5, 7)), axis=0)
    for first in (False, True):
        for times in (t[:, 0], t.T if first else t):
            net = net_of("mlp", batch_first=first)
            loss = SquaredError(net(y0, times), "mean")
            whole = bptt(net, y0, loss, t=times).total
            history = fit(
                net, y0, loss, "sgd", lr=1e-12, batch_size=3, n_iter=1, tol=None, progress=False, t=times
            )
            assert whole == pytest.approx(0, abs=1e-20) and history.best < 1e-12


def test_a_spiral_is_learned(rng):
    A, t = np.array([[-0.1, 2.0], [-2.0, -0.1]]), np.linspace(0, 3, 16)
    y0 = rng.normal(size=(20, 2))
    truth = odeint(lambda t, y: y @ A.T, y0, t).y
    net = NeuralODE(2, (12,), step=0.2, random_state=0)
    fit(net, y0, SquaredError(truth, "mean"), n_iter=50, tol=None, progress=False, t=t)
    fresh = rng.normal(size=(5, 2)) / 2
    wanted = odeint(lambda t, y: y @ A.T, fresh, t).y
    assert np.sqrt(((net(fresh, t) - wanted) ** 2).mean()) < 0.05 * wanted.std()


def test_rates_of_a_known_equation_are_found(rng):
    t, truth = np.linspace(0, 4, 30), {"k": np.array(2.0), "c": np.array(0.3)}
    net = net_of("oscillator", steps=2)
    y = odeint(oscillator, np.array([[1.0, 0.0]]), t, truth).y
    fit(net, np.array([[1.0, 0.0]]), SquaredError(y), progress=False, t=t)
    assert net.weights["k"] == pytest.approx(2, rel=1e-4) and net.weights["c"] == pytest.approx(0.3, rel=1e-3)


def test_losses_bring_readouts_and_pool(rng):
    net, y0 = net_of("mlp", batch_first=True), rng.normal(size=(6, 2))
    loss = Pooled(CrossEntropy((y0[:, 0] > 0).astype(int), readout=Linear(2, 2, random_state=0)))
    history = fit(net, y0, loss, n_iter=20, tol=None, progress=False, t=T)
    assert history.best < history.losses[0] / 4


def test_files(tmp_path):
    net = NeuralODE(1, (), time=True, method="heun", steps=40, random_state=3)
    net.save(tmp_path / "net.safetensors")
    again = rnn.load(tmp_path / "net.safetensors")
    assert repr(again) == repr(net)
    np.testing.assert_array_equal(again(np.ones(1), T), net(np.ones(1), T))
    other = NeuralODE(1, (), time=True, method="heun", steps=40).load_state_dict(net.state_dict())
    np.testing.assert_array_equal(other(np.ones(1), T), net(np.ones(1), T))
    with pytest.raises(UnsupportedError, match="no place in a file"):
        net_of("driven").save(tmp_path / "own.safetensors")


def test_float32(rng):
    net = NeuralODE(2, (5,), dtype="float32", random_state=0)
    m = bptt(net, rng.normal(size=(3, 2)), SquaredError(np.zeros((4, 3, 2))), t=T)
    assert m.parameters["weight_0"].dtype == np.float32 and m.forward["saved"].dtype == np.float32


def test_a_blow_up_has_its_time():
    net = NeuralODE(1, field=lambda t, y, p: p["c"] * y * y, initial={"c": 5.0}, steps=20)
    t, y0 = [0, 0.1, 5], np.ones((2, 1))
    with pytest.raises(BlowUpError, match="from t = ") as raised:
        net(y0, t)
    assert 0.1 < raised.value.t < 5
    with pytest.raises(BlowUpError):
        bptt(net, y0, SquaredError(np.zeros((3, 2, 1))), t=t)
    with pytest.raises(NumericalError, match=r"from t = .*in ") as raised:
        fit(net, y0, SquaredError(np.zeros((3, 2, 1))), t=t, progress=False)
    assert isinstance(raised.value.__cause__, BlowUpError)


@pytest.mark.parametrize(
    ("y0", "t", "more", "error", "message"),
    [
        (np.ones((3, 2)), [0, 0.5, 0.5], {}, DataError, r"t\[1\] = 0.5 is followed by t\[2\] = 0.5"),
        (np.ones((3, 2)), np.array([[0, 0, 0], [1, -1, 1]]), {}, DataError, "in sequence 1"),
        (np.ones((3, 2)), [0, np.nan], {}, DataError, "nan at step 1"),
        (np.ones((3, 2)), [0], {}, ShapeError, "at least two times"),
        (np.ones((3, 2)), None, {}, DataError, "t is missing"),
        (np.ones((3, 2)), np.zeros((2, 4)), {}, ShapeError, r"\(2, 4\)"),
        (np.ones((3, 4)), T, {}, ShapeError, r"wanted \(B, 2\)"),
        (np.full((3, 2), np.inf), T, {}, DataError, "initial values"),
        (np.ones((3, 2)), T, {"lengths": [4, 4, 9]}, DataError, "lengths"),
    ],
)
def test_what_does_not_fit_is_refused(y0, t, more, error, message):
    with pytest.raises(error, match=message):
        net_of("mlp")(y0, t, **more)


def test_settings_are_checked():
    with pytest.raises(UnsupportedError, match="kvaerno5"):
        NeuralODE(2, method="kvaerno5")
    with pytest.raises(DataError, match="activation"):
        NeuralODE(2, activation="cube")
    with pytest.raises(DataError, match="'y0'"):
        NeuralODE(2, field=driven, initial={"y0": 1.0})
    with pytest.raises(DataError, match="initial="):
        NeuralODE(2, initial={"a": 1.0})
    with pytest.raises(DataError, match="field must be"):
        NeuralODE(2, field=3)
