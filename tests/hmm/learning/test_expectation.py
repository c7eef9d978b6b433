"""Weights are worth repetitions; labels clamp."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hmm
from msgpass.errors import DataError, ImpossibleEvidenceError, ShapeError
from tests.hmm import drawn as first
from tests.hmm import kinds as others
from tests.hmm.enumeration import log_sum
from tests.hmm.test_models_laws import every_path

KINDS = (*first.KINDS, *others.KINDS)
pytestmark = pytest.mark.filterwarnings("ignore::msgpass.errors.ConvergenceWarning")


def case(kind, K, rng, lengths, **settings):
    module = first if kind in first.KINDS else others
    model = module.make(kind, K, 2, rng, init_params="", **settings)
    return model, np.concatenate([others.rows(model, n, rng) for n in lengths])


def parameters(model):
    return (
        others.parameters(model)
        if not isinstance(model, hmm.GaussianHMM)
        else [model.startprob_, model.transmat_, model.means_, model._covars_]
    )


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_weight_is_a_repetition(kind, seed):
    rng = np.random.default_rng(seed)
    lengths = [60, 40, 70, 50]  # enough that no floor is met, for floors are relative to all rows
    model, X = case(kind, 2, rng, lengths, n_iter=3, tol=-1.0)
    weights = rng.integers(1, 4, 4)
    weights[rng.integers(4)] = 2
    parts = np.split(X, np.cumsum(lengths)[:-1])
    repeated = [part for part, n in zip(parts, weights, strict=True) for _ in range(n)]
    other = others.permuted(model, range(2)) if kind in others.KINDS else _copy(model)
    model.fit(X, lengths=lengths, weights=weights)
    other.fit(repeated if len(repeated) > 1 else repeated[0])
    searched = kind.startswith("scipy")  # its M-step is a search, here and there along a flat ridge
    np.testing.assert_allclose(
        model.monitor_.history, other.monitor_.history, rtol=1e-5 if searched else 1e-8
    )
    for one, two in zip(parameters(model), parameters(other), strict=True):
        if not searched:
            np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


def test_a_weight_of_zero_leaves_a_sequence_out(rng):
    X = rng.poisson(np.repeat([2, 9, 30], 50)).reshape(-1, 1)
    one = hmm.PoissonHMM(2, random_state=0, n_iter=5, tol=0, init_params="s")
    one.transmat_, one.lambdas_ = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([[1.0], [8.0]])
    two = _copy(one)
    one.fit(X, lengths=[50, 50, 50], weights=[1, 2.5, 0])
    two.fit(X[:100], lengths=[50, 50], weights=[1, 2.5])
    np.testing.assert_allclose(one.lambdas_, two.lambdas_, rtol=1e-12)
    np.testing.assert_allclose(one.monitor_.history, two.monitor_.history, rtol=1e-12)


def _copy(model):
    import copy

    return copy.deepcopy(model)


@pytest.mark.parametrize("kind", KINDS)
def test_labels_leave_the_paths_that_agree_with_them(kind, rng):
    model, X = case(kind, 3, rng, [5], n_iter=1, tol=-1.0)
    paths, scores = every_path(model, X) if kind in others.KINDS else _first_paths(model, X)
    labels = np.array([-1, 2, -1, 0, -1])
    agree = ((paths == labels) | (labels < 0)).all(axis=1)
    assert model.fit(X, labels=labels).monitor_.history[0] == pytest.approx(log_sum(scores[agree]), rel=1e-9)


def _first_paths(model, X):
    from tests.hmm.enumeration import every_path

    return every_path(model, X)


def test_all_labels_known_is_counting(rng):
    path, X = rng.integers(0, 2, 50), rng.integers(0, 3, (50, 1))
    model = hmm.CategoricalHMM(2, n_features=3, random_state=0).fit(X, labels=path)
    pairs = np.zeros((2, 2))
    np.add.at(pairs, (path[:-1], path[1:]), 1)
    symbols = np.zeros((2, 3))
    np.add.at(symbols, (path, X[:, 0]), 1)
    np.testing.assert_allclose(model.transmat_, pairs / pairs.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(model.emissionprob_, symbols / symbols.sum(axis=1, keepdims=True))
    np.testing.assert_allclose(model.startprob_, np.eye(2)[path[0]])


def test_labels_come_as_the_sequences_do(rng):
    X, labels = rng.integers(0, 3, (9, 1)), np.array([0, -1, 1, -1, 0, 0, -1, 1, 1])
    whole, parts = (hmm.CategoricalHMM(2, n_features=3, random_state=0, n_iter=3, tol=0) for _ in "ab")
    whole.fit(X, lengths=[4, 5], labels=labels)
    parts.fit([X[:4], X[4:]], labels=[labels[:4], labels[4:]])
    assert parts.monitor_.history == whole.monitor_.history


def test_a_few_labels_name_the_states(rng):
    truth = np.repeat([0, 1, 0, 1], 50)
    X = rng.normal(np.where(truth, -4.0, 4.0), 1)[:, None]
    labels = np.full(200, -1)
    labels[[10, 60]] = 0, 1
    for seed in range(4):
        model = hmm.GaussianHMM(2, random_state=seed).fit(X, labels=labels)
        assert (model.predict(X) == truth).mean() > 0.99


def test_labels_that_cannot_be(rng):
    model, X = case("poisson", 2, rng, [5], n_iter=1)
    model.transmat_ = np.array([[1.0, 0.0], [0.5, 0.5]])
    with pytest.raises(ImpossibleEvidenceError):
        model.fit(X, labels=[0, 1, -1, -1, -1])


@pytest.mark.parametrize(
    ("given_", "error", "says"),
    [
        ({"labels": [0, 1]}, ShapeError, "one for each row"),
        ({"labels": [0, 2, 0, 0, 0, 0]}, DataError, "row 1; states run from 0 to 1"),
        ({"labels": list("abcdef")}, DataError, "−1 where unknown"),
        ({"weights": [1, 2, 3]}, ShapeError, "one for each of the 2 sequences"),
        ({"weights": [1, -2]}, DataError, "not negative"),
        ({"weights": [0, 0]}, DataError, "not all zero"),
        ({"weights": [np.nan, 1]}, DataError, "finite"),
    ],
)
def test_what_is_refused(given_, error, says, rng):
    with pytest.raises(error, match=says):
        hmm.PoissonHMM(2).fit(rng.poisson(3, (6, 1)), lengths=[4, 2], **given_)
