"""What a variational fit finds, and what it takes and refuses."""

import logging
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import hmm
from hmm import CategoricalHMM, GaussianHMM, VariationalCategoricalHMM, VariationalGaussianHMM, vhmm
from hmm.topology import allowed_transitions
from hmm.transitions import Homogeneous
from msgpass.errors import (
    ConvergenceWarning,
    DataError,
    MessagePassingError,
    NumericalError,
    ProbabilityError,
    ShapeError,
    UnsupportedError,
)
from tests.hmm.drawn import with_gaps
from tests.hmm.variational.drawn import KINDS, NORMALS, data, make

STICKY = np.array([[0.9, 0.06, 0.04], [0.05, 0.9, 0.05], [0.08, 0.04, 0.88]])
FAST = {"n_iter": 5, "tol": 0, "random_state": 0}


def three_states(kind="full"):
    model = GaussianHMM(3, kind)
    model.startprob_, model.transmat_ = np.full(3, 1 / 3), STICKY
    model.means_ = [[0, 0], [5, 0], [0, 6]]
    model.covars_ = {
        "full": [np.eye(2)] * 3,
        "tied": np.eye(2),
        "diag": np.ones((3, 2)),
        "spherical": [1, 1, 1],
    }[kind]
    return model


def posteriors(model):
    return [np.asarray(getattr(model, f"{name}_")) for names in model._held().values() for name in names]


def assert_same(left, right, **tolerance):
    for a, b in zip(posteriors(left), posteriors(right), strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


# -- what it finds -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NORMALS)
def test_states_that_the_data_do_not_need_are_left_with_their_prior(kind):
    X = three_states().sample(150, 3)[0]
    model = VariationalGaussianHMM(6, kind, n_init=5, random_state=0).fit(X)
    mass = np.sort(model.predict_proba(X).sum(axis=0))[::-1]
    assert mass[:3].sum() > 0.95 * len(X) and mass[5] < 0.2
    used = np.argsort(-model.beta_posterior_)[:3]
    found = model.means_[used][np.lexsort(model.means_[used].round().T)]
    np.testing.assert_allclose(found, [[0, 0], [5, 0], [0, 6]], atol=0.8)
    empty = np.argmin(model.beta_posterior_)
    assert model.beta_posterior_[empty] == pytest.approx(model.beta_prior_[empty], abs=0.2)
    np.testing.assert_allclose(model.means_[empty], X.mean(axis=0), atol=1)


def test_symbols_of_two_states_empty_the_others(rng):
    truth = CategoricalHMM(2)
    truth.startprob_, truth.transmat_ = [0.5, 0.5], [[0.95, 0.05], [0.1, 0.9]]
    truth.emissionprob_ = [[0.7, 0.2, 0.05, 0.05], [0.05, 0.05, 0.3, 0.6]]
    X = truth.sample(300, 1)[0]
    model = VariationalCategoricalHMM(6, n_init=3, random_state=0).fit(X)
    mass = np.sort(model.predict_proba(X).sum(axis=0))[::-1]
    assert mass[:2].sum() > 0.95 * len(X)
    used = np.argsort(-model.emissionprob_posterior_.sum(axis=1))[:2]
    rows = model.emissionprob_[used]
    np.testing.assert_allclose(rows[np.argsort(-rows[:, 0])], truth.emissionprob_, atol=0.1)


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_without_priors_to_speak_of_it_is_maximum_likelihood(kind):
    X = three_states().sample(4000, 5)[0]
    weak = {
        "startprob_prior": 1.0,
        "transmat_prior": 1.0,
        "beta_prior": 1e-6,
        "scale_prior": 1e-6,
        "dof_prior": 1.0 + 1e-6,
    }
    bayes = VariationalGaussianHMM(3, kind, random_state=0, **weak).fit(X)
    point = GaussianHMM(3, kind, init_params="", tol=1e-8)
    for name in ("startprob_", "transmat_", "means_"):
        setattr(point, name, getattr(bayes, name))
    point.covars_ = bayes._covars_
    point.fit(X)
    assert 0 < point.score(X) - bayes.score(X) < 2
    np.testing.assert_allclose(bayes.means_, point.means_, atol=5e-3)
    np.testing.assert_allclose(bayes.transmat_, point.transmat_, atol=5e-3)
    np.testing.assert_allclose(bayes.covars_, point.covars_, atol=1e-2)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize("kind", NORMALS)
def test_units_do_not_matter_by_default(kind, unit):
    X = three_states().sample(200, 3)[0]
    plain = VariationalGaussianHMM(4, kind, **FAST).fit(X)
    other = VariationalGaussianHMM(4, kind, **FAST).fit(unit * X)
    np.testing.assert_allclose(other.predict_proba(unit * X), plain.predict_proba(X), atol=1e-6)
    np.testing.assert_allclose(other.means_ / unit, plain.means_, rtol=1e-6, atol=1e-9)
    # A density changes by the unit, and the evidence with it.
    shift = X.size * np.log(unit)
    np.testing.assert_allclose(np.array(other.monitor_.history) + shift, plain.monitor_.history, rtol=1e-9)


@pytest.mark.parametrize("tiny", [1e-3, 1e-9, 1e-200])
@pytest.mark.parametrize("kind", KINDS)
def test_concentrations_near_zero(kind, tiny, rng):
    """E log of what is never seen is −1/concentration, far below what a probability can be."""
    X, model = data(kind, 60, rng), make(kind, 3, rng, n_iter=20, tol=0)
    model.set_params(startprob_prior=tiny, transmat_prior=tiny, n_iter=20)
    if kind == "categorical":
        model.set_params(emissionprob_prior=tiny)
    model.fit(X)
    history = [*model.monitor_.history, model.lower_bound(X)]
    assert np.isfinite(history).all() and np.diff(history).min() >= -1e-9 * abs(history[-1])
    assert np.isfinite(model.predict_proba(X)).all()


def test_data_without_variance():
    model = VariationalGaussianHMM(2, random_state=0).fit(np.ones((20, 2)))
    assert np.isfinite(model.lower_bound(np.ones((20, 2))))
    np.testing.assert_allclose(model.means_, 1)


# -- what a fit takes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_that_counts_twice(kind, rng):
    X, lengths = data(kind, 30, rng), [12, 18]
    model = make(kind, 2, rng, init_params="", n_iter=4, tol=0)
    start = clone(model).set_params(n_iter=0).fit(X, lengths)
    twice = np.concatenate([X, X[12:]])
    fits = []
    for x, sizes, weights in ((X, lengths, [1.0, 2.0]), (twice, [12, 18, 18], None)):
        fit = clone(model)
        for names in model._held().values():
            for name in names:
                setattr(fit, f"{name}_", getattr(start, f"{name}_"))
        fits.append(fit.fit(x, sizes, weights=weights))
    assert_same(*fits, rtol=1e-9)
    np.testing.assert_allclose(fits[0].monitor_.history, fits[1].monitor_.history, rtol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
def test_known_states_are_counted_exactly(kind, rng):
    X, z = data(kind, 20, rng), rng.integers(2, size=20)
    model = make(kind, 2, rng, n_iter=1, tol=0).fit(X, labels=z)
    counts = np.zeros((2, 2))
    np.add.at(counts, (z[:-1], z[1:]), 1)
    np.testing.assert_allclose(model.transmat_posterior_ - model.transmat_prior_, counts, atol=1e-9)
    np.testing.assert_allclose(
        model.startprob_posterior_ - model.startprob_prior_, np.eye(2)[z[0]], atol=1e-9
    )


@pytest.mark.parametrize("kind", ["spherical", "diag"])
def test_posteriors_of_features_that_were_not_seen_equally(kind, rng):
    X = with_gaps(data(kind, 60, rng), 0.3, rng)
    model = make(kind, 2, rng, **FAST | {"n_iter": 30}).fit(X)
    gamma = np.isfinite(X).sum(axis=0)
    assert model.beta_posterior_.shape == (2, 2)
    np.testing.assert_allclose((model.beta_posterior_ - model.beta_prior_[:, None]).sum(axis=0), gamma)
    assert model.dof_posterior_.shape == ((2, 2) if kind == "diag" else (2,))
    X[np.isnan(X).any(axis=1)] = np.nan
    assert model.fit(X).beta_posterior_.shape == (2,)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_missing_altogether_say_nothing(kind, rng):
    X = data(kind, 20, rng).astype(float)
    model = make(kind, 2, rng, **FAST).fit(X)
    bound = model.lower_bound(X)
    more = np.concatenate([X, np.full((3, X.shape[1]), np.nan)])
    assert model.lower_bound(more, lengths=[20, 3]) < bound  # E log π and E log A are below zero, no more
    emission = model.posterior().emission
    density = emission.log_density(emission.prepare(model.check_data(more)))
    assert (density[20:] == 0).all() and (density[:20] != 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("topology", ["left-right", "linear", "cyclic", 1])
def test_what_a_topology_forbids_stays_impossible(kind, topology, rng):
    X = data(kind, 40, rng)
    model = make(kind, 3, rng, topology=topology, **FAST).fit(X, [20, 20])
    allowed = allowed_transitions(topology, 3)
    for array in (model.transmat_prior_, model.transmat_posterior_, model.transmat_):
        assert ((array > 0) == allowed).all()
    if topology in ("left-right", "linear"):
        assert model.startprob_.tolist() == [1, 0, 0]
    assert np.isfinite(model.monitor_.history).all()
    model.set_params(topology="ergodic", init_params="")
    assert ((model.fit(X, [20, 20]).transmat_ > 0) == allowed).all()


def test_the_best_of_several_starts():
    X = three_states().sample(300, 3)[0]
    one = VariationalGaussianHMM(5, random_state=1).fit(X)
    best = VariationalGaussianHMM(5, random_state=1, n_init=4).fit(X)
    assert best.monitor_.history[-1] >= one.monitor_.history[-1]
    assert best.lower_bound(X) >= best.monitor_.history[-1]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_a_checkpoint_goes_on_to_the_bit(kind, rng, tmp_path):
    X = data(kind, 40, rng)
    model = make(kind, 3, rng, n_iter=9, tol=0)
    whole = clone(model).fit(X)
    clone(model).set_params(n_iter=4).fit(X, checkpoint=tmp_path / "fit")
    resumed = clone(model).fit(X, checkpoint=tmp_path / "fit")
    assert resumed.monitor_.history == whole.monitor_.history
    assert_same(resumed, whole, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_that_params_leaves_out_are_held(kind, rng):
    X = data(kind, 40, rng)
    for letter, names in make(kind, 2, rng)._held().items():
        model = make(kind, 2, rng, **FAST)
        model.set_params(params=model.params.replace(letter, ""))
        start = clone(model).set_params(n_iter=0).fit(X)
        model.fit(X)
        for name in names:
            np.testing.assert_array_equal(getattr(model, f"{name}_"), getattr(start, f"{name}_"))
        assert model.score(X) < 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_fit_goes_on_from_its_attributes(kind, rng):
    X = data(kind, 40, rng)
    model = make(kind, 2, rng, n_iter=3, tol=0)
    twice = clone(model).fit(X).set_params(init_params="").fit(X)
    assert_same(twice, clone(model).set_params(n_iter=6).fit(X), rtol=1e-12)


def test_a_prior_that_is_set_wins_over_the_attribute(rng):
    X = data("full", 40, rng)
    model = VariationalGaussianHMM(2, **FAST).fit(X)
    model.set_params(init_params="", transmat_prior=7.0).fit(X)
    assert (model.transmat_prior_ == 7).all() and (model.startprob_prior_ == 0.5).all()


def test_attributes_that_are_overwritten_are_logged(rng, caplog):
    model = VariationalCategoricalHMM(2, **FAST)
    model.startprob_posterior_ = [1.0, 1.0]
    with caplog.at_level(logging.WARNING, "hmm"):
        model.fit(rng.integers(3, size=20))
    assert "startprob_posterior_ was set" in caplog.text


# -- what it refuses -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("method", "lbfgs"),
        ("transitions", Homogeneous()),
        ("frozen", {"startprob": [0]}),
        ("tied", {"transmat": [[0, 1]]}),
    ],
)
@pytest.mark.parametrize("Model", [VariationalCategoricalHMM, VariationalGaussianHMM])
def test_settings_without_a_meaning(Model, setting, value, rng):
    with pytest.raises(UnsupportedError, match=f"takes no {setting}"):
        Model(2, **{setting: value}).fit(rng.integers(3, size=(20, 1)))


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"startprob_prior": 0.0}, DataError, "startprob_prior"),
        ({"transmat_prior": np.ones((2, 2))}, ShapeError, "transmat_prior"),
        ({"means_prior": np.ones(7)}, ShapeError, "means_prior"),
        ({"beta_prior": 0.0}, DataError, "beta_prior"),
        ({"dof_prior": 1.0}, DataError, "dof_prior holds 1, wanted numbers above 1"),
        ({"scale_prior": -1.0}, DataError, "scale_prior must be symmetric and positive definite"),
        ({"scale_prior": -1.0, "covariance_type": "diag"}, DataError, "scale_prior holds -1"),
        ({"scale_prior": "wide"}, ShapeError, "scale_prior"),
        ({"covariance_type": "round"}, DataError, "covariance_type"),
        ({"params": "ste"}, DataError, "params"),
    ],
)
def test_priors_that_are_none(settings, error, text, rng):
    with pytest.raises(error, match=text):
        VariationalGaussianHMM(3, **settings).fit(rng.normal(size=(20, 2)))


def test_a_prior_too_far_for_floats(rng):
    with pytest.raises(NumericalError, match="bring means_prior nearer"):
        VariationalGaussianHMM(2, means_prior=1.5e9, **FAST).fit(rng.normal(size=(30, 2)))
    model = VariationalGaussianHMM(2, "diag", means_prior=1.5e9, **FAST).fit(rng.normal(size=(30, 2)))
    assert np.isfinite(model.monitor_.history).all()


def test_data_of_another_width(rng):
    model = VariationalGaussianHMM(2, **FAST).fit(rng.normal(size=(30, 2)))
    with pytest.raises(ShapeError, match="expecting 2 features"):
        model.set_params(init_params="").fit(rng.normal(size=(30, 3)))


def test_they_are_no_parts_of_mixed_models(rng):
    with pytest.raises(DataError, match="VariationalGaussianHMM cannot be a part"):
        hmm.MixedHMM(2, [(VariationalGaussianHMM(), [0])]).fit(rng.normal(size=(30, 1)))


def test_posteriors_that_are_none(rng):
    X = rng.integers(3, size=30)
    model = VariationalCategoricalHMM(2, init_params="", **FAST)
    for name, value, error in (
        ("transmat_posterior_", [[1.0, -1.0], [1.0, 1.0]], DataError),
        ("transmat_posterior_", [[0.0, 0.0], [1.0, 1.0]], DataError),
        ("transmat_posterior_", [1.0, 1.0], ShapeError),
        ("startprob_prior_", [0.0, 1.0], DataError),
        ("emissionprob_posterior_", np.nan, ShapeError),
    ):
        other = clone(model).fit(X)
        setattr(other, name, value)
        with pytest.raises(error, match=name):
            other.lower_bound(X)
        with pytest.raises(error, match=name):
            other.fit(X)
    with pytest.raises(ProbabilityError, match="forbids"):
        clone(model).fit(X).set_params(topology="linear").fit(X)


def test_models_without_a_posterior(rng):
    with pytest.raises(NotFittedError, match="startprob_prior_"):
        VariationalGaussianHMM(2).lower_bound(rng.normal(size=(3, 1)))
    model = VariationalGaussianHMM(2, **FAST).fit(rng.normal(size=(30, 2)))
    with pytest.raises(ShapeError, match="expecting 2 features"):
        model.lower_bound(rng.normal(size=(3, 1)))


def test_too_few_iterations_are_told(rng):
    with pytest.warns(ConvergenceWarning, match="n_iter=2"):
        VariationalGaussianHMM(2, n_iter=2).fit(rng.normal(size=(50, 1)))


# -- the estimator -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_reading_works_on_the_point(kind, rng, tmp_path):
    X = data(kind, 40, rng)
    model = make(kind, 3, rng, **FAST).fit(X)
    plain = (CategoricalHMM if kind == "categorical" else GaussianHMM)(3)
    if kind != "categorical":
        plain.set_params(covariance_type=kind)
    model_point = model.posterior().point
    plain._store(model_point)
    assert model.score(X) == plain.score(X)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    np.testing.assert_array_equal(model.decode(X)[1], plain.decode(X)[1])
    np.testing.assert_array_equal(model.sample(20, 1)[0], plain.sample(20, 1)[0])
    np.testing.assert_array_equal(model.forecast(X, steps=2).states, plain.forecast(X, steps=2).states)
    assert model.bic(X) == plain.bic(X)
    model.save(tmp_path / "model")
    again = hmm.load(tmp_path / "model")
    assert again.score(X) == model.score(X) and again.lower_bound(X) == model.lower_bound(X)
    assert again.monitor_.history == model.monitor_.history
    assert_same(again, model, rtol=0)
    assert model.lower_bound(X) < model.score(X)


@pytest.mark.parametrize("Model", [VariationalCategoricalHMM, VariationalGaussianHMM])
def test_one_seed_the_same_bits(Model, rng):
    X = rng.integers(3, size=(50, 1))
    assert_same(Model(3, **FAST).fit(X), Model(3, **FAST).fit(X), rtol=0)


def test_the_module_of_hmmlearns_name():
    assert vhmm.VariationalGaussianHMM is hmm.VariationalGaussianHMM
    assert vhmm.VariationalCategoricalHMM is hmm.VariationalCategoricalHMM


@pytest.mark.parametrize("Model", [VariationalCategoricalHMM, VariationalGaussianHMM])
def test_tiny_data_are_fitted_or_refused(Model):
    for X in ([[0]], [[0], [1]], [[np.nan]], [[np.nan], [1.0]]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            try:
                model = Model(3, n_iter=3, random_state=0).fit(X)
            except MessagePassingError as problem:
                assert Model is VariationalCategoricalHMM and "missing" in str(problem)
                continue
        assert np.isfinite(model.lower_bound(X)) and np.isfinite(model.transmat_).all()


def test_errors_are_in_the_posterior(rng):
    model = hmm.VariationalCategoricalHMM(2, random_state=0).fit(rng.integers(0, 3, (30, 1)))
    for method in (model.standard_errors, model.confidence_intervals):
        with pytest.raises(UnsupportedError, match="posterior distributions"):
            method([0, 1, 2])
