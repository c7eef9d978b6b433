"""Networks of every cell and option: values against loops, gradients and curvature against differences."""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given, settings

from msgpass import Checkpointed, Tangent, Truncated, run
from msgpass.algebra import Adjoint
from msgpass.errors import DataError, NumericalError, ShapeError, UnsupportedError
from rnn import GRU, LSTM, RNN, CrossEntropy, Linear, SquaredError, bptt
from rnn.cells import Cell, elman, gate_shapes
from rnn.networks import RecurrentNetwork
from tests.rnn.architectures import Case, cases
from tests.rnn.oracle import forward


def states_of(last):
    return last if isinstance(last, tuple) else (last,)


def target_of(case, rng):
    """A squared error with random targets, in the net's axes."""
    output, _ = case.net(case.x, **case.data())
    return SquaredError(rng.normal(size=output.shape))


@settings(max_examples=100)
@given(cases())
def test_outputs_and_states_are_the_loop(case):
    for h0 in (case.start, None):
        output, last = case.net(case.x, h0, case.lengths)
        expected, states = forward(case, None if h0 is None else case.h0)
        output = output.swapaxes(0, 1) if case.net.batch_first else output
        np.testing.assert_allclose(output, expected, rtol=1e-10, atol=1e-12)
        for found, wanted in zip(states_of(last), states, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@settings(max_examples=100)
@given(cases())
def test_gradients_and_curvature_along_a_direction(case):
    """⟨gradient, v⟩ is the loss's slope along v, and the tangent of the gradient its own slope."""
    net, rng = case.net, np.random.default_rng(1)
    loss, data = target_of(case, rng), case.data() if net.initial == "zero" else {"lengths": case.lengths}
    graph, values = net.problem(case.x, loss, **data, gates=bool(rng.integers(2)))
    names = [*net.weights, "x"] + [n for n in values if n.startswith(("h0", "c0")) and n not in net.weights]
    v = {n: rng.normal(size=values[n].shape) for n in names}
    if "mask" in values:
        v["x"] *= values["mask"]

    def at(step):
        moved = values | {n: values[n] + step * v[n] for n in names}
        m = run(graph, values=moved)
        return m.total, {n: np.array(m.gradient[n]) for n in names}

    step = 1e-6  # small, for a layer norm of a small product is stiff
    m = run(graph, Tangent(v, over=Adjoint()), values=values)
    (up, up_grads), (down, down_grads) = at(step), at(-step)
    slope = sum(float((m.gradient[n].value * v[n]).sum()) for n in names)
    assert m.total.tangent == pytest.approx(slope, rel=1e-9, abs=1e-9)
    if getattr(net, "nonlinearity", "") == "relu":
        return  # differences may cross a kink
    assert slope == pytest.approx((up - down) / (2 * step), rel=1e-5, abs=1e-5)
    for n in names:
        wanted = (up_grads[n] - down_grads[n]) / (2 * step)
        scale = 1 + np.abs(wanted).max(initial=0)
        np.testing.assert_allclose(m.gradient[n].tangent / scale, wanted / scale, atol=1e-4, err_msg=n)


@settings(max_examples=60)
@given(cases())
def test_gates_change_no_number_and_have_messages(case):
    net, rng = case.net, np.random.default_rng(2)
    loss = target_of(case, rng)
    plain = bptt(net, case.x, loss, **case.data())
    m = bptt(net, case.x, loss, **case.data(), gates=True)
    assert m.total == pytest.approx(plain.total, rel=1e-12)
    for key in plain.parameters:
        np.testing.assert_allclose(m.parameters[key], plain.parameters[key], rtol=1e-9, atol=1e-11)
    for suffix in net.suffixes:
        at = m.gradient[f"gates{suffix}"]
        assert at.shape == (*plain.gradient[f"h{suffix}"].shape[:2], net.cell.gates * net.hidden_size)
        np.testing.assert_allclose(m.gradient[f"h{suffix}"], plain.gradient[f"h{suffix}"], atol=1e-11)
        if net.bias:
            rows = 3 * net.hidden_size if isinstance(net, GRU) else at.shape[-1]
            np.testing.assert_allclose(at.sum((0, 1))[:rows], m.parameters[f"bias_ih{suffix}"], atol=1e-11)


@settings(max_examples=40)
@given(cases())
def test_checkpoints_and_a_wide_window_are_the_whole(case):
    loss = target_of(case, np.random.default_rng(3))
    whole = bptt(case.net, case.x, loss, **case.data())
    steps = case.x.shape[1 if case.net.batch_first else 0]
    schedules = [Checkpointed(2)] + [Truncated(steps, steps)] * (not case.net.bidirectional)
    for schedule in schedules:
        m = bptt(case.net, case.x, loss, schedule, **case.data())
        assert m.total == pytest.approx(whole.total, rel=1e-12)
        for key in whole.parameters:
            np.testing.assert_allclose(m.parameters[key], whole.parameters[key], rtol=1e-9, atol=1e-11)


# -- ragged batches ------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(cases())
def test_a_ragged_batch_is_its_sequences_one_by_one(case):
    net, rng = case.net, np.random.default_rng(4)
    if case.lengths is None:
        return
    x = case.x.swapaxes(0, 1) if net.batch_first else case.x
    targets = rng.normal(size=(*x.shape[:2], net.output_size))
    outer = lambda v: v.swapaxes(0, 1) if net.batch_first else v  # noqa: E731
    m = bptt(net, case.x, SquaredError(outer(targets)), **case.data())
    total, sums = 0.0, {key: np.zeros_like(v) for key, v in m.parameters.items()}
    for b, n in enumerate(case.lengths):
        start = tuple(v[:, b : b + 1] for v in case.h0)
        start = start if len(start) > 1 else start[0]
        one = bptt(net, outer(x[:n, b : b + 1]), SquaredError(outer(targets[:n, b : b + 1])), h0=start)
        total += one.total
        for key in sums:
            sums[key] += one.parameters[key]
        np.testing.assert_allclose(m.gradient["x"][:n, b], one.gradient["x"][:, 0], rtol=1e-9, atol=1e-11)
        assert (m.gradient["x"][n:, b] == 0).all()
    assert m.total == pytest.approx(total, rel=1e-11)
    for key, value in sums.items():
        np.testing.assert_allclose(m.parameters[key], value, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_what_lies_beyond_an_end_is_not_read(kind, rng):
    net, readout = kind(2, 3, 2, bidirectional=True, random_state=0), Linear(6, 4, random_state=1)
    x, lengths = rng.normal(size=(5, 3, 2)), np.array([5, 2, 3])
    labels = rng.integers(4, size=(5, 3))
    before = bptt(net, x, CrossEntropy(labels, "mean", readout), lengths=lengths)
    gone = np.arange(5)[:, None] >= lengths
    x[gone], labels[gone] = np.nan, 99
    after = bptt(net, x, CrossEntropy(labels, "mean", readout), lengths=lengths)
    assert after.total == before.total
    for key in before.parameters:
        np.testing.assert_array_equal(after.parameters[key], before.parameters[key])
    output, _ = net(x, lengths=lengths)
    assert (output[gone] == 0).all() and np.isfinite(output).all()


def test_no_mask_where_no_lengths_are_given():
    assert "mask" not in LSTM(1, 2).graph(np.zeros((3, 2, 1))).nodes
    assert "mask" in LSTM(1, 2).graph(np.zeros((3, 2, 1)), lengths=[1, 3]).nodes


@pytest.mark.parametrize(
    ("lengths", "error", "words"),
    [
        ([3, 2, 1], ShapeError, r"lengths has shape \(3,\); there are 2 sequences"),
        (3, ShapeError, r"lengths has shape \(\)"),
        ([3, 0], DataError, r"lengths\[1\] is 0; x has 3 steps"),
        ([4, 1], DataError, r"lengths\[0\] is 4; x has 3 steps, so that lengths run from 1 to 3"),
        ([2.0, 1.0], DataError, "lengths must be whole numbers, one a sequence, got dtype float64"),
        ([[1], [1, 2]], DataError, "lengths are not an array"),
    ],
)
def test_lengths_that_do_not_fit(lengths, error, words):
    with pytest.raises(error, match=words):
        GRU(1, 2)(np.zeros((3, 2, 1)), lengths=lengths)


# -- dropout -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_dropout_is_its_mask_between_layers(kind, rng):
    net = kind(2, 3, 3, bidirectional=True, dropout=0.4, random_state=0)
    x = rng.normal(size=(5, 2, 2))
    loss = SquaredError(rng.normal(size=(5, 2, 6)))
    m = bptt(net, x, loss, random_state=7)
    call = net.call(x, loss, random_state=7)
    masks = [call.arrays[f"dropout_l{k}"] for k in range(2)]
    assert set(np.unique(masks)) == {0.0, 1 / 0.6}
    output, _ = forward(Case(net, x, (), None), masks=masks)
    assert m.total == pytest.approx(0.5 * ((output - loss.target) ** 2).sum(), rel=1e-12)
    again = bptt(net, x, loss, random_state=7)
    assert again.total == m.total
    assert bptt(net, x, loss, random_state=8).total != m.total
    plain, _ = forward(Case(net, x, (), None))
    assert bptt(net, x, loss).total == pytest.approx(0.5 * ((plain - loss.target) ** 2).sum(), rel=1e-12)


def test_dropout_keeps_the_mean():
    net = RNN(1, 50, 2, dropout=0.3, random_state=0)
    mask = net.call(np.zeros((400, 10, 1)), random_state=0).arrays["dropout_l0"]
    assert (mask == 0).mean() == pytest.approx(0.3, abs=0.005)
    assert mask.mean() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("dropout", [1, -0.1, "half", True, np.nan])
def test_wrong_dropout(dropout):
    with pytest.raises(DataError, match=r"dropout must be a probability in \[0, 1\)"):
        GRU(1, 2, dropout=dropout)


# -- initial states ------------------------------------------------------------------------------------


def test_learned_initial_states_are_weights_and_yield_to_given_ones(rng):
    net = LSTM(2, 3, 2, initial="learned", random_state=0)
    assert list(net.shapes)[-4:] == ["h0_l0", "c0_l0", "h0_l1", "c0_l1"]
    assert all((net.weights[k] == 0).all() for k in ("h0_l0", "c0_l1"))
    for key in ("h0_l0", "c0_l0", "h0_l1", "c0_l1"):
        net.weights[key] = rng.normal(size=3)
    x = rng.normal(size=(4, 5, 2))
    rows = tuple(
        np.stack([np.tile(net.weights[f"{s}0_l{k}"], (5, 1)) for k in range(2)]) for s in net.cell.states
    )
    np.testing.assert_array_equal(net(x)[0], net(x, rows)[0])
    loss = SquaredError(np.zeros((4, 5, 3)))
    learned, given_rows = bptt(net, x, loss), bptt(net, x, loss, h0=rows)
    for key in ("h0_l0", "c0_l0", "h0_l1", "c0_l1"):
        assert key not in given_rows.parameters
        np.testing.assert_allclose(learned.parameters[key], given_rows.gradient[key].sum(0), atol=1e-12)


@pytest.mark.parametrize(
    ("h0", "words"),
    [(np.zeros((1, 2, 3)), r"1 parts.*h, c; give a tuple \(h0, c0\)"), ((np.zeros((1, 2, 3)),), "1 parts")],
)
def test_an_lstm_starts_from_two(h0, words):
    with pytest.raises(DataError, match=words):
        LSTM(1, 3)(np.zeros((4, 2, 1)), h0)


# -- settings ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "net",
    [
        LSTM(2, 4, 2, bidirectional=True, proj_size=2, peepholes=True, layer_norm=True, random_state=0),
        GRU(2, 3, initial="learned", dropout=0.5, dtype="float32", random_state=0),
        RNN(2, 3, 2, "relu", layer_norm=True, random_state=0),
    ],
    ids=repr,
)
def test_copies_and_words(net, rng):
    x = rng.normal(size=(4, 2, 2))
    output, _ = net(x)
    assert output.dtype == net.dtype
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other(x)[0], output)
    again = eval(repr(net), {"LSTM": LSTM, "GRU": GRU, "RNN": RNN})
    assert again.load_state_dict(net.state_dict()).shapes == net.shapes
    np.testing.assert_array_equal(again(x)[0], output)


def test_keys_are_torchs_and_then_ours():
    net = LSTM(2, 4, proj_size=3, peepholes=True, layer_norm=True, initial="learned")
    assert {k.removesuffix("_l0"): v for k, v in net.shapes.items()} == {
        "weight_ih": (16, 2),
        "weight_hh": (16, 3),
        "bias_ih": (16,),
        "bias_hh": (16,),
        "weight_hr": (3, 4),
        "norm_ih": (16,),
        "norm_hh": (16,),
        "weight_ci": (4,),
        "weight_cf": (4,),
        "weight_co": (4,),
        "h0": (3,),
        "c0": (4,),
    }
    assert (net.weights["norm_ih_l0"] == 1).all()


class OneStep(RecurrentNetwork):
    """A cell without halves."""

    def _cell(self):
        return Cell(elman().step, gate_shapes(1))


def test_wrong_settings():
    with pytest.raises(ShapeError, match="proj_size must be less than hidden_size, got 3 ≥ 3"):
        LSTM(2, 3, proj_size=3)
    with pytest.raises(DataError, match="initial must be one of 'zero', 'learned', got 'given'"):
        GRU(2, 3, initial="given")
    with pytest.raises(TypeError, match="_cell"):
        RecurrentNetwork(2, 3)
    with pytest.raises(UnsupportedError, match="no pre-activations of its own"):
        OneStep(2, 3).graph(np.zeros((2, 1, 2)), gates=True)
    with pytest.raises(DataError, match="gates must be True or False"):
        GRU(2, 3).graph(np.zeros((2, 1, 2)), gates=1)


# -- numbers that stop being finite --------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_cotangent_that_overflows_is_named_with_its_step(kind, reverse):
    """Every state stays 0 and every Jacobian is large: λ grows from the only target, at the sweep's end."""
    net = kind(1, 2, bidirectional=reverse, bias=False, random_state=0)
    for key, w in net.weights.items():
        rows = np.eye(2) if key.startswith("weight_hh") else np.zeros((2, 1))
        net.weights[key] = 1e20 * np.concatenate([rows] * (len(w) // 2))
    target = np.full((90, net.output_size), np.nan)
    suffix = "_reverse" if reverse else ""
    target[(0, slice(2, 4)) if reverse else (-1, slice(2))] = 1
    said = set()
    for _ in range(6):
        with pytest.raises(NumericalError, match=r"∂total/∂.* is NaN or infinite") as caught:
            bptt(net, np.zeros((90, 1)), SquaredError(target))
        said.add(str(caught.value))
    (message,) = said  # compiled sweeps say what the reference says
    growth = 20 if kind is RNN else 20 + np.log10(0.25)
    steps = int(np.log10(np.finfo(float).max) // growth) + 1
    at = steps if reverse else 89 - steps
    assert f"first at 'h_l0{suffix}' at step {at}," in message
