"""Laws that every kind of transition obeys, with several emissions; the oracle adds up all paths."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone

import hmm
from msgpass.errors import ImpossibleEvidenceError
from tests.hmm.enumeration import log_sum
from tests.hmm.transition_kinds import (
    EMISSIONS,
    KINDS,
    inputs,
    make,
    marginals,
    paths_and_scores,
    rows,
)

EXACT = {"rtol": 1e-9, "atol": 1e-9}
few = settings(max_examples=5)
seeds = st.integers(0, 2**32 - 1)
pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")


def drawn(kind, emission, seed, lengths=(5,), missing=0.2, **settings):
    """(model, X), K from 1 to 3."""
    rng = np.random.default_rng(seed)
    model = make(kind, emission, int(rng.integers(1, 4)), rng, **settings)
    return model, rows(kind, model, lengths, rng, missing)


def attributes(model):
    """Everything that is estimated, as dense arrays."""
    names = [*model.transition_kind().FIELDS, "startprob"]
    values = [getattr(model, f"{name}_") for name in names]
    return [np.asarray(v.toarray() if hasattr(v, "toarray") else v) for v in values]


@pytest.mark.parametrize("emission", EMISSIONS)
@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_scores_and_posteriors_are_sums_over_paths(kind, emission, seed):
    model, X = drawn(kind, emission, seed)
    paths, scores = paths_and_scores(kind, model, X)
    total, gamma = model.score_samples(X)
    np.testing.assert_allclose(total, log_sum(scores), **EXACT)
    np.testing.assert_allclose(model.score(X), total, rtol=1e-12)
    np.testing.assert_allclose(gamma, marginals(paths, scores, model.n_components), **EXACT)
    weight = np.exp(scores - log_sum(scores))
    entropy = -(weight[weight > 0] * np.log(weight[weight > 0])).sum()
    np.testing.assert_allclose(model.posterior_entropy(X), entropy, rtol=1e-7, atol=1e-8)
    entered = (paths[:, 1:, None] == np.arange(model.n_components)) & (paths[:, 1:] != paths[:, :-1])[
        ..., None
    ]
    begun = paths[:, 0, None] == np.arange(model.n_components)
    np.testing.assert_allclose(model.expected_visits(X), weight @ (entered.sum(axis=1) + begun), **EXACT)


@pytest.mark.parametrize("emission", EMISSIONS)
@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_best_paths_are_those_of_all_paths(kind, emission, seed):
    model, X = drawn(kind, emission, seed)
    paths, scores = paths_and_scores(kind, model, X)
    best, path = model.decode(X)
    np.testing.assert_allclose(best, scores.max(), **EXACT)
    np.testing.assert_allclose(scores[(paths == path).all(axis=1)], [best], **EXACT)
    found, ranked = model.k_best_paths(X, 4)
    wanted = np.sort(scores[scores > -np.inf])[::-1][:4]
    np.testing.assert_allclose(found[: len(wanted)], wanted, **EXACT)
    assert len({tuple(p) for p in ranked[: len(wanted)]}) == len(wanted)
    taken = [scores[(paths == p).all(axis=1)][0] for p in ranked[: len(wanted)]]
    np.testing.assert_allclose(taken, wanted, **EXACT)
    score, path = model.decode(X, algorithm="map")
    np.testing.assert_array_equal(path, model.predict_proba(X).argmax(axis=1))
    np.testing.assert_allclose(scores[(paths == path).all(axis=1)], [score], **EXACT)


@pytest.mark.parametrize("emission", EMISSIONS)
@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_no_transition_leads_from_one_sequence_into_the_next(kind, emission, seed):
    lengths = [4, 1, 3]
    model, X = drawn(kind, emission, seed, lengths)
    parts = np.split(X, np.cumsum(lengths)[:-1])
    np.testing.assert_allclose(model.score_sequences(X, lengths), [model.score(x) for x in parts], **EXACT)
    np.testing.assert_allclose(
        model.predict_proba(X, lengths), np.concatenate([model.predict_proba(x) for x in parts]), **EXACT
    )


@pytest.mark.parametrize("emission", ["categorical", "full", "autoregressive"])
@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_filters_see_the_past_and_forecasts_the_future(kind, emission, seed):
    model, X = drawn(kind, emission, seed)
    causal = model.filter(X)
    online = model.online()
    for t in range(len(X)):
        np.testing.assert_allclose(causal[t], model.predict_proba(X[: t + 1])[-1], **EXACT)
        np.testing.assert_allclose(online.update(X[t]), causal[t], **EXACT)
    np.testing.assert_allclose(online.log_likelihood, model.score(X), **EXACT)
    np.testing.assert_allclose(model.predictive_log_density(X).sum(), model.score(X), **EXACT)
    late = model.smooth(X, lag=1)
    for t in range(len(X) - 1):
        np.testing.assert_allclose(late[t], model.predict_proba(X[: t + 2])[t], **EXACT)

    U = inputs(kind, 2, np.random.default_rng(seed))
    states = model.forecast(X, steps=2, inputs=U).states
    ahead = np.full((2, X.shape[1]), np.nan)
    if U is not None:
        ahead[:, -U.shape[1] :] = U
    paths, scores = paths_and_scores(kind, model, np.concatenate([X, ahead]), silent=2)
    np.testing.assert_allclose(states, marginals(paths, scores, model.n_components)[-2:], **EXACT)


@pytest.mark.parametrize("emission", EMISSIONS)
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3)
@given(seed=seeds)
def test_em_rises(kind, emission, seed):
    fitted = {"init_params": "", "n_iter": 8, "tol": -1.0, "random_state": 0}
    model, X = drawn(kind, emission, seed, [30, 1, 20], **fitted)
    if kind != "logistic":
        model.transmat_prior = 1.5
    history = model.fit(X, lengths=[30, 1, 20]).monitor_.history
    assert (np.diff(history) >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all()


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=seeds)
def test_a_weight_is_a_repetition(kind, seed):
    rng = np.random.default_rng(seed)
    lengths = [30, 20, 25]
    model = make(kind, "poisson", 2, rng, init_params="", n_iter=3, tol=-1.0)
    X = rows(kind, model, lengths, rng)
    a, b, c = np.split(X, np.cumsum(lengths)[:-1])
    other = copy.deepcopy(model).fit([a, b, b, b, c])
    model.fit(X, lengths=lengths, weights=[1, 3, 1])
    np.testing.assert_allclose(model.monitor_.history, other.monitor_.history, rtol=1e-8)
    for one, two in zip(attributes(model), attributes(other), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_leave_the_paths_that_agree_with_them(kind, rng):
    model = make(kind, "poisson", 3, rng, init_params="", n_iter=1, tol=-1.0)
    X = rows(kind, model, [5], rng)
    paths, scores = paths_and_scores(kind, model, X)
    labels = np.where([False, True, False, True, False], model.predict(X), -1)
    agree = ((paths == labels) | (labels < 0)).all(axis=1)
    prior = model.chain().log_prior()
    first = model.fit(X, labels=labels).monitor_.history[0]
    assert first == pytest.approx(log_sum(scores[agree]) + prior, rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_of_paths_follow_their_posterior(kind, rng):
    model = make(kind, "poisson", 2, rng)
    X = rows(kind, model, [4], rng)
    draws = model.sample_paths(X, 4000, random_state=0)
    np.testing.assert_allclose((draws == 1).mean(axis=0), model.predict_proba(X)[:, 1], atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_samples_follow_the_probabilities_of_paths(kind, rng):
    model = make(kind, "poisson", 2, rng)
    U = inputs(kind, 4, rng)
    rest = np.zeros((4, 2)) if U is None else np.column_stack([np.zeros((4, 2)), U])
    paths, scores = paths_and_scores(kind, model, rest, silent=4)
    draws = np.array([model.sample(4, rng, inputs=U)[1] for _ in range(3000)])
    shares = [(draws == path).all(axis=1).mean() for path in paths]
    np.testing.assert_allclose(shares, np.exp(scores), atol=0.035)
    assert np.exp(scores).sum() == pytest.approx(1)
    chain = model.chain()
    prepared = None if U is None else chain.transition.prepare(U, [4])
    state = int(chain.transition.initial(np.array([0.0, 1.0])).argmax())
    np.testing.assert_allclose(chain.transition.row(state, prepared, 2).sum(), 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_and_a_clone_are_the_model(kind, rng, tmp_path):
    model = make(kind, "gamma", 3, rng, random_state=0)
    X = rows(kind, model, [20], rng)
    again = clone(model)
    assert type(again.transitions) is type(model.transitions)
    assert again.set_params(transitions=None).transitions is None
    model.save(tmp_path / "model.safetensors")
    other = hmm.load(tmp_path / "model.safetensors")
    assert other.score(X) == model.score(X)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    for one, two in zip(attributes(model), attributes(other), strict=True):
        np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(
        other.sample(9, 1, inputs=inputs(kind, 9, np.random.default_rng(0)))[0],
        model.sample(9, 1, inputs=inputs(kind, 9, np.random.default_rng(0)))[0],
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_seed_one_fit_and_a_checkpoint_goes_on(kind, rng, tmp_path):
    truth = make(kind, "poisson", 2, rng)
    X = rows(kind, truth, [60], rng)
    topology = csr() if kind == "sparse" else None

    def model(n_iter):
        settings = {"random_state": 3, "n_iter": n_iter, "tol": 0, "topology": topology}
        return hmm.PoissonHMM(2, transitions=truth.transitions, **settings)

    whole, same = model(6).fit(X), model(6).fit(X)
    path = tmp_path / "fit.safetensors"
    model(3).fit(X, checkpoint=path)
    resumed = model(6).fit(X, checkpoint=path)
    for other in (same, resumed):
        for one, two in zip(attributes(whole), attributes(other), strict=True):
            np.testing.assert_array_equal(one, two)
    free = whole.startprob_.size - 1 + whole.lambdas_.size + whole.chain().transition.n_parameters()
    assert whole.aic(X) == pytest.approx(-2 * whole.score(X) + 2 * free)


def csr():
    from scipy.sparse import csr_array

    return csr_array(np.ones((2, 2)))


@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("by group", "logistic")])
def test_impossible_evidence_is_named(kind):
    model = hmm.CategoricalHMM(2, transitions=make(kind, "poisson", 2, np.random.default_rng(0)).transitions)
    model.startprob_, model.emissionprob_ = [1, 0], [[1.0, 0.0], [0.5, 0.5]]
    held = make(kind, "categorical", 2, np.random.default_rng(0))
    for name in held.transition_kind().FIELDS:
        setattr(model, f"{name}_", getattr(held, f"{name}_"))
    assert model.score([1, 0]) == -np.inf
    with pytest.raises(ImpossibleEvidenceError, match="step 0"):
        model.predict_proba([1, 0])
