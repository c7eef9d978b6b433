"""scikit-learn's manners: its own checks, clones, pipelines, searches, frames."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from rnn import SequenceClassifier, SequenceRegressor, SequenceTagger

ORDER = {
    "check_methods_sample_order_invariance": "rows are steps of a sequence: their order is what is modelled",
    "check_methods_subset_invariance": "a row's answer depends on the rows around it",
}
FAST = {"hidden_size": 8, "cell": "gru", "lr": 0.05, "random_state": 0}
CHECKED = [
    (SequenceClassifier(n_iter=30, **FAST), {}),
    (SequenceRegressor(n_iter=30, pooling="mean", **FAST), {}),
    (SequenceRegressor(n_iter=120, **FAST), ORDER),
    (SequenceTagger(n_iter=120, **FAST), ORDER),
]


@pytest.mark.parametrize(
    ("model", "failing"), CHECKED, ids=["classifier", "regressor of sequences", "regressor", "tagger"]
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of scikit-learn, about names that only one side has
def test_scikit_learns_own_checks(model, failing):
    found = check_estimator(model, expected_failed_checks=failing, on_fail=None, on_skip=None)
    assert len(found) > 40
    status = {(r["check_name"], r["status"]): r["exception"] for r in found}
    assert not [(name, problem) for (name, state), problem in status.items() if state == "failed"]
    assert {name for name, state in status if state == "xfail"} == set(failing), "a check passes by now"


@pytest.mark.parametrize("Model", [SequenceClassifier, SequenceRegressor, SequenceTagger])
def test_constructors_only_store(Model):
    settings = {"hidden_size": object(), "cell": object(), "n_iter": object(), "random_state": object()}
    model = Model(**settings)
    assert all(getattr(model, name) is value for name, value in settings.items())
    assert set(model.get_params()) == set(vars(model))
    copy = clone(Model(3, lr=0.5)).set_params(hidden_size=4)
    assert (copy.hidden_size, copy.lr) == (4, 0.5)


def test_pipelines_searches_and_cross_validation(rng):
    X = rng.normal(size=(40, 6))
    y = (X.mean(axis=1) > 0).astype(int)
    piped = make_pipeline(StandardScaler(), SequenceClassifier(n_iter=20, **FAST)).fit(X, y)
    assert piped.score(X, y) > 0.8
    search = GridSearchCV(
        SequenceClassifier(n_iter=5, **FAST), {"hidden_size": [2, 4], "pooling": ["last", "max"]}, cv=KFold(2)
    ).fit(X[..., None], y)
    assert search.best_params_["hidden_size"] in (2, 4)
    assert len(cross_val_score(SequenceRegressor(n_iter=2, pooling="last", **FAST), X, X[:, 0], cv=2)) == 2


def test_lists_are_searched_by_sequence(rng):
    X = [rng.normal(size=(n, 1)) for n in rng.integers(2, 9, 20)]
    y = [np.cumsum(x) > 0 for x in X]
    search = GridSearchCV(SequenceTagger(n_iter=4, **FAST), {"crf": [False, True]}, cv=KFold(2)).fit(X, y)
    by_hand = SequenceTagger(n_iter=4, crf=True, **FAST).fit(X[10:], y[10:]).score(X[:10], y[:10])
    assert search.cv_results_["split0_test_score"][1] == by_hand


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_are_arrays_with_names(library, rng):
    frames = pytest.importorskip(library)
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    frame = frames.DataFrame({"warm": X[:, 0], "cold": X[:, 1]})
    model, plain = (SequenceRegressor(n_iter=2, **FAST).fit(data, y) for data in (frame, X))
    assert model.feature_names_in_.tolist() == ["warm", "cold"] and not hasattr(plain, "feature_names_in_")
    np.testing.assert_array_equal(model.predict(frame), plain.predict(X))
    swapped = frames.DataFrame({"cold": X[:, 1], "warm": X[:, 0]})
    with pytest.raises(ValueError, match="order"):
        model.predict(swapped)
