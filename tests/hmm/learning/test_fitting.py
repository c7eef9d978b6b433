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


def ends(caplog):
    """Objectives that the starts of a fit ended at."""
    return [r.args[2] for r in caplog.records if r.msg.startswith("start %d of %d ended")]


@pytest.mark.parametrize("init_params", ["", "st"])
def test_every_start_is_from_the_attributes_before_the_fit(init_params, rng, caplog):
    """And not from what the start before it has found."""
    X = np.concatenate([rng.normal(m, 0.5, (20, 1)) for m in (0, 3, 6, 9, 0, 6)])

    def fresh(n_init):
        model = hmm.GaussianHMM(3, n_init=n_init, init_params=init_params, random_state=1, n_iter=4, tol=0)
        if init_params:
            model.means_, model.covars_ = [[0.0], [1.0], [2.0]], np.ones((3, 1))
        return model

    with caplog.at_level("INFO", logger="hmm"):
        fresh(3).fit(X)
    source = np.random.default_rng(1)
    begun = fresh(1)
    begun.set_params(random_state=source).fit(X)
    alone = [begun.monitor_.history[-1]]
    for seed in source.integers(2**62, size=2).tolist():
        alone.append(fresh(1).set_params(random_state=seed).fit(X).monitor_.history[-1])
    assert ends(caplog) == alone


@pytest.mark.parametrize("same", [False, True])
def test_starts_to_come_are_from_the_attributes_before_an_interrupt(same, rng, tmp_path):
    """Also where the model that was interrupted goes on, which holds the best so far."""
    X, path = rng.normal(size=(60, 1)), tmp_path / "fit.safetensors"

    def fresh():
        model = hmm.GaussianHMM(3, n_init=3, init_params="st", random_state=1, n_iter=6, tol=0)
        model.means_ = [[-1.0], [0.1], [0.3]]
        return model

    whole = fresh().fit(X)
    one = stopping(fresh(), 4)
    with pytest.raises(KeyboardInterrupt):
        one.fit(X, checkpoint=path)
    if same:
        one.monitor_.left = 10**9
    resumed = (one if same else fresh()).fit(X, checkpoint=path)
    assert resumed.monitor_.history == whole.monitor_.history
    np.testing.assert_array_equal(resumed.means_, whole.means_)


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


def test_the_best_of_several_starts_goes_on_with_more_iterations(rng, tmp_path):
    X, path = hard(rng), tmp_path / "fit.safetensors"
    short = hmm.CategoricalHMM(3, n_init=3, random_state=7, n_iter=5, tol=0).fit(X, checkpoint=path)
    longer = hmm.CategoricalHMM(3, n_init=3, random_state=7, n_iter=9, tol=0).fit(X, checkpoint=path)
    assert len(longer.monitor_.history) == 9
    assert longer.monitor_.history[:5] == short.monitor_.history


def test_a_checkpoint_of_other_frozen_values_is_refused(rng, tmp_path):
    X, path = rng.normal(size=(60, 1)), tmp_path / "fit.safetensors"

    def frozen(value):
        model = hmm.GaussianHMM(2, random_state=0, n_iter=3, tol=0, frozen={"means": [0]})
        model.means_ = [[value], [0.0]]
        return model

    again = frozen(-1).fit(X, checkpoint=path)
    again.fit(X, checkpoint=path)
    with pytest.raises(DataError, match="other data or with other settings"):
        frozen(1).fit(X, checkpoint=path)


def test_a_checkpoint_of_other_held_values_is_refused(rng, tmp_path):
    X, path = rng.normal(size=(60, 1)), tmp_path / "fit.safetensors"

    def held(value):
        model = hmm.GaussianHMM(2, random_state=0, n_iter=3, tol=0, params="stc", init_params="stc")
        model.means_ = [[value], [0.0]]
        return model

    again = held(-1).fit(X, checkpoint=path)
    again.fit(X, checkpoint=path)
    with pytest.raises(DataError, match="held means_ at other values"):
        held(1).fit(X, checkpoint=path)


def test_a_checkpoint_needs_a_folder_before_the_fit(rng, tmp_path):
    untouched = model()
    with pytest.raises(DataError, match="there is no folder"):
        untouched.fit(hard(rng), checkpoint=tmp_path / "none" / "fit.safetensors")
    assert not untouched.has("transmat")


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
