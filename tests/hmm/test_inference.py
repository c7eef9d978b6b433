"""Forecasts, filters, paths and entropies of every model, against enumeration and against one another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm import CategoricalHMM, GaussianHMM, PoissonHMM
from hmm.predictive import moments
from msgpass.errors import DataError, ImpossibleEvidenceError, MessagePassingError, ShapeError
from tests.hmm.drawn import KINDS, drawn, make
from tests.hmm.enumeration import every_path, log_sum

EXACT = {"rtol": 1e-8, "atol": 1e-9}
few = settings(max_examples=40)


@pytest.fixture
def umbrella():
    model = CategoricalHMM(2)
    model.startprob_, model.transmat_ = [0.5, 0.5], [[0.7, 0.3], [0.3, 0.7]]
    model.emissionprob_ = [[0.1, 0.9], [0.8, 0.2]]
    return model


SEEN = [1, 1, 0, 1, 1]


def test_umbrella(umbrella):
    assert umbrella.posterior_entropy(SEEN) == pytest.approx(2.216928831329, abs=1e-12)
    scores, paths = umbrella.k_best_paths(SEEN, 2)
    assert scores[0] == pytest.approx(-4.459028291034797, abs=1e-12)
    assert paths.tolist() == [[0, 0, 1, 0, 0], [0, 0, 0, 0, 0]]
    ahead = umbrella.forecast(SEEN, steps=2)
    rain = 0.7 * 0.8673388896 + 0.3 * (1 - 0.8673388896)
    np.testing.assert_allclose(ahead.states[:, 0], [rain, 0.7 * rain + 0.3 * (1 - rain)], atol=1e-10)
    np.testing.assert_allclose(ahead.probabilities[:, 1], 0.2 + 0.7 * ahead.states[:, 0])
    assert ahead.mean is None and ahead.variance is None
    xi = umbrella.messages(SEEN).parameters["transition"]
    visits = umbrella.predict_proba(SEEN)[0] + [xi[1, 0], xi[0, 1]]
    np.testing.assert_allclose(umbrella.expected_visits(SEEN), visits)
    np.testing.assert_allclose(umbrella.expected_sojourn(), 1 / 0.3)


@few
@given(drawn(sequences=3, max_length=4))
def test_scores_of_sequences_and_predictive_densities_add_up(case):
    model, X, lengths = case.model, case.X, case.lengths
    each = model.score_sequences(X, lengths)
    np.testing.assert_allclose(each, [model.score(x) for x in case.sequences], **EXACT)
    gains = model.predictive_log_density(X, lengths)
    ends = np.cumsum(lengths)
    np.testing.assert_allclose([g.sum() for g in np.split(gains, ends[:-1])], each, **EXACT)
    for t in range(1, lengths[0]):
        assert gains[t] == pytest.approx(model.score(X[: t + 1]) - model.score(X[:t]), rel=1e-7, abs=1e-8)


@few
@given(drawn(sequences=2), st.integers(1, 3))
def test_forecasts_are_the_filter_carried_on(case, steps):
    model = case.model
    ahead = model.forecast(case.X, case.lengths, steps)
    ends = np.cumsum(case.lengths) - 1
    for n, states in enumerate(model.filter(case.X, case.lengths)[ends]):
        for s in range(steps):
            states = states @ model.transmat_
            np.testing.assert_allclose(ahead.states[n, s], states, **EXACT)
    alone = model.forecast(case.sequences[0], steps=steps)
    np.testing.assert_allclose(alone.states, ahead.states[0], **EXACT)
    if hasattr(model, "emissionprob_"):
        np.testing.assert_allclose(alone.probabilities, alone.states @ model.emissionprob_, **EXACT)
        return
    assert alone.probabilities is None
    mean, variance = moments(model.chain().emission)
    np.testing.assert_allclose(alone.mean, alone.states @ mean, **EXACT)
    second = alone.states @ (variance + mean**2)
    np.testing.assert_allclose(alone.variance, second - alone.mean**2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"categorical"}))
def test_moments_are_those_of_samples(kind, rng):
    emission = make(kind, 3, 2, rng).chain().emission
    mean, variance = moments(emission)
    for k in range(3):
        draws = emission.sample(np.full(40_000, k), rng)
        np.testing.assert_allclose(draws.mean(axis=0), mean[k], atol=5 * np.sqrt(variance[k] / 40_000).max())
        np.testing.assert_allclose(draws.var(axis=0), variance[k], rtol=0.06)


@few
@given(drawn(), st.integers(0, 6))
def test_smoothing_with_a_lag_sees_so_far_ahead(case, lag):
    model, X = case.model, case.X
    smoothed = model.smooth(X, lag=lag)
    for t in range(len(X)):
        np.testing.assert_allclose(smoothed[t], model.predict_proba(X[: t + lag + 1])[t], **EXACT)
    np.testing.assert_allclose(model.smooth(X), model.predict_proba(X), **EXACT)
    np.testing.assert_allclose(model.smooth(X, lag=0), model.filter(X), **EXACT)


@few
@given(drawn(), st.integers(1, 12))
def test_the_k_best_paths_are_the_k_best(case, k):
    paths, scores = every_path(case.model, case.X)
    wanted = np.sort(scores[scores > -np.inf])[::-1][:k]
    found, states = case.model.k_best_paths(case.X, k)
    np.testing.assert_allclose(found[: len(wanted)], wanted, **EXACT)
    assert (found[len(wanted) :] == -np.inf).all() and (states[len(wanted) :] == -1).all()
    own = [scores[(paths == path).all(axis=1)][0] for path in states[: len(wanted)]]
    np.testing.assert_allclose(own, wanted, **EXACT)
    assert len({tuple(p) for p in states[: len(wanted)].tolist()}) == len(wanted)


@few
@given(drawn())
def test_entropy_visits_and_sojourns_are_expectations_over_paths(case):
    paths, scores = every_path(case.model, case.X)
    log_p = scores[scores > -np.inf] - log_sum(scores)
    assert case.model.posterior_entropy(case.X) == pytest.approx(-np.exp(log_p) @ log_p, rel=1e-9, abs=1e-9)
    p, K = np.exp(scores - log_sum(scores)), case.model.n_components
    starts = np.concatenate([np.ones((len(paths), 1), bool), paths[:, 1:] != paths[:, :-1]], axis=1)
    visits = np.array([p @ ((paths == k) & starts).sum(axis=1) for k in range(K)])
    steps = np.array([p @ (paths == k).sum(axis=1) for k in range(K)])
    np.testing.assert_allclose(case.model.expected_visits(case.X), visits, **EXACT)
    np.testing.assert_allclose(case.model.expected_sojourn(case.X) * visits, steps, **EXACT)


@settings(max_examples=15)
@given(drawn(max_length=3))
def test_drawn_paths_have_the_posterior(case):
    paths, scores = every_path(case.model, case.X)
    p, n = np.exp(scores - log_sum(scores)), 2000
    draws = case.model.sample_paths(case.X, n, random_state=1)
    assert draws.shape == (n, len(case.X))
    share = np.array([(draws == path).all(axis=1).mean() for path in paths])
    np.testing.assert_array_less(np.abs(share - p), 6 * np.sqrt(p * (1 - np.minimum(p, 1)) / n) + 16 / n)


@few
@given(drawn(sequences=2))
def test_online_filtering_is_filtering(case):
    online = case.model.online()
    for x in case.sequences:
        online.reset()
        wanted = case.model.filter(x)
        for t, row in enumerate(x):
            np.testing.assert_allclose(online.update(row), wanted[t], **EXACT)
            np.testing.assert_allclose(online.predicted, wanted[t] @ case.model.transmat_, **EXACT)
        assert online.n == len(x)
        assert online.log_likelihood == pytest.approx(case.model.score(x), rel=1e-8, abs=1e-8)


def test_a_list_of_sequences_is_lengths(rng):
    model = make("diag", 2, 2, rng)
    parts = [model.sample(n, rng)[0] for n in (4, 2, 5)]
    X, lengths = np.concatenate(parts), [4, 2, 5]
    np.testing.assert_array_equal(model.score_sequences(parts), model.score_sequences(X, lengths))
    np.testing.assert_array_equal(model.filter(parts), model.filter(X, lengths))
    assert model.forecast(parts).states.shape == model.forecast(X, lengths).states.shape == (3, 1, 2)
    assert model.k_best_paths(parts, 2)[0].shape == (3, 2)
    assert model.score(parts) == model.score(X, lengths) == model.score(X, lengths=lengths)
    assert model.bic(parts) == model.bic(X, lengths)


def test_what_online_filters_refuse(umbrella):
    online = umbrella.online()
    for x, error in (([1, 0], ShapeError), (2, DataError), (-2, DataError), ("rain", DataError)):
        with pytest.raises(error):
            online.update(x)
    with pytest.raises(ShapeError, match="one observation, got 2 rows"):
        online.update([[1], [0]])
    assert online.n == 0
    umbrella.emissionprob_ = np.eye(2)
    online = umbrella.online()
    online.update(0)
    umbrella.transmat_ = np.eye(2)
    online = umbrella.online()
    online.update(0)
    with pytest.raises(ImpossibleEvidenceError, match="observation 1") as caught:
        online.update(1)
    assert caught.value.step == 1 and online.n == 1
    np.testing.assert_array_equal(online.update(0), [1, 0])


@pytest.mark.parametrize("Model", [CategoricalHMM, PoissonHMM, GaussianHMM])
def test_arguments_are_checked(Model, rng):
    kind = {"CategoricalHMM": "categorical", "PoissonHMM": "poisson"}.get(Model.__name__, "diag")
    model = make(kind, 2, 1, rng)
    X, _ = model.sample(4, 1)
    for call in (
        lambda: model.forecast(X, steps=0),
        lambda: model.smooth(X, lag=-1),
        lambda: model.k_best_paths(X, 0),
        lambda: model.sample_paths(X, 0),
        lambda: model.score_sequences(X, [3]),
    ):
        with pytest.raises(MessagePassingError):
            call()


def test_impossible_evidence_has_no_posterior_paths(umbrella):
    umbrella.startprob_, umbrella.transmat_, umbrella.emissionprob_ = [1, 0], np.eye(2), np.eye(2)
    X = [0, 0, 1]
    for ask in (
        umbrella.posterior_entropy,
        umbrella.sample_paths,
        umbrella.forecast,
        umbrella.predictive_log_density,
        umbrella.expected_visits,
        lambda X: umbrella.k_best_paths(X, 2),
        lambda X: umbrella.smooth(X, lag=1),
    ):
        with pytest.raises(ImpossibleEvidenceError, match="step 2"):
            ask(X)
    np.testing.assert_array_equal(umbrella.score_sequences([0, 0, 1, 0, 0], [3, 2]), [-np.inf, 0])


def test_a_state_that_is_never_left_has_no_end(umbrella):
    umbrella.transmat_ = [[1, 0], [0.5, 0.5]]
    assert umbrella.expected_sojourn().tolist() == [np.inf, 2]
