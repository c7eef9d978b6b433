"""Restarts keep the best; an interrupt leaves it; a checkpoint goes on to the bit."""

import numpy as np
import pytest

import hmm
from hmm.learning import checkpoint as checkpoints
from msgpass.errors import DataError
from tests.hmm import drawn as first
from tests.hmm import kinds as others

KINDS = (*first.KINDS, *others.KINDS)
pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")


def hard(rng):
    """Symbols with many local maxima."""
    return rng.integers(0, 5, (150, 1))


def model(**settings):
    return hmm.CategoricalHMM(3, random_state=7, n_iter=15, tol=1e-6, **settings)


def test_more_starts_are_never_worse_and_the_first_is_the_same(rng):
    X = hard(rng)
    scores = [model(n_init=n).fit(X).monitor_.history[-1] for n in (1, 3, 8)]
    assert scores == sorted(scores) and scores[2] > scores[0]


def test_the_monitor_shows_the_best_start(rng):
    X = hard(rng)
    best = model(n_init=5).fit(X)
    again = best.monitor_.history[-1]
    best.set_params(n_iter=1, init_params="", n_init=1, tol=0)
    best.fit(X)
    assert best.monitor_.history[0] >= again


def test_starts_that_would_be_alike_are_one(rng, caplog):
    X = hard(rng)
    once = model().fit(X)
    once.set_params(init_params="", n_init=4)
    once.fit(X)
    assert "would be alike" in caplog.text


class Stop(hmm.ConvergenceMonitor):
    """Interrupts after some iterations, as Ctrl-C would."""

    left = 10**9

    def report(self, log_prob):
        super().report(log_prob)
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def stopping(one, after):
    monitor = Stop(one.tol, one.n_iter, False)
    monitor.left = after
    one.monitor_ = monitor
    return one


@pytest.mark.parametrize("after", [1, 3, 20, 40])
def test_an_interrupt_leaves_the_best_so_far(after, rng, caplog):
    X = hard(rng)
    cut = stopping(model(n_init=4), after)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(X)
    assert "interrupted" in caplog.text
    full = model(n_init=4).fit(X)
    assert -np.inf < cut.score(X) <= full.score(X) + 1e-9
    cut.predict(X)


@pytest.mark.parametrize("after", [1, 2, 9, 16, 31])
def test_a_resumed_fit_ends_with_the_same_bits(after, rng, tmp_path):
    X, path = hard(rng), tmp_path / "fit.safetensors"
    whole = model(n_init=3).fit(X)
    with pytest.raises(KeyboardInterrupt):
        stopping(model(n_init=3), after).fit(X, checkpoint=path)
    resumed = model(n_init=3).fit(X, checkpoint=path)
    for name in ("startprob_", "transmat_", "emissionprob_"):
        np.testing.assert_array_equal(getattr(resumed, name), getattr(whole, name))
    assert resumed.monitor_.history == whole.monitor_.history
    assert resumed.monitor_.converged == whole.monitor_.converged


@pytest.mark.parametrize("kind", KINDS)
def test_every_model_resumes(kind, rng, tmp_path):
    module = first if kind in first.KINDS else others
    template = module.make(kind, 2, 2, rng)
    X, path = others.rows(template, 30, rng), tmp_path / "fit.safetensors"

    def fresh():
        params = template.get_params(deep=False) | {"random_state": 1, "n_iter": 6, "tol": 0}
        return type(template)(**params)

    whole = fresh().fit(X)
    with pytest.raises(KeyboardInterrupt):
        stopping(fresh(), 3).fit(X, checkpoint=path)
    resumed = fresh().fit(X, checkpoint=path)
    assert resumed.monitor_.history == whole.monitor_.history
    assert resumed.score(X) == whole.score(X)


def test_a_finished_fit_is_read_back_and_goes_on_with_more_iterations(rng, tmp_path):
    X, path = hard(rng), tmp_path / "fit.safetensors"
    short = hmm.CategoricalHMM(3, random_state=7, n_iter=5, tol=0).fit(X, checkpoint=path)
    again = hmm.CategoricalHMM(3, random_state=7, n_iter=5, tol=0).fit(X, checkpoint=path)
    np.testing.assert_array_equal(again.transmat_, short.transmat_)
    longer = hmm.CategoricalHMM(3, random_state=7, n_iter=9, tol=0).fit(X, checkpoint=path)
    straight = hmm.CategoricalHMM(3, random_state=7, n_iter=9, tol=0).fit(X)
    assert longer.monitor_.history == straight.monitor_.history
    np.testing.assert_array_equal(longer.transmat_, straight.transmat_)


def test_a_checkpoint_of_another_fit_is_refused(rng, tmp_path):
    X, path = hard(rng), tmp_path / "fit.safetensors"
    model().fit(X, checkpoint=path)
    kept = path.read_bytes()
    for other in (model(n_init=2), model(startprob_prior=2.0), model(topology="left-right")):
        with pytest.raises(DataError, match="other data or with other settings"):
            other.fit(X, checkpoint=path)
    with pytest.raises(DataError, match="other data"):
        model().fit(X[::-1].copy(), checkpoint=path)
    assert path.read_bytes() == kept
    path.write_bytes(b"nonsense")
    with pytest.raises(DataError, match="not a safetensors file"):
        model().fit(X, checkpoint=path)
    model().fit(X).save(path)
    with pytest.raises(DataError, match="not a checkpoint"):
        model().fit(X, checkpoint=path)


def test_it_is_written_now_and_then(rng, tmp_path, monkeypatch):
    X, path = hard(rng), tmp_path / "fit.safetensors"
    monkeypatch.setattr(checkpoints, "SECONDS", -1.0)
    written = []
    monkeypatch.setattr(checkpoints.Checkpoint, "write", lambda self, state: written.append(state.restart))
    model(n_init=2).fit(X, checkpoint=path)
    assert len(written) > 10 and set(written) == {0, 1, 2}
