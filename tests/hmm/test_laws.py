"""Laws that every model obeys, over random models, data, lengths and missing cells."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hmm import CategoricalHMM, GaussianHMM, PoissonHMM
from tests.hmm.drawn import KINDS, SYMBOLS, drawn, make, with_gaps
from tests.hmm.enumeration import every_path, log_sum, posteriors

EXACT = {"rtol": 1e-9, "atol": 1e-9}
PRIORS = {
    "categorical": {"emissionprob_prior": 1.5},
    "poisson": {"lambdas_prior": 2.0, "lambdas_weight": 1.5},
    "gaussian": {"means_prior": 0.5, "means_weight": 0.7, "covars_prior": 0.3, "covars_weight": 5.0},
}


@given(drawn())
def test_score_and_posteriors_are_sums_over_paths(case):
    paths, scores = every_path(case.model, case.X[: case.lengths[0]])
    log_prob, gamma = case.model.score_samples(case.X, case.lengths)
    assert log_prob == pytest.approx(log_sum(scores), rel=1e-9, abs=1e-9)
    assert case.model.score(case.X, case.lengths) == pytest.approx(log_prob, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(gamma, posteriors(paths, scores, case.model.n_components), **EXACT)
    np.testing.assert_allclose(gamma.sum(axis=1), 1, **EXACT)


@given(drawn())
def test_viterbi_finds_the_best_path_and_its_joint_probability(case):
    paths, scores = every_path(case.model, case.X)
    log_prob, path = case.model.decode(case.X)
    assert log_prob == pytest.approx(scores.max(), rel=1e-9, abs=1e-9)
    taken = np.flatnonzero((paths == path).all(axis=1))
    assert scores[taken[0]] == pytest.approx(scores.max(), rel=1e-9, abs=1e-9)


@given(drawn())
def test_map_decoding_takes_the_best_state_at_each_step_and_scores_that_path(case):
    paths, scores = every_path(case.model, case.X)
    log_prob, path = case.model.decode(case.X, algorithm="map")
    gamma = case.model.predict_proba(case.X)
    np.testing.assert_array_equal(path, gamma.argmax(axis=1))
    assert log_prob == pytest.approx(scores[(paths == path).all(axis=1)][0], rel=1e-9, abs=1e-9)


@given(drawn())
def test_the_filter_sees_the_past_only(case):
    filtered = case.model.filter(case.X)
    for t in range(len(case.X)):
        alone = case.model.predict_proba(case.X[: t + 1])[-1]
        np.testing.assert_allclose(filtered[t], alone, **EXACT)


@given(drawn(sequences=4, max_length=9))
def test_sequences_are_independent(case):
    parts = [case.model.score_samples(x) for x in case.sequences]
    log_prob, gamma = case.model.score_samples(case.X, case.lengths)
    assert log_prob == pytest.approx(sum(p for p, _ in parts), rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(gamma, np.concatenate([g for _, g in parts]), **EXACT)
    best = [case.model.decode(x) for x in case.sequences]
    log_prob, _ = case.model.decode(case.X, case.lengths)
    assert log_prob == pytest.approx(sum(p for p, _ in best), rel=1e-9, abs=1e-9)


@given(drawn(kinds=("categorical",), missing=False))
def test_a_missing_symbol_is_summed_over(case):
    t = len(case.X) // 2
    filled = []
    for symbol in range(SYMBOLS):
        case.X[t] = symbol
        filled.append(case.model.score(case.X))
    case.X[t] = -1
    assert case.model.score(case.X) == pytest.approx(log_sum(np.array(filled)), rel=1e-9, abs=1e-9)


@settings(max_examples=40)
@given(drawn(kinds=("poisson",), missing=False, max_length=3), st.integers(0, 2))
def test_a_missing_count_is_summed_over(case, d):
    d %= case.X.shape[1]
    assume(case.model.lambdas_.max() < 10)
    filled = []
    for count in range(45):
        case.X[-1, d] = count
        filled.append(case.model.score(case.X))
    X = case.X.astype(float)
    X[-1, d] = np.nan
    assert case.model.score(X) == pytest.approx(log_sum(np.array(filled)), rel=1e-9, abs=1e-9)


@settings(max_examples=30)
@given(drawn(kinds=("diag", "full", "tied"), missing=False, max_length=3), st.integers(0, 2))
def test_a_missing_number_is_integrated_over(case, d):
    d %= case.X.shape[1]
    grid = np.linspace(-40, 40, 4001)
    X = np.repeat(case.X[None], len(grid), axis=0)
    X[:, -1, d] = grid
    each = case.model.messages(X.reshape(-1, case.X.shape[1]), [len(case.X)] * len(grid)).forward["z"]
    ends = each.reshape(len(grid), len(case.X), -1)[:, -1]
    with np.errstate(under="ignore"):
        integral = np.trapezoid(np.exp(ends).sum(axis=1), grid)
    assume(grid[1] - grid[0] < 0.2 * np.sqrt(case.model.covars_[:, d, d].min()))
    case.X[-1, d] = np.nan
    assert case.model.score(case.X) == pytest.approx(np.log(integral), rel=1e-6, abs=1e-6)


@settings(max_examples=60)
@given(drawn(sequences=4, max_length=12, n_iter=15, tol=0))
def test_em_never_goes_down(case):
    history = fitted(case).monitor_.history
    assert len(history) >= 2 or case.model.n_iter < 2
    gains = np.diff(history)
    assert (gains >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all()


@settings(max_examples=60)
@given(
    drawn(sequences=4, max_length=12, n_iter=15, tol=0, startprob_prior=2.0, transmat_prior=1.3),
    st.booleans(),
)
def test_em_with_priors_never_goes_down_in_the_posterior(case, from_data):
    kind = type(case.model).__name__.removesuffix("HMM").lower()
    case.model.set_params(**PRIORS[kind])
    if not from_data:
        case.model.set_params(init_params="")
    history = fitted(case).monitor_.history
    assert (np.diff(history) >= -1e-8 * np.maximum(1, np.abs(history[1:]))).all()


@given(drawn(sequences=3, max_length=9, init_params="", n_iter=1, tol=0))
def test_one_iteration_rises_from_where_the_user_started(case):
    before = case.model.score(case.X, case.lengths)
    model = case.model.fit(case.X, case.lengths)
    assert model.monitor_.history == [pytest.approx(before, rel=1e-9, abs=1e-9)]
    assert model.score(case.X, case.lengths) >= before - 1e-8 * max(1, abs(before))


@given(drawn(sequences=3, max_length=9), st.randoms(use_true_random=False))
def test_names_of_states_mean_nothing(case, random):
    order = list(range(case.model.n_components))
    random.shuffle(order)
    log_prob, gamma = case.model.score_samples(case.X, case.lengths)
    renamed = permuted(case.model, order)
    again, moved = renamed.score_samples(case.X, case.lengths)
    assert again == pytest.approx(log_prob, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(moved, gamma[:, order], **EXACT)


@given(drawn(sequences=3, max_length=9, init_params="", n_iter=1, tol=0), st.randoms(use_true_random=False))
def test_learning_commutes_with_renaming_states(case, random):
    order = list(range(case.model.n_components))
    random.shuffle(order)
    renamed = permuted(case.model, order).fit(case.X, case.lengths)
    model = permuted(case.model.fit(case.X, case.lengths), order)
    for name in ("startprob_", "transmat_", *emission_names(model)):
        np.testing.assert_allclose(getattr(renamed, name), getattr(model, name), rtol=1e-7, atol=1e-9)


@settings(max_examples=40)
@given(drawn(sequences=3, max_length=9, n_iter=4, tol=0), st.integers(0, 1000))
def test_one_seed_the_same_bits(case, seed):
    case.model.set_params(random_state=seed)
    first = {n: getattr(fitted(case), n) for n in ("startprob_", "transmat_", *emission_names(case.model))}
    for name, value in first.items():
        np.testing.assert_array_equal(getattr(fitted(case), name), value)


@settings(max_examples=40)
@given(drawn(sequences=3, max_length=9, n_iter=3, tol=0, init_params=""))
def test_missing_rows_at_an_end_teach_nothing(case):
    letters = "s" + "".join(case.model.EMISSION.LETTERS)
    alone, padded = (
        permuted(case.model, range(case.model.n_components)).set_params(params=letters) for _ in "ab"
    )
    alone.fit(case.X, case.lengths)
    nothing = np.full((2, case.X.shape[1]), np.nan)
    padded.fit(np.concatenate([case.X, nothing]), [*case.lengths[:-1], case.lengths[-1] + 2])
    for name in ("startprob_", *emission_names(alone)):
        np.testing.assert_allclose(getattr(padded, name), getattr(alone, name), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_fitting_finds_what_made_the_data(kind, gaps, rng):
    truth = separated(kind)
    X = np.concatenate([truth.sample(400, rng)[0] for _ in range(10)])
    X = with_gaps(X, gaps, rng) if gaps else X
    lengths = [400] * 10
    model = type(truth)(**truth.get_params()).set_params(random_state=1)
    model.fit(X, lengths)
    assert model.score(X, lengths) >= truth.score(X, lengths)
    by = emission_names(truth)[0]
    order = np.argsort(getattr(model, by)[:, 0])
    model = permuted(model, order)
    np.testing.assert_allclose(model.transmat_, truth.transmat_, atol=0.06)
    for name in emission_names(truth):
        np.testing.assert_allclose(getattr(model, name), getattr(truth, name), rtol=0.15, atol=0.15)


def separated(kind):
    """A model of two sticky states whose emissions overlap little."""
    rng = np.random.default_rng(3)
    model = make(kind, 2, 2, rng, tol=1e-4, n_iter=2000)
    model.startprob_, model.transmat_ = np.array([0.6, 0.4]), np.array([[0.9, 0.1], [0.2, 0.8]])
    if kind == "categorical":
        model.emissionprob_ = np.array([[0.05, 0.15, 0.8], [0.7, 0.2, 0.1]])
    elif kind == "poisson":
        model.lambdas_ = np.array([[1.0, 6.0], [5.0, 2.0]])
    else:
        model.means_ = np.array([[-2.0, 0.0], [2.0, 1.0]])
        matrix = np.array([[1.0, 0.4], [0.4, 0.8]])
        model.covars_ = {
            "spherical": [1.0, 0.5],
            "diag": [[1.0, 0.5], [0.6, 0.9]],
            "full": [matrix, [[0.7, -0.3], [-0.3, 0.9]]],
            "tied": matrix,
        }[kind]
    return model


def emission_names(model):
    return {
        CategoricalHMM: ["emissionprob_"],
        PoissonHMM: ["lambdas_"],
        GaussianHMM: ["means_", "covars_"],
    }[type(model)]


def fitted(case):
    """A fresh model of the same settings, fitted from the data."""
    model = type(case.model)(**case.model.get_params())
    if not case.model.init_params:
        model = permuted(case.model, range(case.model.n_components))
    return model.fit(case.X, case.lengths)


def permuted(model, order):
    """The same model with its states in another order."""
    order = list(order)
    other = type(model)(**model.get_params())
    other.startprob_, other.transmat_ = (
        np.asarray(model.startprob_)[order],
        np.asarray(model.transmat_)[order][:, order],
    )
    for name in emission_names(model):
        if name == "covars_":
            own = model._covars_
            other.covars_ = own if model.covariance_type == "tied" else own[order]
        else:
            setattr(other, name, np.asarray(getattr(model, name))[order])
    return other
