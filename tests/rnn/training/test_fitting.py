"""fit: it lowers the loss, repeats itself, stops as it says, and always leaves the best weights."""

import sys
from io import StringIO
from itertools import pairwise

import numpy as np
import pytest

from msgpass import Checkpointed, Truncated
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    MessagePassingError,
    NumericalError,
    ShapeError,
    UnsupportedError,
)
from rnn import RNN, CrossEntropy, Linear, SquaredError, bptt, fit
from rnn.training import objective
from rnn.training import progress as training

SERIES = np.sin(np.arange(30) / 2)[:, None]


def problem(dtype="float64", reduction="mean"):
    readout = Linear(4, 1, dtype=dtype, random_state=1)
    return RNN(1, 4, dtype=dtype, random_state=0), SERIES[:-1], SquaredError(SERIES[1:], reduction, readout)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_fit_lowers_the_loss_and_is_deterministic(optimizer, dtype):
    found = []
    for _ in range(2):
        net, x, loss = problem(dtype)
        before = bptt(net, x, loss).total
        history = fit(net, x, loss, optimizer, n_iter=40, tol=None, lr=0.05)
        assert history.losses[0] == pytest.approx(before, rel=1e-6)
        assert history.best == min(history.losses)
        assert history.best < 0.2 * before
        # One graph may run the reference and the other the compiled sweep.
        assert bptt(net, x, loss).total == pytest.approx(
            history.best, rel=1e-12 if dtype == "float64" else 1e-3
        )
        assert {w.dtype.name for w in (*net.weights.values(), *loss.weights.values())} == {dtype}
        found.append((history.losses, net.state_dict(), loss.readout.state_dict()))
    (losses, weights, readout), (again, weights2, readout2) = found
    assert losses == again
    assert all((weights[k] == weights2[k]).all() for k in weights)
    assert all((readout[k] == readout2[k]).all() for k in readout)


def test_lbfgs_never_goes_up():
    net, x, loss = problem()
    losses = fit(net, x, loss, n_iter=40, tol=None).losses
    assert all(after <= before for before, after in pairwise(losses))


def test_adam_takes_adams_steps():
    """The first step is lr in the direction of every gradient's sign."""
    net, x, loss = problem()
    before, gradient = net.state_dict(), bptt(net, x, loss).parameters
    expected = {k: before[k] - 1e-3 * np.sign(gradient[k]) for k in before}
    fit(net, x, loss, "adam", n_iter=1, tol=None, lr=1e-3)
    for k in before:
        np.testing.assert_allclose(net.weights[k], expected[k], rtol=1e-4, atol=1e-9)


def test_the_best_weights_are_kept_not_the_last():
    net, x, loss = problem()
    history = fit(net, x, loss, "adam", n_iter=15, tol=None, lr=2.0)
    assert history.best == min(history.losses) < history.losses[-1]
    assert bptt(net, x, loss).total == pytest.approx(history.best, rel=1e-12)


def test_a_classifier_learns_its_labels(rng):
    x = rng.normal(size=(20, 8, 1))
    labels = (x[..., 0] > 0).astype(int)
    net, readout = RNN(1, 4, random_state=0), Linear(4, 2, random_state=1)
    fit(net, x, CrossEntropy(labels, "mean", readout), n_iter=60, tol=None)
    assert (readout(net(x)[0]).argmax(axis=-1) == labels).mean() > 0.95


def test_random_state_starts_anew():
    net, x, loss = problem()
    first = fit(net, x, loss, n_iter=3, tol=None, random_state=5).losses
    onward = fit(net, x, loss, n_iter=3, tol=None).losses
    again = fit(net, x, loss, n_iter=3, tol=None, random_state=5).losses
    assert first == again
    assert onward[0] == pytest.approx(min(first), rel=1e-12)


def test_checkpoints_train_alike():
    losses = []
    for schedule in (None, Checkpointed(3)):
        net, x, loss = problem()
        losses.append(fit(net, x, loss, n_iter=5, tol=None, schedule=schedule).losses)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)


def test_truncation_trains_with_adam_only():
    net, x, loss = problem()
    assert (
        fit(net, x, loss, "adam", n_iter=20, tol=None, lr=0.02, schedule=Truncated(5, 10)).best
        < 0.5 * bptt(*problem()).total
    )
    with pytest.raises(UnsupportedError, match=r"Truncated.*'adam'"):
        fit(net, x, loss, schedule=Truncated(5, 10))


def test_tolerance_and_its_warning():
    net, x, loss = problem()
    with pytest.warns(ConvergenceWarning, match="lbfgs stopped before it met tol=1e-12"):
        history = fit(net, x, loss, n_iter=2, tol=1e-12)
    assert (history.converged, history.reason, history.n_iter) == (False, "2 iterations", 2)
    for optimizer in ("lbfgs", "adam"):
        history = fit(net, x, loss, optimizer, n_iter=500, tol=1e-2)
        assert history.converged
        assert history.n_iter < 500
        assert history.reason == "converged"


def test_interruption_keeps_the_best(monkeypatch):
    net, x, loss = problem()
    calls, through = [], objective.run

    def interrupted(*args, **kwargs):
        calls.append(1)
        if len(calls) > 10:
            raise KeyboardInterrupt
        return through(*args, **kwargs)

    monkeypatch.setattr(objective, "run", interrupted)
    history = fit(net, x, loss, n_iter=1000)
    assert history.reason == "interrupted"
    assert not history.converged
    assert history.best < history.losses[0]
    assert bptt(net, x, loss).total == pytest.approx(history.best, rel=1e-12)


def test_interruption_before_the_first_loss(monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(objective, "run", interrupted)
    net, x, loss = problem()
    before = net.state_dict()
    history = fit(net, x, loss)
    assert (history.losses, history.n_iter) == ([], 0)
    assert "no loss yet" in repr(history)
    assert all((before[k] == v).all() for k, v in net.weights.items())


def test_a_terminal_sees_progress(monkeypatch):
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    net, x, loss = problem()
    for progress in (False, True):
        monkeypatch.setattr(sys, "stderr", Terminal())
        monkeypatch.setattr(training, "SILENT_SECONDS", 0.0)
        history = fit(net, x, loss, "adam", n_iter=30, tol=None, progress=progress)
        assert ("fit:" in sys.stderr.getvalue()) is progress
    assert repr(history).startswith("<History: adam, 30 iterations, loss 0.")


def test_a_loss_that_overflows_is_named_and_the_best_kept():
    net = RNN(1, 3, nonlinearity="relu", random_state=0)
    x, loss = np.ones((200, 1)), SquaredError(np.ones((200, 3)))
    words = r"became NaN or infinite.* in iteration \d+ of adam; the best weights .* are kept"
    with pytest.raises(NumericalError, match=words):
        fit(net, x, loss, "adam", n_iter=50, lr=100.0)
    assert np.isfinite(bptt(net, x, loss).total)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"optimizer": "newton"}, DataError, "'lbfgs', 'adam'"),
        ({"n_iter": 0}, ShapeError, "n_iter"),
        ({"tol": -1}, DataError, "tol"),
        ({"lr": 0}, DataError, "lr"),
        ({"progress": 1}, DataError, "progress"),
        ({"random_state": "x"}, DataError, "random_state"),
        ({"h0": np.zeros(3)}, ShapeError, "h0"),
        ({"h0": np.zeros(3), "random_state": 1}, ShapeError, "h0"),
    ],
)
def test_bad_arguments_change_nothing(arguments, error, words):
    net, x, loss = problem()
    before = net.state_dict()
    with pytest.raises(error, match=words) as caught:
        fit(net, x, loss, **arguments)
    assert isinstance(caught.value, MessagePassingError)
    assert all((before[k] == v).all() for k, v in net.weights.items())


def test_bad_data_change_nothing():
    net, x, loss = problem()
    with pytest.raises(DataError, match="missing"):
        fit(net, np.full_like(x, np.nan), loss)
    with pytest.raises(DataError, match="takes a network and a loss"):
        fit(net, x, None)
