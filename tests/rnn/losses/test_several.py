"""Several tasks over one network: each has its own total and gradients, in one run."""

import numpy as np
import pytest

from msgpass.errors import DataError
from rnn import CRF, GRU, LSTM, CrossEntropy, Linear, Several, SquaredError, TagChain, bptt, fit

T, B, H = 30, 12, 16


def losses(rng):
    return {
        "level": SquaredError(rng.normal(size=(T, B, 2)), "mean", Linear(H, 2, random_state=1), task="level"),
        "kind": CrossEntropy(rng.integers(-1, 3, (T, B)), readout=Linear(H, 3, random_state=2), task="kind"),
        "tags": CRF(
            rng.integers(0, 4, (T, B)),
            TagChain(4, random_state=3),
            "mean",
            Linear(H, 4, random_state=4),
            task="tags",
        ),
    }


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize("ragged", [False, True])
def test_tasks_are_what_they_are_alone(kind, ragged, rng):
    """At a size of compiled sweeps, and again where the graph is known."""
    net, x, own = kind(3, H, random_state=0), rng.normal(size=(T, B, 3)), losses(rng)
    lengths = rng.integers(1, T + 1, B) if ragged else None
    for _ in range(3):
        m = bptt(net, x, Several(*own.values()), lengths=lengths)
    alone = {name: bptt(net, x, loss, lengths=lengths) for name, loss in own.items()}
    assert set(m.tasks) == set(own)
    for name, one in alone.items():
        assert m.tasks[name].total == pytest.approx(one.total, rel=1e-11)
        for key, wanted in one.parameters.items():
            np.testing.assert_allclose(m.tasks[name].parameters[key], wanted, rtol=1e-8, atol=1e-11)
    for key in net.weights:
        wanted = sum(one.parameters[key] for one in alone.values())
        np.testing.assert_allclose(m.parameters[key], wanted, rtol=1e-8, atol=1e-11)


def test_a_fit_trains_all_of_them(rng):
    net, x, own = LSTM(3, H, random_state=0), rng.normal(size=(T, B, 3)), losses(rng)
    both = Several(*own.values())
    before = {name: w.copy() for name, w in both.weights.items()}
    history = fit(net, x, both, n_iter=5, tol=None)
    assert history.best < history.losses[0]
    assert all((w != before[name]).any() for name, w in both.weights.items())
    assert bptt(net, x, both).total == pytest.approx(history.best, rel=1e-9)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda loss: Several(), "got none"),
        (lambda loss: Several(loss, 3), "got int"),
        (lambda loss: Several(loss, loss), "two losses have the task 'level'"),
        (lambda loss: Several(SquaredError(0.0), SquaredError(0.0)), "two losses have no task"),
        (lambda loss: SquaredError(0.0, task=""), "task is a name"),
    ],
)
def test_wrong_losses(make, words, rng):
    with pytest.raises(DataError, match=words):
        make(losses(rng)["level"])
