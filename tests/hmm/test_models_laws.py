"""Laws that every model obeys, over random models, data, lengths and missing cells: of the models beside
the first three, which ``test_laws.py`` takes."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import hmm
from msgpass.errors import ConvergenceWarning
from tests.hmm.enumeration import log_sum, posteriors
from tests.hmm.kinds import (
    KINDS,
    cases,
    leaves,
    make,
    parameters,
    permuted,
    prepared,
    rows,
    with_gaps,
    with_leaf,
)

PRIORS = {
    "bernoulli": {"probs_prior": (2.0, 3.0)},
    "exponential": {"rates_prior": 2.0, "rates_weight": 1.5},
    "multinomial": {"emissionprob_prior": 1.5},
    "gmm diag": {"weights_prior": 2.0, "means_weight": 0.5, "covars_prior": 0.3, "covars_weight": 5.0},
    "gmm full": {"weights_prior": 2.0, "means_weight": 0.5, "covars_prior": 0.3, "covars_weight": 5.0},
    "logistic": {"l2": 0.7},
}
few = settings(max_examples=6)


def every_path(model, X):
    """(paths (K^T, T), log p(X, path)) of one sequence, from the densities of its emission."""
    emission, data = prepared(model, X)
    density = emission.log_density(data)
    K, T = len(model.startprob_), len(X)
    paths = np.stack(np.meshgrid(*[np.arange(K)] * T, indexing="ij"), axis=-1).reshape(-1, T)
    scores = np.log(model.startprob_)[paths[:, 0]] + density[np.arange(T), paths].sum(axis=1)
    return paths, scores + np.log(model.transmat_)[paths[:, :-1], paths[:, 1:]].sum(axis=1)


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_scores_posteriors_and_best_paths_are_those_of_all_paths(kind, data):
    case = data.draw(cases(kind, sequences=1, max_length=5))
    paths, scores = every_path(case.model, case.X)
    log_prob, gamma = case.model.score_samples(case.X)
    assert log_prob == pytest.approx(log_sum(scores), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(gamma, posteriors(paths, scores, len(gamma[0])), atol=1e-9)
    best, path = case.model.decode(case.X)
    assert best == pytest.approx(scores.max(), rel=1e-9, abs=1e-9)
    joint = scores[np.flatnonzero((paths == path).all(axis=1))[0]]
    assert joint == pytest.approx(best, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
@few
@given(data=st.data())
def test_em_never_goes_down(kind, data):
    case = data.draw(cases(kind, sequences=3, max_length=14, n_iter=12, tol=-1.0))
    anew = data.draw(st.booleans())
    if kind in PRIORS and data.draw(st.booleans()):
        case.model.set_params(**PRIORS[kind], transmat_prior=1.5)
    if not anew or kind == "multinomial":
        case.model.set_params(init_params="")
    history = case.model.fit(case.X, lengths=case.lengths).monitor_.history
    assert len(history) == 12
    assert (np.diff(history) >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all(), history


@pytest.mark.parametrize("kind", KINDS)
@few
@given(data=st.data())
def test_names_of_states_mean_nothing(kind, data):
    case = data.draw(cases(kind, sequences=3, max_length=9, init_params="", n_iter=1, tol=0))
    order = data.draw(st.permutations(range(case.model.n_components)))
    renamed = permuted(case.model, order)
    log_prob, gamma = case.model.score_samples(case.X, case.lengths)
    again, moved = renamed.score_samples(case.X, case.lengths)
    assert again == pytest.approx(log_prob, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(moved, gamma[:, list(order)], atol=1e-9)
    renamed.fit(case.X, lengths=case.lengths)
    fitted = permuted(case.model.fit(case.X, lengths=case.lengths), order)
    for one, other in zip(parameters(renamed), parameters(fitted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_fishers_identity(kind, rng):
    """With posteriors as weights, an emission's gradient is that of the log-likelihood of the model."""
    model = make(kind, 2, 1, rng)
    X = rows(model, 20, rng)
    chain, evidence = model._ready(X, None)
    found = chain.emission.gradient(evidence.data, model.predict_proba(X))

    def score(emission):
        from msgpass import ForwardOnly, run

        return run(replace(chain, emission=emission).graph(evidence), None, ForwardOnly()).total

    for name, slope in found.items():
        direction = rng.standard_normal(slope.shape) * (slope != 0)
        if "covars" in name and slope.ndim >= 3 and slope.shape[-1] == slope.shape[-2]:
            direction = direction + np.swapaxes(direction, -1, -2)
        value = leaves(chain.emission)[name]
        up, down = (score(with_leaf(chain.emission, name, value + h * direction)) for h in (1e-6, -1e-6))
        assert (up - down) / 2e-6 == pytest.approx((slope * direction).sum(), rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_the_same_bits(kind, rng):
    model = make(kind, 2, 2, rng)
    X = rows(model, 40, rng)
    one, other = (clone(model).set_params(random_state=3, n_iter=4, tol=0).fit(X) for _ in "ab")
    for a, b in zip(parameters(one), parameters(other), strict=True):
        np.testing.assert_array_equal(a, b)
    again = pickle.loads(pickle.dumps(one))
    assert again.score(X) == one.score(X)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_observed_teaches_nothing(kind, rng):
    model = make(kind, 2, 2, rng, init_params="", n_iter=3, tol=0)
    before = leaves(model.chain().emission)
    X = np.full(rows(model, 6, rng).shape, np.nan)
    model.fit(X)
    for name, value in leaves(model.chain().emission).items():
        np.testing.assert_array_equal(value, before[name])
    assert model.score(X) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_rows_that_are_all_alike_leave_numbers_finite(kind, rng):
    model = make(kind, 3, 2, rng)
    X = np.repeat(rows(model, 1, rng), 30, axis=0)
    fitted = clone(model).set_params(random_state=0, n_iter=20, tol=0).fit(X)
    assert all(np.isfinite(value).all() for value in parameters(fitted))
    assert np.isfinite(fitted.score(X))
    history = np.array(fitted.monitor_.history)
    assert (np.diff(history) > -1e-8 * abs(history[1:]) - 1e-8).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
def test_rows_that_no_state_but_one_can_have_are_no_trap(kind, rng):
    """A few rows, more states than kinds of rows: states collapse onto values, and are held there."""
    model = make(kind, 3, 1, rng)
    X = np.repeat(rows(model, 2, rng), 6, axis=0)
    fitted = clone(model).set_params(random_state=0, n_iter=40, tol=0).fit(X)
    assert all(np.isfinite(value).all() for value in parameters(fitted))


def apart(kind):
    """A model of two sticky states that are easy to tell apart."""
    rng = np.random.default_rng(5)
    model = make(kind, 2, 2, rng, n_iter=300, tol=1e-3)
    model.startprob_, model.transmat_ = np.array([0.5, 0.5]), np.array([[0.95, 0.05], [0.1, 0.9]])
    if kind == "bernoulli":
        model.probs_ = np.array([[0.9, 0.2], [0.15, 0.7]])
    elif kind == "exponential":
        model.rates_ = np.array([[5.0, 0.5], [0.5, 1.0]])
    elif kind == "gamma":
        model.shapes_, model.scales_ = np.array([[2.0, 5.0], [8.0, 5.0]]), np.array([[1.0, 1.0], [1.0, 2.0]])
    elif kind == "log-normal":
        model.locs_, model.scales_ = np.array([[0.0, 0.0], [1.5, 1.0]]), np.full((2, 2), 0.5)
    elif kind == "student":
        model.locs_, model.scales_ = np.array([[-2.0, 0.0], [2.0, 1.0]]), np.ones((2, 2))
        model.dofs_ = np.full((2, 2), 3.0)
    elif kind == "von Mises":
        model.locs_, model.kappas_ = np.array([[0.0, 3.0], [2.0, 1.0]]), np.full((2, 2), 3.0)
    elif kind == "negative binomial":
        model.means_, model.sizes_ = np.array([[2.0, 8.0], [9.0, 3.0]]), np.full((2, 2), 3.0)
    elif kind == "scipy laplace":
        model.parameters_ = np.array([[[-2.0, 1.0], [0.0, 1.0]], [[2.0, 1.0], [2.0, 0.5]]])
    elif kind == "scipy weibull":
        model.parameters_ = np.array([[[1.5, 0, 1.0], [2.0, 0, 2.0]], [[3.0, 0, 4.0], [2.0, 0, 6.0]]])
    elif kind == "scipy nbinom":
        model.parameters_ = np.array([[[3.0, 0.6, 0], [3.0, 0.3, 0]], [[3.0, 0.25, 0], [3.0, 0.5, 0]]])
    elif kind == "multinomial":
        model.emissionprob_ = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    elif kind.startswith("gmm"):
        model.means_ = np.array([[[-6.0, 0.0], [0.0, 0.0]], [[6.0, 4.0], [9.0, -4.0]]])
        model.weights_ = np.array([[0.4, 0.6], [0.5, 0.5]])
    elif kind == "mixed":
        model.parts_[0].lambdas_ = np.array([[2.0], [9.0]])
        model.parts_[1].means_ = np.array([[-2.0, 0.0], [2.0, 1.0]])
    elif kind == "linear":
        model.coef_ = np.array([[[2.0, 0.0], [1.0, 1.0]], [[-2.0, 1.0], [-1.0, 0.0]]])
        model.covars_ = np.full((2, 2), 0.3)
    elif kind == "logistic":
        model.coef_, model.intercept_ = np.array([[4.0, 0.0], [-4.0, 1.0]]), np.array([0.5, -0.5])
    elif kind == "autoregressive":
        model.coef_ = np.zeros((2, 2, 4))
        model.coef_[0, [0, 1], [0, 1]], model.coef_[1, [0, 1], [0, 1]] = 0.8, -0.6
        model.intercept_, model.covars_ = np.array([[0.0, 1.0], [1.0, 0.0]]), np.full((2, 2), 0.5)
    return model


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")
@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_fitting_finds_what_made_the_data(kind, gaps, rng):
    truth = apart(kind)
    X = rows(truth, 1500, rng)
    path = truth.predict(X)
    if gaps:
        X = with_gaps(truth, X, gaps if kind != "autoregressive" else 0.02, rng)
    model = clone(truth).set_params(random_state=1).fit(X)
    assert model.score(X) >= truth.score(X) - 1e-3 * abs(truth.score(X))
    found = model.predict(X)
    if np.mean(found == path) < 0.5:
        model = permuted(model, [1, 0])
    np.testing.assert_allclose(model.transmat_, truth.transmat_, atol=0.06)
    assert np.mean(model.predict(X) == path) > 0.9
    fitted, true = leaves(model.chain().emission), leaves(truth.chain().emission)
    if kind.startswith("gmm"):  # components have no order; their mean has
        fitted, true = ({"mean": m.chain().emission.mean()} for m in (model, truth))
    for name, value in true.items():
        if name != "dofs":
            np.testing.assert_allclose(fitted[name], value, rtol=0.35, atol=0.35)


def test_a_climb_that_is_cut_short_warns(rng):
    model = make("student", 2, 1, rng)
    with pytest.warns(ConvergenceWarning):
        hmm.StudentTHMM(2, n_iter=2, tol=1e-12, random_state=0).fit(rows(model, 50, rng))
