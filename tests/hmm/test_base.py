"""The estimator's manners: scikit-learn's conventions, what it takes from its attributes, and what it
refuses."""

import logging
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import msgpass
from hmm import CategoricalHMM, ConvergenceMonitor, GaussianHMM, PoissonHMM
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    ImpossibleEvidenceError,
    MessagePassingError,
    NotFittedError,
    ProbabilityError,
    ShapeError,
)
from tests.hmm.drawn import KINDS, make

MODELS = (CategoricalHMM, PoissonHMM, GaussianHMM)
FAST = {"n_iter": 3, "tol": 0}


def counts(rng, T=40):
    return rng.integers(4, size=(T, 1))


@pytest.mark.parametrize("Model", MODELS)
def test_fit_returns_self_and_leaves_the_settings_alone(Model, rng):
    model = Model(2, random_state=3, **FAST)
    before = model.get_params()
    assert model.fit(counts(rng)) is model
    assert model.get_params() == before
    assert model.monitor_.iter == 3 and len(model.monitor_.history) == 3
    assert model.n_features_in_ == 1


@pytest.mark.parametrize("Model", MODELS)
def test_clones_are_unfitted_and_pickles_are_not(Model, rng):
    X = counts(rng)
    model = Model(2, random_state=3, **FAST).fit(X)
    with pytest.raises(NotFittedError, match="startprob_"):
        clone(model).score(X)
    assert pickle.loads(pickle.dumps(model)).score(X) == model.score(X)


@pytest.mark.parametrize("Model", MODELS)
def test_unfitted_is_an_error_that_scikit_learn_knows(Model):
    with pytest.raises(SklearnNotFittedError, match=r"call fit\(X\)") as caught:
        Model(2).sample(3)
    assert isinstance(caught.value, MessagePassingError)


def test_grid_search_and_pipelines(rng):
    X = np.concatenate([rng.normal(0, 1, (30, 1)), rng.normal(9, 1, (30, 1))])
    search = GridSearchCV(GaussianHMM(random_state=0, **FAST), {"n_components": [1, 2]}, cv=2).fit(X)
    assert search.best_params_["n_components"] in (1, 2)
    piped = make_pipeline(StandardScaler(), GaussianHMM(2, random_state=0, **FAST)).fit(X)
    assert piped.predict(X).shape == (60,)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes(kind, rng):
    K, D, T = 3, 2, 12
    model = make(kind, K, D, rng, random_state=5)
    X, states = model.sample(T)
    assert X.shape == (T, 1 if kind == "categorical" else D) and states.shape == (T,)
    assert states.dtype.kind == "i" and set(states) <= set(range(K))
    log_prob, gamma = model.score_samples(X, [5, 7])
    assert isinstance(log_prob, float) and gamma.shape == (T, K)
    assert model.predict(X).shape == (T,) and model.filter(X).shape == (T, K)
    m = model.messages(X, [5, 7])
    assert m.forward["z"].shape == m.backward["z"].shape == (T, K)
    assert m.parameters["initial"].sum() == pytest.approx(2)
    assert m.parameters["transition"].sum() == pytest.approx(T - 2)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"categorical"}))
def test_what_arrives_at_the_log_densities_are_the_posteriors(kind, rng):
    model = make(kind, 2, 2, rng)
    X, _ = model.sample(9, 1)
    m = model.messages(X)
    np.testing.assert_allclose(m.parameters["log_density"], model.predict_proba(X), atol=1e-12)


def test_messages_in_other_algebras(rng):
    model = make("poisson", 2, 1, rng)
    X, _ = model.sample(9, 1)
    m = model.messages(X, algebra=msgpass.MaxProduct())
    assert m.total == model.decode(X)[0]


def test_sampling_starts_where_it_is_told_and_repeats_with_its_seed(rng):
    model = make("diag", 3, 2, rng, random_state=7)
    X, states = model.sample(5, currstate=2)
    assert states[0] == 2
    np.testing.assert_array_equal(model.sample(5, currstate=2)[0], X)
    assert not np.array_equal(model.sample(5, random_state=8, currstate=2)[0], X)


@pytest.mark.parametrize("state", [np.random.default_rng(1), np.random.RandomState(1), None, 1, np.int64(4)])
def test_random_states(state, rng):
    assert make("poisson", 2, 1, rng).sample(4, state)[0].shape == (4, 1)


def test_stationary_distribution(rng):
    model = make("diag", 4, 1, rng)
    pi = model.get_stationary_distribution()
    np.testing.assert_allclose(pi @ model.transmat_, pi, atol=1e-12)
    assert pi.sum() == pytest.approx(1)
    model.transmat_ = np.eye(4)
    np.testing.assert_allclose(model.get_stationary_distribution(), 0.25)


@pytest.mark.parametrize(
    ("kind", "free"),
    [("categorical", 6), ("poisson", 6), ("spherical", 8), ("diag", 12), ("full", 18), ("tied", 12)],
)
def test_information_criteria_count_the_free_parameters(kind, free, rng):
    K, D = 2, 1 if kind == "categorical" else 3
    model = make(kind, K, D, rng, random_state=2)
    X, _ = model.sample(10)
    free += (K - 1) + K * (K - 1) - (2 if kind == "categorical" else 0) if kind != "poisson" else 3
    log_prob = model.score(X)
    assert model.aic(X) == pytest.approx(-2 * log_prob + 2 * free)
    assert model.bic(X) == pytest.approx(-2 * log_prob + np.log(10) * free)


# -- starting points -----------------------------------------------------------------------------------


def test_init_params_says_what_starts_anew(rng):
    model = make("poisson", 2, 1, rng, init_params="t", params="", random_state=0, n_iter=1)
    lambdas, transmat = np.array(model.lambdas_), np.array(model.transmat_)
    model.fit(counts(rng))
    np.testing.assert_array_equal(model.lambdas_, lambdas)
    assert not np.array_equal(model.transmat_, transmat)


def test_params_says_what_is_estimated(rng):
    for letter, changed in {"s": "startprob_", "t": "transmat_", "m": "means_", "c": "covars_"}.items():
        model = make("diag", 2, 1, rng, init_params="", params=letter, n_iter=1)
        before = {n: np.array(getattr(model, n)) for n in ("startprob_", "transmat_", "means_", "covars_")}
        model.fit(model.sample(30, 1)[0])
        for name, value in before.items():
            assert np.array_equal(getattr(model, name), value) == (name != changed)


def test_overwriting_what_the_user_set_is_logged(rng, caplog):
    with caplog.at_level(logging.WARNING, "hmm"):
        make("poisson", 2, 1, rng, **FAST).fit(counts(rng))
    assert "startprob_ was set" in caplog.text


def test_no_iterations_only_start(rng):
    model = PoissonHMM(2, n_iter=0, random_state=0).fit(counts(rng))
    assert model.monitor_.iter == 0 and model.lambdas_.shape == (2, 1)


def test_zeros_of_the_transition_matrix_stay(rng):
    model = PoissonHMM(3, init_params="sl", random_state=0, transmat_prior=2.0, **FAST)
    model.transmat_ = np.array([[0.5, 0.5, 0], [0, 0.5, 0.5], [0, 0, 1.0]])
    model.fit(counts(rng))
    np.testing.assert_array_equal(
        model.transmat_ == 0, [[False, False, True], [True, False, False], [True, True, False]]
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_that_nothing_reaches_keeps_its_values(kind, rng):
    model = make(kind, 3, 2, rng, init_params="", **FAST)
    model.startprob_ = np.array([0.5, 0.5, 0])
    model.transmat_ = np.array([[0.5, 0.5, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5]])
    X, _ = model.sample(40, 1)
    names = (
        ["means_", "covars_"]
        if hasattr(model, "means_")
        else ["lambdas_"]
        if kind == "poisson"
        else ["emissionprob_"]
    )
    before = {n: np.array(getattr(model, n)[2]) for n in names if not (n == "covars_" and kind == "tied")}
    model.fit(X)
    np.testing.assert_array_equal(model.transmat_[2], [0.2, 0.3, 0.5])
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(model, name)[2], value)


def test_the_initial_distribution_learns_from_every_sequence():
    model = CategoricalHMM(2, init_params="", params="s", n_iter=1)
    model.startprob_, model.transmat_, model.emissionprob_ = [0.5, 0.5], np.eye(2), np.eye(2)
    model.fit([0, 0, 1, 1, 1], [2, 2, 1])
    np.testing.assert_allclose(model.startprob_, [1 / 3, 2 / 3])


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_observed_teaches_nothing(kind, rng):
    model = make(
        kind, 2, 2, rng, params="".join(make(kind, 2, 2, rng).EMISSION.LETTERS), init_params="", **FAST
    )
    names = {"poisson": ["lambdas_"], "categorical": ["emissionprob_"]}.get(kind, ["means_", "covars_"])
    before = {name: np.array(getattr(model, name)) for name in names}
    X = np.full((5, 1 if kind == "categorical" else 2), np.nan)
    model.fit(X)
    for name, value in before.items():
        np.testing.assert_allclose(getattr(model, name), value, rtol=1e-12)
    assert model.score(X) == pytest.approx(0, abs=1e-12)


def test_a_fit_that_is_refused_changes_nothing(rng):
    model = make("poisson", 2, 1, rng, init_params="st", **FAST)
    before = np.array(model.startprob_)
    model.lambdas_ = [[1.0], [-1.0]]
    with pytest.raises(DataError):
        model.fit(counts(rng))
    np.testing.assert_array_equal(model.startprob_, before)


# -- stopping ------------------------------------------------------------------------------------------


def test_too_few_iterations_warn(rng):
    with pytest.warns(ConvergenceWarning, match="raise n_iter"):
        GaussianHMM(3, n_iter=2, tol=1e-9, random_state=0).fit(rng.normal(size=(50, 1)))


def test_a_monitor_of_ones_own_stops_the_fit(rng):
    class Third(ConvergenceMonitor):
        @property
        def converged(self):
            return self.iter == 3

    model = PoissonHMM(2, random_state=0, tol=0)
    model.monitor_ = Third(model.monitor_.tol, model.monitor_.n_iter, model.monitor_.verbose)
    model.fit(counts(rng))
    assert model.monitor_.iter == 3
    assert model.fit(counts(rng)).monitor_.iter == 3


def test_verbose_prints_each_iteration(rng, capsys):
    PoissonHMM(2, verbose=True, random_state=0, **FAST).fit(counts(rng))
    assert len(capsys.readouterr().err.splitlines()) == 3


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_components": 0}, "n_components must be a whole number ≥ 1"),
        ({"n_components": 2.5}, "n_components"),
        ({"n_iter": -1}, "n_iter"),
        ({"tol": "small"}, "tol must be a number"),
        ({"algorithm": "best"}, "'viterbi', 'map'"),
        ({"implementation": "gpu"}, "'log', 'scaling'"),
        ({"params": "xyz"}, "string of the letters"),
        ({"init_params": 3}, "string of the letters"),
        ({"random_state": "dice"}, "random_state must be"),
        ({"startprob_prior": -1.0}, "startprob_prior must be finite and above zero"),
        ({"transmat_prior": [1.0, 2.0, 3.0]}, "broadcasts to"),
    ],
)
@pytest.mark.parametrize("Model", MODELS)
def test_settings_are_checked_by_fit(Model, settings, text, rng):
    with pytest.raises(MessagePassingError, match=text):
        Model(**{"n_components": 2, **settings}).fit(counts(rng))


@pytest.mark.parametrize(
    ("X", "lengths", "error", "text"),
    [
        (np.zeros((0, 1)), None, ShapeError, "nothing in it"),
        (np.zeros((2, 2, 2)), None, ShapeError, r"shape \(2, 2, 2\), wanted"),
        (5.0, None, ShapeError, "wanted"),
        ([["a"], ["b"]], None, DataError, "LabelEncoder"),
        ([[1.0], [np.inf]], None, DataError, "infinite value at row 1, column 0"),
        ([[1, 2], [3]], None, DataError, "np.concatenate"),
        ([[1 + 2j]], None, DataError, "complex"),
        (np.ones((4, 1)), [3], ShapeError, "lengths sum to 3, but X has 4 rows"),
        (np.ones((4, 1)), [4, 0], ShapeError, "whole numbers ≥ 1"),
        (np.ones((4, 1)), [2.5, 1.5], ShapeError, "whole numbers ≥ 1"),
        (np.ones((4, 1)), [], ShapeError, "non-empty"),
    ],
)
@pytest.mark.parametrize("Model", MODELS)
def test_data_are_checked(Model, X, lengths, error, text):
    with pytest.raises(error, match=text):
        Model(2).fit(X, lengths)


@pytest.mark.parametrize(
    ("attribute", "value", "error", "text"),
    [
        ("startprob_", [0.5, 0.6], ProbabilityError, "startprob_ must sum to 1, got a sum of 1.1"),
        ("startprob_", [1.5, -0.5], ProbabilityError, "not negative"),
        ("startprob_", [0.5, 0.25, 0.25], ShapeError, r"shape \(3,\), wanted \(2,\)"),
        ("transmat_", [[0.5, 0.5], [0.5, 0.4]], ProbabilityError, "rows that sum to 1"),
        ("transmat_", [[0.5, 0.5]], ShapeError, r"wanted \(2, 2\)"),
        ("transmat_", [[np.nan, 0.5], [0.5, 0.5]], DataError, "NaN"),
        ("transmat_", "A", DataError, "not an array of numbers"),
    ],
)
def test_attributes_are_checked(attribute, value, error, text, rng):
    model = make("poisson", 2, 1, rng)
    setattr(model, attribute, value)
    with pytest.raises(error, match=text):
        model.score(counts(rng))


def test_other_columns_than_fitted(rng):
    with pytest.raises(ShapeError, match="2 features, but GaussianHMM is expecting 3 features"):
        make("diag", 2, 3, rng).score(np.zeros((4, 2)))


def test_impossible_evidence_scores_minus_infinity_and_has_no_posterior():
    model = CategoricalHMM(2)
    model.startprob_, model.transmat_ = [1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]
    model.emissionprob_ = [[1.0, 0.0], [0.0, 1.0]]
    assert model.score([0, 0, 1, 0]) == -np.inf
    for ask in (model.predict_proba, model.filter, model.decode, model.set_params(init_params="").fit):
        with pytest.raises(ImpossibleEvidenceError, match="step 2") as caught:
            ask([0, 0, 1, 0])
        assert caught.value.step == 2


@pytest.mark.parametrize("currstate", [2, -1, 0.5])
def test_sampling_from_no_state(currstate, rng):
    with pytest.raises(DataError, match="currstate"):
        make("poisson", 2, 1, rng).sample(3, currstate=currstate)


def test_unknown_decoder(rng):
    with pytest.raises(DataError, match="'viterbi', 'map'"):
        make("poisson", 2, 1, rng).decode(counts(rng), algorithm="greedy")


@pytest.mark.parametrize(
    ("setting", "free"),
    [
        ({}, 2 + 6 + 6 + 6),
        ({"topology": "left-right"}, 0 + 3 + 12),
        ({"topology": "linear"}, 0 + 2 + 12),
        ({"topology": "cyclic"}, 2 + 3 + 12),
        ({"frozen": {"transmat": [0], "means": [1]}}, 2 + 4 + 4 + 6),
        ({"frozen": {"startprob": [0], "emission": [0, 1, 2]}}, 1 + 6),
        ({"tied": {"emission": [[0, 2]], "transmat": [[0, 1]]}}, 2 + 4 + 4 + 4),
        ({"tied": {"emission": [[0, 2]]}, "frozen": {"covars": [0, 2]}}, 2 + 6 + 4 + 2),
        ({"covariance_type": "tied"}, 2 + 6 + 6 + 3),
        ({"covariance_type": "tied", "tied": {"emission": [[0, 1]]}}, 2 + 6 + 4 + 3),
    ],
)
def test_what_is_not_free_does_not_count(setting, free, rng):
    model = GaussianHMM(3, **setting)
    model.startprob_ = [1, 0, 0] if setting.get("topology") in ("left-right", "linear") else [0.2, 0.3, 0.5]
    model.transmat_ = np.full((3, 3), 1 / 3)
    model.means_ = rng.normal(size=(3, 2))
    model.covars_ = np.eye(2) if setting.get("covariance_type") == "tied" else np.ones((3, 2))
    X = rng.normal(size=(10, 2))
    assert model.aic(X) == pytest.approx(2 * free - 2 * model.score(X))
