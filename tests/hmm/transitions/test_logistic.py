import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import hmm
from hmm.transitions import Logistic, softmax_regression
from msgpass.errors import DataError, ProbabilityError, UnsupportedError


def two(P=1, **settings):
    model = hmm.GaussianHMM(2, transitions=Logistic(P), **settings)
    model.startprob_, model.means_ = np.array([0.5, 0.5]), np.array([[0.0], [5.0]])
    model.covars_ = np.array([[1.0], [1.0]])
    model.transition_intercept_ = np.array([[0.0, -2.0], [-2.0, 0.0]])
    model.transition_coef_ = np.zeros((2, 2, P))
    model.transition_coef_[[0, 1], [1, 0], 0] = [3.0, -3.0]
    return model


def slopes(f, at, step=1e-5):
    """Central differences."""
    found = np.empty(at.shape)
    for i in range(at.size):
        move = np.zeros(at.shape)
        move.flat[i] = step
        found.flat[i] = (f(at + move) - f(at - move)) / (2 * step)
    return found


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_the_regression_has_its_derivatives_and_its_maximum(seed):
    rng = np.random.default_rng(seed)
    n, F, m = 30, 3, int(rng.integers(1, 4))
    design, weights, penalty = (
        rng.normal(size=(n, F)),
        rng.gamma(1.0, size=(n, m + 1)),
        np.array([0.1, 0.1, 0]),
    )
    regression = softmax_regression.Regression(design, weights, penalty)
    theta = rng.normal(size=(m, F))
    np.testing.assert_allclose(regression.slope(theta), slopes(regression.value, theta), rtol=1e-5, atol=1e-5)
    bend = [slopes(lambda t, i=i: regression.slope(t).flat[i], theta).ravel() for i in range(theta.size)]
    np.testing.assert_allclose(regression.curvature(theta), -np.stack(bend), rtol=1e-5, atol=1e-4)
    found = softmax_regression.climb(design, weights, theta, penalty)
    best = minimize(lambda t: -regression.value(t.reshape(m, F)), theta.ravel(), method="BFGS")
    assert regression.value(found) >= -best.fun - 1e-8 * abs(best.fun)


def test_many_numbers_are_found_without_their_curvature(rng, monkeypatch):
    design, weights = rng.normal(size=(50, 2)), rng.gamma(1.0, size=(50, 3))
    newton = softmax_regression.climb(design, weights, np.zeros((2, 2)), np.ones(2))
    monkeypatch.setattr(softmax_regression, "MOST", 1)
    np.testing.assert_allclose(
        softmax_regression.climb(design, weights, np.zeros((2, 2)), np.ones(2)), newton, atol=1e-3
    )


def test_separated_outcomes_stay_finite_and_em_rises(rng):
    U = np.repeat([0.0, 1.0], 50)[:, None]
    X = np.column_stack(
        [np.where(np.arange(100) % 2 * U[:, 0] > 0, 5.0, 0.0) + 0.1 * rng.normal(size=100), U]
    )
    model = hmm.GaussianHMM(2, transitions=Logistic(1, l2=0.0), random_state=0, n_iter=100, tol=0).fit(X)
    history = model.monitor_.history
    assert (np.diff(history) >= -1e-8 * np.abs(history[1:])).all()
    assert np.isfinite(model.transition_coef_).all()


def test_a_fit_finds_the_coefficients(rng):
    truth = two(2)
    X, _ = truth.sample(random_state=rng, inputs=rng.normal(size=(4000, 2)))
    model = hmm.GaussianHMM(2, transitions=Logistic(2), random_state=0).fit(X)
    order = np.argsort(model.means_[:, 0])
    wanted = truth.chain().transition
    np.testing.assert_allclose(model.transition_coef_[order][:, order], wanted.transition_coef, atol=0.5)
    np.testing.assert_allclose(
        model.transition_intercept_[order][:, order], wanted.transition_intercept, atol=0.4
    )


def test_only_differences_from_the_reference_count(rng):
    model, other = two(), two()
    other.transition_coef_ = model.transition_coef_ + rng.normal(size=(2, 1, 1))
    other.transition_intercept_ = model.transition_intercept_ + rng.normal(size=(2, 1))
    X, _ = model.sample(random_state=0, inputs=rng.normal(size=(20, 1)))
    np.testing.assert_allclose(model.score(X), other.score(X), rtol=1e-12)
    np.testing.assert_allclose(model.chain().log_prior(), other.chain().log_prior(), rtol=1e-9)


def test_what_the_topology_forbids_stays_impossible(rng):
    X, _ = two().sample(random_state=0, inputs=rng.normal(size=(60, 1)))
    model = hmm.GaussianHMM(
        2, transitions=Logistic(1), topology="left-right", random_state=0, n_iter=4, tol=0
    )
    model.fit(X)
    np.testing.assert_array_equal(np.isneginf(model.transition_intercept_), [[False, False], [True, False]])
    assert model.transition_coef_[1, 0] == 0
    assert model.chain().transition.n_parameters() == 2
    with pytest.raises(ProbabilityError, match=r"set it to -np\.inf there"):
        two(topology="left-right", init_params="smc").fit(X)


def test_missing_inputs_are_named_where_they_are_read():
    X = np.zeros((5, 2))
    X[[0, 3], 1] = np.nan
    with pytest.raises(DataError, match="input 0 at row 3"):
        two().score(X)
    assert np.isfinite(two().score(X, lengths=[3, 2]))


def test_what_it_cannot_do_it_says(rng):
    X, _ = two().sample(random_state=0, inputs=rng.normal(size=(20, 1)))
    with pytest.raises(UnsupportedError, match="cannot freeze or tie"):
        two(frozen={"transmat": [0]}).fit(X)
    for read in (two().get_stationary_distribution, two().expected_sojourn, two().plot_transitions):
        with pytest.raises(UnsupportedError):
            read()
    assert np.isfinite(two().expected_sojourn(X)).all()
    with pytest.raises(DataError, match="n_inputs"):
        Logistic(0)
    with pytest.raises(DataError, match="l2"):
        Logistic(1, l2=-1)
    model = two()
    model.transition_intercept_ = np.full((2, 2), -np.inf)
    with pytest.raises(DataError, match="all of row 0"):
        model.score(X)
