"""A fit that is cut short anywhere and taken up again leaves the bits of one that was not."""

import json

import numpy as np
import pytest

from msgpass import files
from msgpass.errors import DataError
from rnn import LSTM, RNN, SquaredError, fit
from rnn.learning_rates import Constant, LearningRate, Plateau, Warmup
from rnn.optimizers import SGD, Adam, RMSprop
from rnn.training import checkpoint, objective
from tests.rnn.training.problems import batch, everything

CASES = {
    "whole": ({"n_iter": 8}, {}),
    "batches": ({"n_iter": 4, "batch_size": 5}, {}),
    "momentum": ({"n_iter": 4, "batch_size": 5, "optimizer": SGD(nesterov=True), "clip_norm": 0.1}, {}),
    "rmsprop": ({"n_iter": 3, "batch_size": 5, "optimizer": RMSprop(momentum=0.5, centered=True)}, {}),
    "dropout": ({"n_iter": 3, "batch_size": 5, "validation": 0.25}, {"dropout": 0.3}),
    "ragged": ({"n_iter": 3, "batch_size": 2}, {"ragged": True}),
    "plateau": ({"n_iter": 6, "lr": Warmup(Plateau(0.3, 0.5, 1), 2), "validation": 0.3}, {}),
    "single": ({"n_iter": 3, "batch_size": 5}, {"dtype": "float32"}),
    "stops": ({"n_iter": 30, "lr": Constant(0.5), "tol": 0.1, "patience": 2}, {}),
    "long": ({"n_iter": 12}, {"n": 2, "steps": 150}),  # long enough for compiled sweeps
    "lstm": ({"n_iter": 3, "batch_size": 5}, {"kind": LSTM}),
}


def attempt(case, path=None, **more):
    arguments, problem = CASES[case]
    net, x, loss, data = batch(**problem)
    given = {"optimizer": Adam(), "tol": None, "seed": 7, "lr": 0.05} | arguments | more
    return everything(net, loss, fit(net, x, loss, checkpoint=path, **given, **data))


def cut_after(monkeypatch, runs):
    """Interrupt the fit after so many runs of a graph."""
    through, seen = objective.run, []

    def run(*args, **kwargs):
        seen.append(1)
        if len(seen) > runs:
            raise KeyboardInterrupt
        return through(*args, **kwargs)

    monkeypatch.setattr(objective, "run", run)
    return seen


@pytest.mark.parametrize("case", CASES)
def test_interrupted_anywhere(case, tmp_path, monkeypatch):
    with monkeypatch.context() as counting:
        runs = cut_after(counting, np.inf)
        expected = attempt(case)
    for after in range(0, len(runs), max(1, len(runs) // 5)):
        path = tmp_path / f"{after}.safetensors"
        with monkeypatch.context() as cutting:
            cut_after(cutting, after)
            assert attempt(case, path) != expected
        assert path.exists()
        assert attempt(case, path) == expected, f"cut after {after} of {len(runs)} runs"


def test_interrupted_again_and_again(tmp_path, monkeypatch):
    expected, path = attempt("dropout"), tmp_path / "fit.safetensors"
    for _ in range(20):
        with monkeypatch.context() as cutting:
            cut_after(cutting, 3)
            found = attempt("dropout", path)
        if found == expected:
            break
    assert found == expected


@pytest.mark.parametrize("case", ["whole", "batches", "plateau"])
def test_a_longer_fit_goes_on(case, tmp_path):
    path, n_iter = tmp_path / "fit.safetensors", CASES[case][0]["n_iter"]
    short = attempt(case, path, n_iter=2)
    assert attempt(case, path, n_iter=2) == short
    assert attempt(case, path, n_iter=n_iter) == attempt(case)
    assert attempt(case, path, n_iter=1)[2] == attempt(case)[2], "nothing is undone"


def test_start_weights_are_those_of_the_file(tmp_path):
    path = tmp_path / "fit.safetensors"
    attempt("batches", path, n_iter=2)
    net, x, loss, _ = batch()
    net.reset(99)
    history = fit(net, x, loss, Adam(), lr=0.05, n_iter=4, batch_size=5, tol=None, seed=7, checkpoint=path)
    assert everything(net, loss, history) == attempt("batches")


def test_it_is_written_now_and_then(tmp_path, monkeypatch):
    """Not only at the end: a process may be killed."""
    monkeypatch.setattr(checkpoint, "SECONDS", 0.0)
    path, seen = tmp_path / "fit.safetensors", []

    def look(report):
        seen.append(json.loads(files.read(path)[0]["place"])["updates"] if path.exists() else 0)

    attempt("batches", path, callbacks=look)
    assert seen == [3, 6, 9, 12]


@pytest.mark.parametrize("change", [{"seed": 8}, {"batch_size": 4}, {"lr": 0.01}, {"optimizer": "sgd"}])
def test_other_settings_are_refused(change, tmp_path):
    path = tmp_path / "fit.safetensors"
    attempt("batches", path)
    with pytest.raises(DataError, match="other data or with other settings"):
        attempt("batches", path, **change)


def test_other_data_are_refused(tmp_path):
    path = tmp_path / "fit.safetensors"
    attempt("batches", path)
    net, x, loss, _ = batch()
    x[0, 0, 0] += 1e-9
    with pytest.raises(DataError, match="other data"):
        fit(net, x, loss, Adam(), lr=0.05, n_iter=4, batch_size=5, tol=None, seed=7, checkpoint=path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "fit.safetensors"
    attempt("batches", path)
    header, arrays = files.read(path)
    files.write(path, arrays, header | {"format": "another"})
    with pytest.raises(DataError, match="not a checkpoint"):
        attempt("batches", path)
    for damaged in (
        ({k: v for k, v in arrays.items() if k != "best"}, header),
        (arrays | {"state.mean": np.zeros(3)}, header),
        (arrays, header | {"place": "{}"}),
        (arrays, header | {"place": "["}),
    ):
        files.write(path, *damaged)
        with pytest.raises(DataError, match="damaged"):
            attempt("batches", path)
    with pytest.raises(DataError, match="no folder"):
        attempt("batches", tmp_path / "absent" / "fit.safetensors")


def test_a_learning_rate_of_ones_own_resumes(tmp_path):
    class Own(LearningRate):
        def at(self, epoch):
            return 0.01 / (1 + epoch)

    x = np.random.default_rng(0).normal(size=(4, 3, 2))
    path, loss = tmp_path / "own.safetensors", SquaredError(np.zeros((4, 3, 3)))
    fit(RNN(2, 3, random_state=0), x, loss, "adam", lr=Own(), n_iter=1, tol=None, checkpoint=path)
    gone_on = fit(RNN(2, 3, random_state=0), x, loss, "adam", lr=Own(), n_iter=3, tol=None, checkpoint=path)
    at_once = fit(RNN(2, 3, random_state=0), x, loss, "adam", lr=Own(), n_iter=3, tol=None)
    assert gone_on.losses == at_once.losses
