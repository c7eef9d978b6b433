"""Readings against dense algebra on random models."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hmm import LinearGaussianSSM
from msgpass.errors import DataError, NumericalError, ShapeError
from tests.hmm.state_space.dense import joint, random_model, with_gaps

LEVEL = {
    "transition_matrix": 1,
    "transition_covariance": 1,
    "observation_matrix": 1,
    "observation_covariance": 2,
    "initial_mean": 0,
    "initial_covariance": 10,
}


@st.composite
def cases(draw):
    """(model, y, u, lengths)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p, k = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 2))
    lengths = draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    varies = draw(st.booleans())
    T = sum(lengths)
    steps = max(lengths) + 2  # a row for each step of a sequence, and those to come
    steps += len(lengths) > 1 and steps == T  # which as many rows as X has would not be
    model = random_model(rng, n, p, k, steps=steps if varies else None)
    y, u = rng.normal(size=(T, p)), rng.normal(size=(T, k))
    return model, with_gaps(rng, y) if draw(st.booleans()) else y, u, lengths


def parts(lengths):
    ends = np.cumsum([0, *lengths])
    return [slice(a, b) for a, b in pairwise(ends)]


def inputs(u):
    return u if u.shape[1] else None


@given(cases())
def test_a_dense_solve_gives_the_same(case):
    model, y, u, lengths = case
    space, given_inputs = model.space(), inputs(u)
    filtered, smoothed = (read(y, lengths, inputs=given_inputs) for read in (model.filter, model.smooth))
    lag_one = model.lag_one_covariances(y, lengths, inputs=given_inputs)
    totals, pairs = [], 0
    for rows in parts(lengths):
        T = rows.stop - rows.start
        dense = joint(space, T, u[rows])
        mean, cov, total = dense.given(y[rows])
        totals.append(total)
        np.testing.assert_allclose(smoothed.mean[rows], mean, rtol=1e-8, atol=1e-8)
        for t in range(T):
            np.testing.assert_allclose(smoothed.cov[rows][t], cov[t, :, t], rtol=1e-8, atol=1e-8)
            m, c, _ = dense.given(y[rows], t + 1)
            np.testing.assert_allclose(filtered.mean[rows][t], m[t], rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(filtered.cov[rows][t], c[t, :, t], rtol=1e-8, atol=1e-8)
            if t + 1 < T:
                np.testing.assert_allclose(lag_one[pairs], cov[t + 1, :, t], rtol=1e-8, atol=1e-8)
                pairs += 1
    assert pairs == len(lag_one)
    np.testing.assert_allclose(model.score_sequences(y, lengths, inputs=given_inputs), totals, rtol=1e-9)
    assert model.score(y, lengths=lengths, inputs=given_inputs) == pytest.approx(sum(totals), rel=1e-9)
    terms = model.predictive_log_density(y, lengths, inputs=given_inputs)
    assert terms.shape == (len(y),)
    assert terms.sum() == pytest.approx(sum(totals), rel=1e-8, abs=1e-8)


@given(cases())
def test_forecasts_are_the_joint_with_rows_to_come(case):
    model, y, u, lengths = case
    space, steps = model.space(), 2
    rng = np.random.default_rng(0)
    future = rng.normal(size=(len(lengths), steps, u.shape[1]))
    found = model.forecast(y, lengths, steps, future if u.shape[1] else None, past_inputs=inputs(u))
    for k, rows in enumerate(parts(lengths)):
        T = rows.stop - rows.start
        dense = joint(space, T + steps, np.concatenate([u[rows], future[k]]))
        mean, cov, _ = dense.given(np.concatenate([y[rows], np.full((steps, y.shape[1]), np.nan)]))
        for h in range(steps):
            t = T + h
            np.testing.assert_allclose(found.state_mean[k, h], mean[t], rtol=1e-8, atol=1e-8)
            np.testing.assert_allclose(found.state_cov[k, h], cov[t, :, t], rtol=1e-8, atol=1e-8)
            H, D, R, d = (
                a if a.ndim == axes else a[t]
                for a, axes in (
                    (space.observation_matrix, 2),
                    (space.observation_input_matrix, 2),
                    (space.observation_covariance, 2),
                    (space.observation_offset, 1),
                )
            )
            np.testing.assert_allclose(found.mean[k, h], H @ mean[t] + D @ future[k, h] + d, atol=1e-8)
            np.testing.assert_allclose(found.cov[k, h], H @ cov[t, :, t] @ H.T + R, rtol=1e-8, atol=1e-8)


def test_the_local_level_of_the_literature():
    model, y = LinearGaussianSSM(1, **LEVEL), [1.0, 3.0, 2.0, 5.0]
    states = model.smooth(y)
    wanted = [1.8482905983, 2.4572649573, 2.7948717949, 3.5299145299]
    np.testing.assert_allclose(states.mean.ravel(), wanted, rtol=1e-10)
    wanted = [0.9188034188, 0.7521367521, 0.7692307692, 1.0085470085]
    np.testing.assert_allclose(states.cov.ravel(), wanted, rtol=1e-9)
    assert model.lag_one_covariances(y)[0, 0, 0] == pytest.approx(0.4700854701, rel=1e-9)
    assert model.score(y) == pytest.approx(-8.73171144370706, abs=1e-12)


def test_a_flat_start_is_the_limit_of_a_wide_one(rng):
    model = random_model(rng, 2, 2)
    y = rng.normal(size=(6, 2))
    flat, wide, width = model.change_of_basis(np.eye(2)), model.change_of_basis(np.eye(2)), 1e8
    flat.initial = "diffuse"
    wide.initial_mean_, wide.initial_covariance_ = np.zeros(2), width * np.eye(2)
    np.testing.assert_allclose(flat.smooth(y).mean, wide.smooth(y).mean, atol=1e-5)
    np.testing.assert_allclose(flat.smooth(y).cov, wide.smooth(y).cov, atol=1e-5)
    assert flat.score(y) == pytest.approx(wide.score(y) + np.log(2 * np.pi * width), abs=1e-5)
    half = model.change_of_basis(np.eye(2))
    half.initial_covariance_ = np.diag([np.inf, 2.0])
    wide.initial_mean_, wide.initial_covariance_ = model.initial_mean, np.diag([width, 2.0])
    assert half.score(y) == pytest.approx(wide.score(y) + 0.5 * np.log(2 * np.pi * width), abs=1e-5)


def test_before_a_flat_start_is_determined(rng):
    model = LinearGaussianSSM(1, initial="diffuse", **{k: v for k, v in LEVEL.items() if "initial" not in k})
    states = model.filter([np.nan, 1.0, 2.0])
    assert np.isnan(states.mean[0, 0]) and states.cov[0, 0, 0] == np.inf
    ahead = model.one_step([np.nan, 1.0, 2.0])
    assert np.isnan(ahead.mean[:2]).all() and np.isposinf(ahead.cov[:2]).all()
    assert ahead.mean[2, 0] == 1.0
    terms = model.predictive_log_density([np.nan, 1.0, 2.0])
    assert terms[0] == 0 and np.isnan(terms[1]) and np.isfinite(terms[2])


def test_a_stationary_start_is_where_the_transition_stays(rng):
    model = random_model(rng, 3, 1, initial="stationary")
    space = model.space()
    mean, cov = space.initial_mean, space.initial_covariance
    np.testing.assert_allclose(space.transition_matrix @ mean + space.transition_offset, mean)
    F = space.transition_matrix
    np.testing.assert_allclose(F @ cov @ F.T + space.transition_covariance, cov, rtol=1e-9, atol=1e-12)
    states = model.smooth(np.full((4, 1), np.nan))
    np.testing.assert_allclose(states.mean, np.tile(mean, (4, 1)))
    np.testing.assert_allclose(states.cov, np.tile(cov, (4, 1, 1)), rtol=1e-9, atol=1e-12)


def test_a_step_axis_is_read_by_sequence_or_end_to_end(rng):
    steps, H = 5, rng.normal(size=(5, 2, 2))
    model = random_model(rng, 2, 2, observation_matrix=H)
    y = rng.normal(size=(6, 2))
    apart = model.score(y[:4]) + model.score(y[4:])
    assert model.score(y, lengths=[4, 2]) == pytest.approx(apart, rel=1e-12)
    long = model.change_of_basis(np.eye(2))
    long.observation_matrix_ = np.concatenate([H[:4], H[:2]])
    assert long.score(y, lengths=[4, 2]) == pytest.approx(apart, rel=1e-12)
    with pytest.raises(ShapeError, match=rf"observation_matrix_ has {steps} steps, but the longest"):
        model.score(y)
    with pytest.raises(ShapeError, match="the steps to come are among them"):
        model.forecast(y[:4], steps=2)


def test_draws_from_the_posterior_have_its_moments(rng):
    model = random_model(rng, 2, 2)
    y = with_gaps(rng, rng.normal(size=(5, 2)))
    draws = model.sample_posterior(y, 20_000, random_state=1)
    states, lag_one = model.smooth(y), model.lag_one_covariances(y)
    assert draws.shape == (20_000, 5, 2)
    scale = np.sqrt(np.diagonal(states.cov, axis1=1, axis2=2).max())
    np.testing.assert_allclose(draws.mean(axis=0), states.mean, atol=5 * scale / np.sqrt(20_000))
    away = draws - draws.mean(axis=0)
    found = np.einsum("kti,ktj->tij", away[:, 1:], away[:, :-1]) / len(draws)
    np.testing.assert_allclose(found, lag_one, atol=8 * scale**2 / np.sqrt(20_000))
    np.testing.assert_array_equal(draws[:3], model.sample_posterior(y, 20_000, random_state=1)[:3])


def test_samples_have_the_models_moments(rng):
    model = random_model(rng, 2, 2, 1)
    u = rng.normal(size=(4, 1))
    dense = joint(model.space(), 4, u)
    drawn = [model.sample(4, np.random.default_rng(seed), inputs=u) for seed in range(4000)]
    both = np.array([np.concatenate([x.ravel(), y.ravel()]) for y, x in drawn])
    scale = np.sqrt(np.diag(dense.cov))
    np.testing.assert_array_less(np.abs(both.mean(axis=0) - dense.mean), 5 * scale / np.sqrt(4000))
    gap = np.abs(np.cov(both.T) - dense.cov) / np.outer(scale, scale)
    assert gap.max() < 5 * np.sqrt(2 / 4000)


def test_what_cannot_be_drawn(rng):
    model = LinearGaussianSSM(1, initial="diffuse", **{k: v for k, v in LEVEL.items() if "initial" not in k})
    with pytest.raises(DataError, match="give start="):
        model.sample(3)
    X, states = model.sample(3, random_state=0, start=[2.0])
    assert X.shape == (3, 1) and states[0, 0] == 2.0
    with pytest.raises(ShapeError, match="one for each of 1 states"):
        model.sample(3, start=[1.0, 2.0])


def test_nothing_observed_leaves_the_prior(rng):
    model = random_model(rng, 2, 2)
    y = np.full((3, 2), np.nan)
    assert model.score(y) == 0
    np.testing.assert_allclose(model.smooth(y).mean[0], model.initial_mean)
    flat = LinearGaussianSSM(1, initial="diffuse", **{k: v for k, v in LEVEL.items() if "initial" not in k})
    for read in (flat.score, flat.smooth):
        with pytest.raises(NumericalError, match="never determine its flat start"):
            read([np.nan, np.nan])


def test_noise_free_observations(rng):
    exact = random_model(rng, 2, 1, observation_covariance=0.0)
    y = rng.normal(size=(5, 1))
    dense = joint(exact.space(), 5, np.zeros((5, 0)))
    mean, _, total = dense.given(y)
    assert exact.score(y) == pytest.approx(total, rel=1e-9)
    np.testing.assert_allclose(exact.smooth(y).mean, mean, atol=1e-8)


def test_a_moving_average_seen_exactly():
    """ARMA(2, 1) without noise in what is seen: x_t | x_{t+1} grows errors tenfold a step."""
    model = LinearGaussianSSM(
        2, initial="stationary", transition_matrix=[[0.3, 1.0], [0.2, 0.0]], observation_matrix=[[1.0, 0.0]],
        transition_covariance=20_000 * np.outer([1, 0.1], [1, 0.1]), observation_covariance=0.0,
    )  # fmt: skip
    y, states = model.sample(60, 0)
    found = model.smooth(y)
    mean, cov, _ = joint(model.space(), 60, np.zeros((60, 0))).given(y)
    np.testing.assert_allclose(found.mean, mean, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.cov, cov[np.arange(60), :, np.arange(60)], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(found.mean[5:], states[5:], rtol=1e-3)


def test_a_fixed_lag_reads_no_further(rng):
    model = random_model(rng, 2, 2)
    y = rng.normal(size=(6, 2))
    dense = joint(model.space(), 6, np.zeros((6, 0)))
    lagged = model.smooth(y, lag=1)
    for t in range(6):
        mean, _, _ = dense.given(y, min(t + 2, 6))
        np.testing.assert_allclose(lagged.mean[t], mean[t], rtol=1e-8, atol=1e-8)


@given(cases(), st.integers(0, 2**32 - 1))
def test_a_change_of_basis_changes_the_states_alone(case, seed):
    model, y, u, lengths = case
    n = model.n_components
    T = np.random.default_rng(seed).normal(size=(n, n)) + 2 * np.eye(n)
    other = model.change_of_basis(T)
    assert other.score(y, lengths=lengths, inputs=inputs(u)) == pytest.approx(
        model.score(y, lengths=lengths, inputs=inputs(u)), rel=1e-6, abs=1e-6
    )
    mean = model.smooth(y, lengths, inputs=inputs(u)).mean
    turned = other.smooth(y, lengths, inputs=inputs(u)).mean
    np.testing.assert_allclose(turned, mean @ T.T, rtol=1e-5, atol=1e-5 * (1 + np.abs(mean).max()))


def test_a_forecast_needs_no_state_that_is_not_seen():
    """The first of two walks is observed, the second never: ∞ · 0 = 0."""
    two = LinearGaussianSSM(2, initial="diffuse", transition_matrix=np.eye(2),
                            transition_covariance=np.eye(2), observation_matrix=[[1.0, 0.0]],
                            observation_covariance=1.0)  # fmt: skip
    one = LinearGaussianSSM(1, initial="diffuse", transition_matrix=1.0, transition_covariance=1.0,
                            observation_matrix=1.0, observation_covariance=1.0)  # fmt: skip
    y = [1.0, 3.0, np.nan, 2.0]
    a, b = two.forecast(y, steps=3), one.forecast(y, steps=3)
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-12)
    np.testing.assert_allclose(a.cov, b.cov, rtol=1e-12)
    assert np.isnan(a.state_mean[:, 1]).all()
    two.observation_matrix_ = np.array([[1.0, 0.5]])
    open_ = two.forecast([np.nan], steps=2)
    assert np.isnan(open_.mean).all() and np.isposinf(open_.cov).all()
