"""Training in batches: what it reports, which weights it keeps, when it stops."""

import numpy as np
import pytest

from msgpass import Truncated
from msgpass.errors import ConvergenceWarning, DataError, NumericalError, UnsupportedError
from rnn import RNN, Linear, SquaredError, bptt, fit
from rnn.learning_rates import Constant, Exponential
from rnn.optimizers import SGD
from tests.rnn.training.problems import batch, everything, signs


def test_a_step_a_batch():
    """One epoch of plain SGD is done by hand."""
    net, x, loss, _ = batch()
    weights = {**net.state_dict(), **{k: v.copy() for k, v in loss.weights.items()}}
    other = batch()[0]
    losses = []
    for first in range(0, 12, 5):
        other.load_state_dict({k: weights[k] for k in other.weights})
        readout = Linear(4, 1)
        readout.load_state_dict({k: weights[f"readout.{k}"] for k in readout.weights})
        part = slice(first, first + 5)
        m = bptt(other, x[:, part], SquaredError(loss.target[:, part], "mean", readout))
        losses.append(m.total * x[:, part, 0].size)
        weights = {k: v - 0.1 * m.parameters[k] for k, v in weights.items()}
    history = fit(net, x, loss, SGD(momentum=0.0), lr=0.1, n_iter=1, tol=None, batch_size=5, shuffle=False)
    assert history.losses == [pytest.approx(sum(losses) / x[..., 0].size, rel=1e-12)]
    assert (history.n_iter, history.updates, history.best_epoch) == (1, 3, 0)
    for key, value in {**net.weights, **loss.weights}.items():
        np.testing.assert_allclose(value, weights[key], rtol=1e-10)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_a_classifier_learns(optimizer):
    net, x, loss = signs(40)
    loss.readout.reset(1)
    fit(net, x, loss, optimizer, n_iter=40, lr=0.05, tol=None, batch_size=10)
    assert (loss.readout(net(x)[0]).argmax(axis=-1) == loss.labels).mean() > 0.9


@pytest.mark.parametrize("size", [None, 4])
def test_the_best_validated_weights_are_kept(size):
    net, x, loss, _ = batch(12)
    held = x[:, 8:], SquaredError(loss.target[:, 8:], "mean", loss.readout)
    train = SquaredError(loss.target[:, :8], "mean", loss.readout)
    history = fit(
        net, x[:, :8], train, SGD(0.5), n_iter=12, lr=2.0, tol=None, batch_size=size, validation=held
    )
    assert history.best == min(history.validation) == history.validation[history.best_epoch]
    assert history.best_epoch < 11 + (size is None), "the case must overshoot"
    assert bptt(net, *held).total == pytest.approx(history.best, rel=1e-12)


def test_validation_stops_lbfgs_too():
    net, x, loss, _ = batch(12)
    held = x[:, 8:], SquaredError(loss.target[:, 8:] + 1.0, "mean", loss.readout)
    train = SquaredError(loss.target[:, :8], "mean", loss.readout)
    history = fit(net, x[:, :8], train, n_iter=300, tol=1e-3, patience=3, validation=held)
    assert history.converged and history.n_iter < 300
    assert history.best == min(history.validation) == history.validation[history.best_epoch]
    assert bptt(net, *held).total == pytest.approx(history.best, rel=1e-9)


def test_patience_ends_a_fit():
    net, x, loss, _ = batch()
    history = fit(net, x, loss, SGD(0.0), n_iter=100, lr=1e-9, tol=1e-3, patience=4, batch_size=6)
    assert history.converged and history.n_iter == 5 and history.reason == "converged"
    with pytest.warns(ConvergenceWarning, match="sgd stopped before it met tol=1e-09"):
        fit(net, x, loss, "sgd", n_iter=2, lr=0.01, tol=1e-9, batch_size=6)


def test_rates_are_those_of_the_epochs():
    net, x, loss, _ = batch()
    history = fit(net, x, loss, "adam", lr=Exponential(0.1, 0.5), n_iter=3, tol=None, batch_size=5)
    assert history.rates == [0.1, 0.05, 0.025]


def test_clipping_shortens_the_step():
    moved = {}
    for name, bounds in {"free": {}, "norm": {"clip_norm": 1e-3}, "value": {"clip_value": 1e-5}}.items():
        net, x, loss, _ = batch()
        before = np.concatenate([w.ravel() for w in {**net.weights, **loss.weights}.values()])
        seen = []

        def look(report, seen=seen, loss=loss):
            seen.append(np.concatenate([w.ravel() for w in {**report.net.weights, **loss.weights}.values()]))

        fit(net, x, loss, SGD(0.0), lr=1.0, n_iter=1, tol=None, batch_size=12, callbacks=look, **bounds)
        moved[name] = seen[0] - before
    assert np.linalg.norm(moved["free"]) > 0.1
    assert np.linalg.norm(moved["norm"]) == pytest.approx(1e-3, rel=1e-9)
    assert np.abs(moved["value"]).max() == pytest.approx(1e-5, rel=1e-9)


def test_one_seed_one_course():
    def course(**seeds):
        net, x, loss, _ = batch(dropout=0.4)
        return everything(net, loss, fit(net, x, loss, "adam", n_iter=3, tol=None, batch_size=5, **seeds))

    assert course() == course() == course(seed=0)
    assert course(seed=1) != course(seed=2)
    assert course(random_state=3) == course(random_state=3) != course(random_state=4)
    assert course(random_state=3, seed=5) != course(random_state=3)
    assert course(random_state=np.random.default_rng(3)) == course(random_state=3)


def test_what_the_network_did_before_does_not_matter():
    found = []
    for runs in (0, 40):
        net, x, loss, _ = batch()
        for _ in range(runs):
            bptt(net, x, loss)
        found.append(everything(net, loss, fit(net, x, loss, "adam", n_iter=30, tol=None)))
    assert found[0] == found[1]


def test_callbacks_see_every_epoch_and_may_stop():
    net, x, loss, _ = batch()
    seen = []

    def stop_at_three(report):
        seen.append((report.epoch, report.loss, report.validation, report.improved, report.rate))
        assert report.net is net
        return report.epoch == 3

    history = fit(
        net, x, loss, "adam", n_iter=50, lr=Constant(0.01), batch_size=5, validation=0.25,
        callbacks=[lambda report: None, stop_at_three],
    )  # fmt: skip
    assert history.reason == "stopped by a callback" and not history.converged
    assert [s[0] for s in seen] == [0, 1, 2, 3]
    assert [s[1] for s in seen] == history.losses and [s[2] for s in seen] == history.validation


def test_a_callback_that_fails_leaves_the_best_weights():
    net, x, loss, _ = batch()

    def fail(report):
        if report.epoch == 4:
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        fit(net, x, loss, SGD(0.0), n_iter=50, lr=3.0, callbacks=fail)
    best = bptt(net, x, loss).total
    net2, x, loss2, _ = batch()
    assert best == pytest.approx(min(fit(net2, x, loss2, SGD(0.0), n_iter=4, lr=3.0, tol=None).losses))


def test_nan_is_named_where_it_appears():
    _, x, loss, _ = batch()
    grown = RNN(2, 4, nonlinearity="relu", random_state=0)
    with pytest.raises(NumericalError, match=r"epoch \d+, batch \d+ \(update \d+\) of sgd; .*clip_norm"):
        fit(grown, 1e3 * x, loss, "sgd", n_iter=50, lr=1e6, batch_size=4)
    assert all(np.isfinite(w).all() for w in grown.weights.values())


def test_a_gradient_is_named():
    net, x, loss, _ = batch()
    loss.readout.load_state_dict({"weight": np.full((1, 4), 1e200), "bias": np.zeros(1)})
    with pytest.raises(NumericalError, match=r"∂total/∂weight_ih_l0 is NaN .*iteration 0 of adam"):
        fit(net, x, loss, "adam", n_iter=5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"batch_size": 4}, "batch_size cannot be had"),
        ({"clip_norm": 1.0, "clip_value": 1.0}, "clip_norm, clip_value"),
        ({"checkpoint": "x"}, "checkpoint"),
        ({"lr": Exponential(0.1, 0.5)}, "schedule of learning rates"),
    ],
)
def test_what_lbfgs_cannot_do(arguments, words):
    net, x, loss, _ = batch()
    with pytest.raises(UnsupportedError, match=f"{words}.*optimizer='adam'"):
        fit(net, x, loss, **arguments)


def test_lbfgs_and_dropout():
    net, x, loss, _ = batch(dropout=0.5)
    with pytest.raises(UnsupportedError, match="chance"):
        fit(net, x, loss)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"patience": 0}, "patience"),
        ({"shuffle": 1}, "shuffle"),
        ({"clip_norm": -1.0}, "clip_norm"),
        ({"seed": -1}, "seed"),
        ({"validation": 1.5}, "validation"),
    ],
)
def test_arguments_that_do_not_fit(arguments, words):
    net, x, loss, _ = batch()
    with pytest.raises((DataError, ValueError), match=words):
        fit(net, x, loss, "adam", **arguments)


def test_truncated_batches_learn():
    net, x, loss, data = batch(24, ragged=True)
    how = {"n_iter": 15, "lr": 0.03, "batch_size": 6, "tol": None, "schedule": Truncated(2, 3)}
    history = fit(net, x, loss, "adam", **how, **data)
    assert history.losses[-1] < 0.5 * history.losses[0]
    net, x, loss, data = batch(24, ragged=True)
    assert fit(net, x, loss, "adam", **how | {"schedule": None}, **data).losses[1] != history.losses[1]
