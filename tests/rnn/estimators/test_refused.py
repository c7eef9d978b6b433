"""What is refused leaves an estimator as it was; what stands beyond a sequence's end is not read."""

import numpy as np
import pytest

from msgpass.errors import DataError, MessagePassingError, NumericalError, ShapeError, UnsupportedError
from rnn import SequenceClassifier, SequenceRegressor, SequenceTagger
from rnn.estimators.base import UnfittedError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5, 2))
Y = (X[..., 0].sum(axis=1) > 0).astype(int)


def small(**settings):
    return SequenceClassifier(3, "rnn", n_iter=2, random_state=0, **settings)


@pytest.mark.parametrize(
    "data",
    [
        (X * 100, np.where(Y > 0, np.nan, 0.0)),
        (np.concatenate([X, X], axis=-1), Y[:3]),
        (np.where(X > 2, np.nan, X), Y),
        (X[..., :1], np.array(["a", "b"] * 6), None, (X, Y)),
    ],
)
def test_a_refused_fit_leaves_the_fitted_model(data):
    model = small().fit(X, Y)
    before = model.predict_proba(X)
    with pytest.raises(MessagePassingError):
        model.fit(*data)
    np.testing.assert_array_equal(model.predict_proba(X), before)


def test_a_first_fit_that_is_refused_leaves_nothing_fitted():
    model = small(lr=-1.0)
    with pytest.raises(DataError, match="lr must be"):
        model.fit(X, Y)
    with pytest.raises(UnfittedError):
        model.predict(X)


def test_a_first_fit_that_diverges_leaves_nothing_fitted():
    model = SequenceRegressor(
        3, "rnn", optimizer="sgd", lr=1e200, n_iter=50, tol=1e-4, random_state=0, scale=False
    )
    with pytest.raises(NumericalError, match="sgd"):
        model.fit(X, X)
    with pytest.raises(UnfittedError):
        model.predict(X)


def test_checkpoints_are_not_mixed_with_going_on_from_the_present_weights(tmp_path):
    model = small(checkpoint=tmp_path / "fit.safetensors", warm_start=True).fit(X, Y)
    with pytest.raises(UnsupportedError, match="leave one of them out"):
        model.fit(X, Y)
    with pytest.raises(UnsupportedError, match="keeps no checkpoint"):
        model.partial_fit(X, Y)


def test_padding_may_hold_anything():
    lengths = np.array([3, 5] * 6)
    beyond = (np.arange(5) >= lengths[:, None])[..., None]
    model, other = (small().fit(np.where(beyond, pad, X), Y, lengths=lengths) for pad in (np.nan, 0.0))
    padded = np.where(beyond, np.inf, X)
    np.testing.assert_array_equal(
        model.predict_proba(padded, lengths=lengths), other.predict_proba(X, lengths=lengths)
    )
    with pytest.raises(DataError, match=r"NaN at \[0, 2, 0\]"):
        small().fit(np.where(np.arange(5)[:, None] == 2, np.nan, X), Y, lengths=lengths)


def test_data_of_other_forms_are_refused_by_name():
    with pytest.raises(DataError, match="X is an empty list"):
        small().fit([], [])
    with pytest.raises(ShapeError, match="y of sequence 0 has shape"):
        SequenceTagger(3, n_iter=1).fit(X, Y)
    tags = (X[..., 0] > 0).astype(float)
    model = SequenceTagger(3, n_iter=1, random_state=0).fit(X, tags)
    with pytest.raises(DataError, match="every one of them is NaN"):
        model.score(X, np.full(tags.shape, np.nan))


def test_sequences_need_an_axis_of_features():
    with pytest.raises(ShapeError, match=r"part\[:, None\]"):
        small().fit([np.zeros(3), np.zeros(4)], [0, 1])
    rows = [np.arange(4.0), np.arange(4.0)]
    with pytest.raises(ShapeError, match=r"part\[:, None\]"):  # not two steps of four features
        SequenceRegressor(3, n_iter=1).fit(rows, rows)
    assert SequenceRegressor(3, n_iter=1).fit(np.array(rows), np.array(rows)).n_features_in_ == 4
