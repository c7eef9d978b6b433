"""Surgery within ``fit``, and cosines over the time of training."""

import numpy as np
import pytest

from msgpass.errors import DataError, UnavailableError, UnsupportedError
from rnn import RNN, Linear, Several, SquaredError, bptt, fit
from rnn.multitask import MGDA, CAGrad, ConflictRecorder, PCGrad, WeightedSum, task_gradients
from rnn.optimizers import SGD
from tests.rnn.multitask.multitask_models import opposed, problem

PLAIN = {"n_iter": 1, "tol": None, "progress": False}


def stepped(net, x, loss, **more):
    """By how much one step of gradient descent with rate 1 moves each weight."""
    before = {k: w.copy() for k, w in {**net.weights, **loss.weights}.items()}
    fit(net, x, loss, SGD(momentum=0), lr=1.0, callbacks=(kept := Kept(loss)), **PLAIN, **more)
    return {k: before[k] - kept.last[k] for k in before}


class Kept:
    """The weights of the last epoch, which need not be the best."""

    def __init__(self, loss):
        self.loss = loss

    def __call__(self, report):
        self.last = {k: w.copy() for k, w in {**report.net.weights, **self.loss.weights}.items()}


@pytest.mark.parametrize(
    "surgery", [PCGrad(3), MGDA(), MGDA(True), CAGrad(0.4), WeightedSum((0.5, 2.0, 1.0))]
)
def test_a_step_follows_the_direction(surgery, rng):
    net, x, losses = problem(rng, tasks=3)
    loss = Several(*losses)
    found = task_gradients(net, x, loss)
    m, wanted = bptt(net, x, loss), found.combined(surgery)
    moved = stepped(net, x, loss, surgery=surgery)
    for key, d in moved.items():  # heads go along their own gradients
        np.testing.assert_allclose(d, wanted.get(key, m.parameters[key]), rtol=1e-6, atol=1e-9)


def test_losses_without_a_task_are_added_as_they_are(rng):
    net, x, losses = problem(rng)
    beside = SquaredError(rng.normal(size=(7, 3, 5)))
    alone = bptt(net, x, beside).parameters
    found = task_gradients(net, x, Several(*losses))
    wanted = found.combined(MGDA())
    moved = stepped(net, x, Several(*losses, beside), surgery=MGDA())
    for key in found.names:
        np.testing.assert_allclose(moved[key], wanted[key] + alone[key], rtol=1e-6, atol=1e-9)


def test_the_plain_sum_is_no_surgery(rng):
    histories = []
    for surgery in (None, WeightedSum()):
        net, x, losses = problem(np.random.default_rng(0))
        loss = Several(*losses)
        histories.append(
            fit(net, x, loss, "adam", n_iter=15, tol=None, surgery=surgery, progress=False).losses
        )
    np.testing.assert_allclose(*histories, rtol=1e-9)


def test_one_task_is_left_alone(rng):
    net, x, losses = problem(rng)
    m = bptt(net, x, losses[0])
    for key, d in stepped(net, x, losses[0], surgery=MGDA()).items():
        np.testing.assert_allclose(d, m.parameters[key], rtol=1e-6, atol=1e-9)


def test_batches_and_a_seed_give_the_same_bits_and_can_be_resumed(tmp_path):
    def trained(n_iter, checkpoint=None):
        net, x, losses = problem(np.random.default_rng(0), B=8, tasks=3)
        settings = {"n_iter": n_iter, "tol": None, "progress": False, "batch_size": 3, "surgery": PCGrad(1)}
        return fit(net, x, Several(*losses), "adam", checkpoint=checkpoint, **settings).losses

    whole = trained(6)
    assert trained(6) == whole
    trained(3, tmp_path / "fit.safetensors")
    assert trained(6, tmp_path / "fit.safetensors") == whole


def test_surgery_helps_where_tasks_pull_apart():
    """One task's loss is nine times the other's: the sum serves the large one."""
    ends = {}
    for name, surgery in (("sum", None), ("mgda", MGDA(True))):
        net, x, loss = opposed()
        fit(net, x, loss, "adam", n_iter=150, lr=0.01, tol=None, surgery=surgery, progress=False)
        ends[name] = task_gradients(net, x, loss).totals
    assert ends["mgda"]["a"] < ends["sum"]["a"]


def test_the_recorder(rng):
    net, x, losses = problem(rng, tasks=2)
    loss = Several(*losses)
    start = task_gradients(net, x, loss)
    recorder = ConflictRecorder(x, loss, every=2, groups={"recurrent": ["weight_hh_l0"]})
    history = fit(net, x, loss, "adam", n_iter=6, tol=None, callbacks=recorder, progress=False)
    assert recorder.epochs == [0, 2, 4, 6]
    np.testing.assert_allclose(recorder.totals.sum(axis=1), history.losses[::2], rtol=1e-9)
    np.testing.assert_allclose(recorder.cosines()[0], start.cosines(), rtol=1e-9)
    np.testing.assert_allclose(recorder.cosines("recurrent")[0], start.cosines("weight_hh_l0"), rtol=1e-9)
    np.testing.assert_allclose(recorder.norms()[0], start.norms(), rtol=1e-9)
    assert repr(recorder) == "<ConflictRecorder: 4 records of level, kind>"
    with pytest.raises(UnavailableError, match="no group 'heads'"):
        recorder.cosines("heads")


def test_the_recorders_frame_and_figure(rng):
    pytest.importorskip("pandas"), pytest.importorskip("matplotlib")
    net, x, losses = problem(rng, tasks=3)
    recorder = ConflictRecorder(x, Several(*losses))
    with pytest.raises(UnavailableError, match="nothing was recorded"):
        recorder.cosines()
    recorder.record(0, task_gradients(net, x, Several(*losses)))
    recorder.record(5, task_gradients(net, x, Several(*losses)))
    frame = recorder.to_frame()
    assert len(frame) == 2 * 5 * 3 and set(frame.epoch) == {0, 5}
    assert len(recorder.plot().axes[0].lines) == 4
    assert len(recorder.plot(["weight_hh_l0", "weight_ih_l0"]).axes[0].lines) == 7


def test_what_is_refused(rng):
    net, x, losses = problem(rng)
    with pytest.raises(DataError, match="surgery must be a method"):
        fit(net, x, Several(*losses), "adam", surgery="pcgrad")
    with pytest.raises(UnsupportedError, match="surgery cannot be had"):
        fit(net, x, Several(*losses), "lbfgs", surgery=PCGrad())
    plain = SquaredError(np.zeros((7, 3, 1)), readout=Linear(5, 1))
    with pytest.raises(UnsupportedError, match="SquaredError names none"):
        fit(RNN(2, 5), x, plain, "adam", surgery=PCGrad())
