"""scikit-learn's manners: its own checks, frames, pipelines, searches, and what the second argument means."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from hmm import (
    CategoricalHMM,
    GaussianHMM,
    PoissonHMM,
    VariationalCategoricalHMM,
    VariationalGaussianHMM,
)
from hmm.sequences import end_to_end, lengths_or_target
from msgpass.errors import DataError, MessagePassingError, ShapeError
from tests.hmm.drawn import make

FAST = {"n_iter": 3, "tol": 0, "random_state": 0}

ORDER = {
    "check_methods_sample_order_invariance": "rows are steps of a sequence: their order is what is modelled",
    "check_methods_subset_invariance": "a row's posterior depends on the rows around it",
    "check_dtype_object": "wants a TypeError for an array of dicts; ours is a DataError, a ValueError",
}
REAL_MATRICES = "feeds matrices of real numbers; symbols are one column of whole numbers from 0"
SYMBOLS = ORDER | dict.fromkeys(
    [
        "check_fit_score_takes_y",
        "check_estimators_overwrite_params",
        "check_dont_overwrite_parameters",
        "check_estimators_fit_returns_self",
        "check_readonly_memmap_input",
        "check_n_features_in_after_fitting",
        "check_positive_only_tag_during_fit",
        "check_estimators_dtypes",
        "check_pipeline_consistency",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_fit2d_1sample",
        "check_fit2d_1feature",
        "check_dict_unchanged",
        "check_fit_idempotent",
        "check_fit_check_is_fitted",
        "check_n_features_in",
        "check_fit2d_predict1d",
    ],
    REAL_MATRICES,
)

BATCHES = ORDER | dict.fromkeys(
    ["check_fit_score_takes_y", "check_n_features_in_after_fitting"],
    "partial_fit is refused: posteriors are not learned from batches",
)


class RoundedPoissonHMM(PoissonHMM):
    """Takes the checks' real numbers for counts, so that everything else is checked."""

    FLAT = False  # the checks want (T,) refused

    def check_data(self, X):
        return super().check_data(np.abs(np.round(X)))


@pytest.mark.parametrize(
    ("model", "failing"),
    [
        (GaussianHMM(2, **FAST), ORDER),
        (GaussianHMM(2, covariance_type="full", **FAST), ORDER),
        (RoundedPoissonHMM(2, **FAST), ORDER),
        (CategoricalHMM(2, **FAST), SYMBOLS),
        (VariationalCategoricalHMM(2, **FAST), SYMBOLS),
        (VariationalGaussianHMM(2, **FAST), BATCHES),
        (VariationalGaussianHMM(2, covariance_type="diag", **FAST), BATCHES),
    ],
    ids=["diag", "full", "poisson", "categorical", "variational symbols", "variational", "variational diag"],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of scikit-learn, about names that only one side has
def test_scikit_learns_own_checks(model, failing):
    found = check_estimator(model, expected_failed_checks=failing, on_fail=None, on_skip=None)
    assert len(found) > 35
    status = {(r["check_name"], r["status"]): r["exception"] for r in found}
    assert not [(name, problem) for (name, state), problem in status.items() if state == "failed"]
    assert {name for name, state in status if state == "xfail"} == set(failing), "a check passes by now"
    # The array API is skipped unless SCIPY_ARRAY_API is set.
    assert {name for name, state in status if state == "skipped"} <= {"check_array_api_input"}


# -- lists and lengths ---------------------------------------------------------------------------------


@pytest.fixture
def parts(rng):
    model = make("diag", 2, 2, rng)
    return [model.sample(n, rng)[0] for n in (9, 1, 12, 7)]


def parameters(model):
    return [model.startprob_, model.transmat_, model.means_, model.covars_]


def test_every_way_to_say_lengths_is_the_same(parts):
    X, lengths = np.concatenate(parts), [len(p) for p in parts]
    fits = [
        GaussianHMM(2, **FAST).fit(X, lengths),
        GaussianHMM(2, **FAST).fit(X, lengths=lengths),
        GaussianHMM(2, **FAST).fit(X, None, lengths),
        GaussianHMM(2, **FAST).fit(X, np.array(lengths)),
        GaussianHMM(2, **FAST).fit(X, y=np.zeros(len(X)), lengths=lengths),
        GaussianHMM(2, **FAST).fit(parts),
        GaussianHMM(2, **FAST).fit(tuple(parts)),
        GaussianHMM(2, **FAST).fit(parts, np.zeros(len(X))),
    ]
    for other in fits[1:]:
        for left, right in zip(parameters(fits[0]), parameters(other), strict=True):
            np.testing.assert_array_equal(left, right)
    assert fits[0].score(X, lengths) == fits[0].score(X, lengths=lengths) == fits[0].score(parts)


@pytest.mark.parametrize(
    "target", [np.arange(29), np.zeros(29), np.full(29, 0.5), ["a"] * 29, np.ones((29, 1)), None]
)
def test_targets_are_ignored(parts, target):
    X = np.concatenate(parts)
    plain, other = GaussianHMM(2, **FAST).fit(X), GaussianHMM(2, **FAST).fit(X, target)
    np.testing.assert_array_equal(plain.means_, other.means_)
    assert plain.score(X) == plain.score(X, target) == plain.score(X, y=target)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_lengths_are_recognised(lengths):
    assert list(lengths_or_target(lengths, None, sum(lengths))) == lengths


def test_ones_for_every_row_are_lengths():
    assert lengths_or_target([1, 1, 1], None, 3).tolist() == [1, 1, 1]
    assert lengths_or_target([1.0, 1.0, 1.0], None, 3) is None


@pytest.mark.parametrize("second", [[3, 4], [29, 0], [14.5, 14.5], [], 7, "abc"])
def test_neither_lengths_nor_a_target(parts, second):
    X = np.concatenate(parts)
    for call in (GaussianHMM(2, **FAST).fit, GaussianHMM(2, **FAST).fit(X).score):
        with pytest.raises(ShapeError, match="lengths"):
            call(X, second)


def test_lists_of_sequences(parts):
    X, lengths = end_to_end(parts, None)
    assert lengths == [9, 1, 12, 7] and X.shape == (29, 2)
    rows = [np.array([1.0, 2.0]), np.array([3.0, 4.0])]
    assert end_to_end(rows, None)[1] is None
    assert end_to_end([[1.0], [2.0]], None)[1] is None
    symbols, lengths = end_to_end([np.array([0, 1, 2]), np.array([1])], None, flat=True)
    assert symbols.ravel().tolist() == [0, 1, 2, 1] and lengths == [3, 1]
    model = CategoricalHMM(2, **FAST).fit([np.array([0, 1, 2, 0]), np.array([1, 0])])
    assert model.predict([np.array([0, 1, 2, 0]), np.array([1, 0])]).shape == (6,)


@pytest.mark.parametrize(
    ("X", "lengths", "error", "text"),
    [
        ([np.zeros((2, 1)), np.zeros((3, 2))], None, ShapeError, "1, 2 columns"),
        ([np.zeros((2, 1)), np.zeros((0, 1))], None, ShapeError, "sequence 1 is empty"),
        ([np.zeros((2, 1)), np.zeros((3, 1))], [2, 3], DataError, "leave them out"),
    ],
)
def test_lists_that_do_not_fit_together(X, lengths, error, text):
    with pytest.raises(error, match=text):
        GaussianHMM(1).fit(X, lengths=lengths)


def test_cross_validation_over_sequences(rng):
    truth = make("poisson", 2, 1, rng)
    truth.lambdas_ = [[1.0], [9.0]]
    sequences = [truth.sample(30, rng)[0] for _ in range(6)]
    search = GridSearchCV(PoissonHMM(**FAST), {"n_components": [1, 2]}, cv=KFold(3)).fit(sequences)
    assert search.best_params_ == {"n_components": 2}
    by_hand = PoissonHMM(2, **FAST).fit(sequences[2:]).score(sequences[:2])
    assert search.cv_results_["split0_test_score"][1] == by_hand


def test_pipelines_and_searches_with_a_target(parts):
    X = np.concatenate(parts)
    piped = make_pipeline(StandardScaler(), GaussianHMM(2, **FAST))
    assert piped.fit(X, np.arange(len(X))).predict(X).shape == (29,)
    lengths = [len(p) for p in parts]
    piped.fit(X, gaussianhmm__lengths=lengths)
    alone = GaussianHMM(2, **FAST).fit(StandardScaler().fit_transform(X), lengths)
    np.testing.assert_array_equal(piped[-1].means_, alone.means_)
    assert len(cross_val_score(GaussianHMM(1, **FAST), X, np.arange(len(X)), cv=3)) == 3


# -- frames --------------------------------------------------------------------------------------------


@pytest.fixture(params=["pandas", "polars"])
def frames(request):
    return pytest.importorskip(request.param)


@pytest.fixture
def columns(rng):
    model = make("diag", 2, 2, rng)
    X = model.sample(20, rng)[0]
    return {"warm": X[:, 0], "cold": X[:, 1]}


def test_frames_are_arrays_with_names(frames, columns):
    X = np.column_stack(list(columns.values()))
    frame = frames.DataFrame(columns)
    plain, named = GaussianHMM(2, **FAST).fit(X), GaussianHMM(2, **FAST).fit(frame)
    np.testing.assert_array_equal(plain.means_, named.means_)
    assert named.feature_names_in_.tolist() == ["warm", "cold"] and named.n_features_in_ == 2
    assert not hasattr(plain, "feature_names_in_")
    np.testing.assert_array_equal(named.predict(frame), plain.predict(X))
    assert named.score([frame, frame]) == plain.score([X, X])
    assert not hasattr(named.fit(X), "feature_names_in_")


def test_other_columns_are_refused(frames, columns):
    model = GaussianHMM(2, **FAST).fit(frames.DataFrame(columns))
    swapped = frames.DataFrame({"cold": columns["cold"], "warm": columns["warm"]})
    with pytest.raises(DataError, match="same order"):
        model.score(swapped)
    other = frames.DataFrame({"warm": columns["warm"], "dry": columns["cold"]})
    with pytest.raises(DataError, match=r"(?s)unseen at fit time:.*dry.*missing:.*cold"):
        model.predict(other)


def test_missing_values_of_frames_are_nan(frames, rng):
    X = rng.poisson(4, (20, 2)).astype(float)
    X[3, 0] = np.nan
    lists = [[None if np.isnan(v) else int(v) for v in column] for column in X.T]
    frame = frames.DataFrame({"a": lists[0], "b": lists[1]})
    if frames.__name__ == "pandas":
        frame = frame.astype("Int64")
    np.testing.assert_array_equal(
        PoissonHMM(2, **FAST).fit(frame).lambdas_, PoissonHMM(2, **FAST).fit(X).lambdas_
    )


def test_frames_of_text_are_refused(frames):
    with pytest.raises(DataError, match="numbers"):
        GaussianHMM(1).fit(frames.DataFrame({"a": ["x", "y"]}))


# -- anything at all -----------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers(-9, 10**20) | st.floats() | st.text(max_size=3)
things = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.tuples(inner, inner), max_leaves=12
)


@settings(max_examples=150)
@given(things, things, st.sampled_from([GaussianHMM, PoissonHMM, CategoricalHMM]))
@pytest.mark.filterwarnings("ignore:EM stopped", "ignore:overflow", "ignore:invalid value")
def test_whatever_is_given_is_fitted_or_refused(X, second, Model):
    model = Model(1, n_iter=1)
    try:
        model.fit(X, second)
        assert np.isfinite(model.transmat_).all()
        assert model.score(X, second) <= np.inf
    except MessagePassingError:
        pass
