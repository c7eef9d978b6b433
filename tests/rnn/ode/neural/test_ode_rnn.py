"""ODERNN: solver steps between rows, a gated jump at them, and what is missing is not read."""

import numpy as np
import pytest

import rnn
from msgpass import Checkpointed, Truncated, check_gradients
from msgpass.errors import DataError, ShapeError, UnsupportedError
from rnn import CrossEntropy, Linear, Pooled, SquaredError, bptt, fit
from rnn.cells.gru import gru
from rnn.ode import BlowUpError, odeint
from rnn.ode.neural import ODERNN
from rnn.ode.neural.mlp_field import MLPField
from tests.rnn.differences import central

GRU_CELL = gru().step.f


def net_of(**options):
    return ODERNN(2, 3, (4,), **({"random_state": 0} | options))


def data(rng, steps=6, batch=3):
    x = rng.normal(size=(steps, batch, 2))
    x[rng.random(x.shape) < 0.4] = np.nan
    x[3] = np.nan
    return x, np.cumsum(rng.uniform(0.1, 1, size=(steps, batch)), axis=0)


def by_hand(net, x, t, h):
    """One sequence: odeint between two rows, then torch's cell where something is seen."""
    field = MLPField(3, (4,), time=net.time)
    theta = [w for k, w in net.weights.items() if k.startswith("field.")]
    jump = [w for k, w in net.weights.items() if k.startswith("jump.")]
    before, after = [], []
    for k, row in enumerate(x):
        if k:
            grid = np.linspace(t[k - 1], t[k], net.steps + 1)
            h = odeint(lambda s, y: field(s, y, *theta), h, grid, method=net.method, grid=grid).y[-1]
        before.append(h)
        seen = ~np.isnan(row)
        if seen.any():
            h = GRU_CELL(h[None], np.concatenate([np.where(seen, row, 0), seen])[None], *jump)[0]
        after.append(h)
    return np.stack(before), np.stack(after)


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4", "dopri5"])
@pytest.mark.parametrize("time", [False, True])
def test_it_is_an_equation_and_jumps(method, time, rng):
    x, t = data(rng)
    options = {"method": method, "time": time, "steps": 2 if time else 1}
    before, after = net_of(read="before", **options), net_of(**options)
    h0 = rng.normal(size=(3, 3))
    for b in range(3):
        wanted = by_hand(after, x[:, b], t[:, b], h0[b])
        np.testing.assert_allclose(before(x, t, h0)[0][:, b], wanted[0], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(after(x, t, h0)[0][:, b], wanted[1], rtol=1e-11, atol=1e-13)
        np.testing.assert_allclose(after(x[:, b], t[:, b], h0[b])[1], wanted[1][-1], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize(
    "options", [{}, {"time": True, "steps": 3}, {"initial": "learned", "read": "before"}], ids=str
)
def test_gradients_are_differences(options, rng):
    (x, t), net = data(rng), net_of(**options)
    if "h0" in net.weights:
        net.weights["h0"] = rng.normal(size=3)
    loss, lengths = SquaredError(rng.normal(size=(6, 3, 3)), "mean"), [6, 3, 5]
    check_gradients(net.graph(x, loss, t=t, lengths=lengths))
    m = bptt(net, x, loss, t=t, lengths=lengths)
    few = bptt(net, x, loss, Checkpointed(2), t=t, lengths=lengths)
    for key in net.weights:
        np.testing.assert_allclose(few.parameters[key], m.parameters[key], rtol=1e-10, atol=1e-13)
    assert bptt(net, x, loss, Truncated(1, 2), t=t, lengths=lengths).total == pytest.approx(m.total)
    h0 = rng.normal(size=(3, 3))
    wanted = central(lambda h: bptt(net, x, loss, t=t, h0=h).total, h0)
    np.testing.assert_allclose(bptt(net, x, loss, t=t, h0=h0).gradient["h0"], wanted, rtol=1e-6, atol=1e-9)


def test_irregular_times_that_are_regular(rng):
    x, _ = data(rng)
    net, t = net_of(), 0.3 * np.arange(6)
    shared = net(x, t)[0]
    np.testing.assert_array_equal(net(x, np.repeat(t[:, None], 3, axis=1))[0], shared)
    np.testing.assert_allclose(net(x, t + 7)[0], shared, rtol=1e-12)  # an autonomous field knows no clock
    first = net_of(batch_first=True)
    np.testing.assert_array_equal(first(x.swapaxes(0, 1), t)[0], shared.swapaxes(0, 1))


def test_a_row_of_nothing_is_a_time_to_ask_and_no_more(rng):
    x, t = data(rng)
    net = net_of(steps=50, method="rk4")
    asked, times = np.insert(x, 2, np.nan, axis=0), np.insert(t, 2, (t[1] + t[2]) / 2, axis=0)
    with_row, without = net(asked, times)[0], net(x, t)[0]
    np.testing.assert_allclose(np.delete(with_row, 2, axis=0), without, atol=1e-9)


def test_missing_features_and_what_lies_beyond_an_end_are_not_read(rng):
    x, t = data(rng)
    net, lengths = net_of(), [6, 2, 4]
    m = bptt(net, x, SquaredError(np.ones((6, 3, 3))), t=t, lengths=lengths)
    far, later = x.copy(), t.copy()
    far[2:, 1], later[2:, 1], far[4:, 2] = 1e300, np.nan, np.inf
    again = bptt(net, far, SquaredError(np.ones((6, 3, 3))), t=later, lengths=lengths)
    assert again.total == m.total
    for key in net.weights:
        np.testing.assert_array_equal(again.parameters[key], m.parameters[key])
    values, seen = m.gradient["x"][..., :2], ~np.isnan(x)
    assert m.graph["x"].value.shape == (6, 3, 4) and np.isfinite(values).all()
    assert not m.graph["x"].value[..., :2][~seen].any()
    output, _ = net(x, t, lengths=lengths)
    assert not output[2:, 1].any() and output[:2, 1].any()


def test_the_order_of_a_batch_does_not_matter(rng):
    (x, t), net, order = data(rng), net_of(time=True), [2, 0, 1]
    np.testing.assert_allclose(net(x[:, order], t[:, order])[0], net(x, t)[0][:, order], rtol=1e-12)


def test_hidden_rows_keep_their_targets(rng):
    x, t = data(rng, steps=40)
    net = net_of(dropout=0.5)
    call = net.call(x, SquaredError(np.ones((40, 3, 3))), t, random_state=3)
    plain = net.call(x, SquaredError(np.ones((40, 3, 3))), t)
    np.testing.assert_array_equal(call.arrays["target"], plain.arrays["target"])
    assert 0.3 < call.arrays["mask"].sum() / plain.arrays["mask"].sum() < 0.7
    assert (call.arrays["mask"] <= plain.arrays["mask"]).all()
    hidden = (call.arrays["mask"] == 0)[..., 0]
    assert not call.arrays["x"][hidden].any()
    with pytest.raises(UnsupportedError, match="dropout"):
        fit(net, x, SquaredError(np.ones((40, 3, 3))), t=t, progress=False)


def test_it_is_trained_in_batches(rng):
    n, steps = 60, 8
    rate = rng.uniform(0.2, 1.5, size=n)
    t = np.cumsum(rng.uniform(0.1, 0.6, size=(n, steps)), axis=1)
    x = np.exp(-rate[:, None] * t)[..., None]
    x[rng.random(x.shape) < 0.2] = np.nan
    net = ODERNN(1, 8, (8,), batch_first=True, read="before", random_state=0)
    loss = SquaredError(x, "mean", readout=Linear(8, 1, random_state=1))
    history = fit(net, x, loss, "adam", lr=0.01, batch_size=20, n_iter=30, tol=None, progress=False, t=t)
    assert history.best < history.losses[0] / 5
    fast = Pooled(CrossEntropy((rate > 0.85).astype(int), readout=Linear(8, 2, random_state=1)))
    net = ODERNN(1, 8, (8,), batch_first=True, random_state=0)
    lengths = rng.integers(4, steps + 1, size=n)
    history = fit(net, x, fast, n_iter=40, tol=None, progress=False, t=t, lengths=lengths)
    assert history.best < history.losses[0] / 2


def test_files(tmp_path):
    net = ODERNN(1, 2, (3,), time=True, initial="learned", steps=50, random_state=3)
    net.save(tmp_path / "net.safetensors")
    again = rnn.load(tmp_path / "net.safetensors")
    assert repr(again) == repr(net)
    x, t = np.ones((4, 1)), np.arange(4.0)
    np.testing.assert_array_equal(again(x, t)[0], net(x, t)[0])


def test_a_blow_up_has_its_time(rng):
    (x, t), net = data(rng), ODERNN(2, 3, (4,), "relu", random_state=0)
    net.weights["field.weight_1"] = np.full((3, 4), 1e200)
    net.weights["field.weight_0"] = np.full((4, 3), 1e200)
    net.weights["field.bias_0"] = np.ones(4)
    with pytest.raises(BlowUpError, match="from t = ") as raised:
        net(x, t)
    assert t.min() <= raised.value.t <= t.max()
    with pytest.raises(BlowUpError):
        bptt(net, x, SquaredError(np.zeros((6, 3, 3))), t=t)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"t": [0, 1, 1, 2]}, DataError, r"t\[1\] = 1 is followed by t\[2\] = 1"),
        ({"t": [0, 1, 2]}, ShapeError, r"\(3,\)"),
        ({"t": None}, DataError, "t is missing"),
        ({"x": np.full((4, 2), np.inf)}, DataError, "infinite"),
        ({"x": np.ones((4, 3))}, ShapeError, "I = 2"),
        ({"h0": np.ones(4)}, ShapeError, "h0 has shape"),
        ({"h0": np.full(3, np.nan)}, DataError, "h0 holds NaN"),
    ],
)
def test_what_does_not_fit_is_refused(change, error, message):
    with pytest.raises(error, match=message):
        net_of()(**({"x": np.ones((4, 2)), "t": np.arange(4.0)} | change))
