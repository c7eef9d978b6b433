"""Estimators of irregular series: rows, answers at any time, settings, files."""

import numpy as np
import pytest
from sklearn.base import clone

import rnn
from msgpass.errors import DataError, NotFittedError, ShapeError
from rnn import IrregularClassifier, IrregularRegressor
from rnn.ode.neural.series import laid_out, read_series

SMALL = {"hidden_size": 6, "hidden_sizes": (8,), "n_iter": 4, "lr": 0.02, "random_state": 0}


def waves(n=30, seed=0, missing=0.0):
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        t = np.sort(rng.uniform(0, 9, rng.integers(9, 16)))
        shift = rng.uniform(0, 6)
        x = np.stack([np.sin(t + shift), 3 + np.cos(t + shift)], axis=1)
        x[rng.random(x.shape) < missing] = np.nan
        found.append((t, x))
    return found


def with_gap():
    return np.array([0.0, 1.0, 6.0]), np.arange(3.0)


def test_rows_are_observations_questions_and_long_gaps():
    series, single = read_series(with_gap())
    rows = laid_out(series, [np.array([7.0, 1.0, 0.5])], 2.0, "plain")
    np.testing.assert_allclose(rows.t[0], [0, 0.5, 1, 1 + 5 / 3, 1 + 10 / 3, 6, 7])
    np.testing.assert_array_equal(rows.x[0, :, 0], [0, np.nan, 1, np.nan, np.nan, 2, np.nan])
    assert single and rows.places[0].tolist() == [0, 2, 5] and rows.asked[0].tolist() == [6, 2, 1]
    two = laid_out([*series, (np.zeros(1), np.ones((1, 1)))], None, 100.0, "list")
    assert two.lengths.tolist() == [3, 1] and two.t[1].tolist() == [0, 0, 0]
    assert two.asked[1].tolist() == [0] and np.isnan(two.x[1, 1:]).all()


def test_answers_are_the_networks(rng):
    X = waves(5, missing=0.3)
    model = IrregularRegressor(**SMALL, longest=100.0).fit(X)
    t, x = X[2]
    scaled = (x - model.x_scale_.mean) / model.x_scale_.deviation
    output, _ = model.network_(scaled[None], (t - model._origin)[None] / model._unit)
    wanted = model.y_scale_.back(model.readout_(output)[0])
    np.testing.assert_allclose(model.predict(X)[2], wanted, rtol=1e-11)
    np.testing.assert_allclose(model.predict(X[2]), wanted, rtol=1e-11)
    np.testing.assert_allclose(model.predict(X[2], t[::-1]), wanted[::-1], rtol=1e-11)


def test_answers_see_the_past_alone():
    X = waves(6)
    model = IrregularRegressor(**SMALL).fit(X)
    t, x = X[0]
    changed = x.copy()
    changed[5:] = 100.0
    before, after = model.predict((t, x)), model.predict((t, changed))
    np.testing.assert_allclose(after[:6], before[:6], rtol=1e-12)
    assert not np.allclose(after[6:], before[6:])
    cut = model.predict((t[:5], x[:5]), t[5:])  # forecasts beyond the end
    np.testing.assert_allclose(cut[0], before[5], rtol=1e-9)


def test_waves_are_forecast_and_further_with_rows_hidden():
    X, new = [(t, x[:, 0]) for t, x in waves(60)], waves(20, seed=1)
    given, ahead = [(t[t < 7], x[t < 7, 0]) for t, x in new], [t[t >= 7] for t, _ in new]
    wanted = np.concatenate([x[t >= 7, 0] for t, x in new])
    model = IrregularRegressor(12, n_iter=50, lr=0.02, dropout=0.3, random_state=0).fit(X)
    assert model.score(given) > 0.7
    found = np.concatenate(model.predict(given, ahead))
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.4  # 0.7 is the deviation


def test_targets_of_its_own_and_missing_ones(rng):
    X = waves(30)
    y = [x[:, 0] - x[:, 1] for _, x in X]
    y[3][2] = np.nan
    model = IrregularRegressor(12, n_iter=30, lr=0.02, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.9 and model.network_.read == "after"
    assert model.predict(X)[1].shape == y[1].shape
    assert model.predict(X, [9.5, 10]).shape == (30, 2)
    with pytest.raises(DataError, match="fitted with targets"):
        model.score(X)
    with pytest.raises(DataError, match="takes none"):
        IrregularRegressor(**SMALL).fit(X).score(X, y)


def test_units_do_not_matter():
    X = waves(8)
    other = [(3600 * t + 1e6, 40 * x - 5) for t, x in X]
    a, b = (IrregularRegressor(**SMALL, time=True).fit(data) for data in (X, other))
    for p, q in zip(a.predict(X), b.predict(other), strict=True):
        np.testing.assert_allclose(40 * p - 5, q, rtol=1e-5)


def test_classes():
    rng = np.random.default_rng(0)
    y = rng.choice(["busy", "calm"], 40)
    X = [(np.cumsum(rng.exponential(0.2 if c == "busy" else 1, 8)), rng.normal(size=8)) for c in y]
    for pooling in ("last", "mean", "max"):
        model = IrregularClassifier(8, n_iter=30, lr=0.03, pooling=pooling, random_state=0).fit(X, y)
        assert model.score(X, y) > 0.85
    p = model.predict_proba(X)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (model.classes_[p.argmax(axis=1)] == model.predict(X)).all()


@pytest.mark.parametrize("kind", [IrregularRegressor, IrregularClassifier])
def test_sklearns_conventions_and_files(kind, tmp_path):
    X, y = waves(12, missing=0.2), np.arange(12) % 2
    more = () if kind is IrregularRegressor else (y,)
    settings = SMALL | {"hidden_sizes": [5, 4], "steps": 2, "optimizer": "lbfgs", "dtype": "float32"}
    model = kind(**settings)
    assert model.get_params()["hidden_sizes"] == [5, 4]
    model = clone(model).fit(X, *more)
    again = clone(model).fit(X, *more)
    model.save(tmp_path / "model.safetensors")
    kept = rnn.load(tmp_path / "model.safetensors")
    assert kept.get_params() == model.get_params()
    for a, b, c in zip(*(m.predict(X) for m in (model, again, kept)), strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a, c)
    m = model.messages(X, y if more else None)
    assert m.parameters["field.weight_0"].shape == (5, 6)
    with pytest.raises(NotFittedError):
        kind().predict(X)
    partial = kind(**(settings | {"optimizer": "adam"})).partial_fit(X, *more).partial_fit(X, *more)
    assert partial.history_.updates >= 1


def test_validation_and_batches():
    model = IrregularRegressor(**SMALL, validation=0.25, patience=2, batch_size=5)
    with pytest.warns(UserWarning, match="n_iter"):
        model.fit(waves(20))
    assert len(model.history_.validation) == 4
    given = IrregularRegressor(**SMALL).fit(waves(9), validation_data=(waves(4, seed=2),))
    assert len(given.history_.validation) == 4


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        ([], DataError, "at least one"),
        ([np.ones((3, 2))], DataError, "series 0 is ndarray"),
        ([(np.arange(3), np.ones((4, 2)))], ShapeError, "series 0"),
        ([([0, 1, 1], np.ones(3))], DataError, r"t\[1\] = 1 is followed by 1"),
        ([([0, np.nan], np.ones(2))], DataError, "t of series 0 holds NaN"),
        ([([0, 1], [1, np.inf])], DataError, "infinite"),
        ([([0, 1], np.ones(2)), ([0, 1], np.ones((2, 2)))], ShapeError, "series 1 has 2 features"),
        ([([0, 1], ["a", "b"])], DataError, "x of series 0 is not an array"),
        ([([0, 1], [np.nan, np.nan])], DataError, "NaN and nothing else"),
    ],
)
def test_series_that_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        IrregularRegressor(**SMALL).fit(X)


def test_questions_that_are_refused():
    X = waves(3)
    model = IrregularRegressor(**SMALL).fit(X)
    with pytest.raises(DataError, match="before it"):
        model.predict(X, [-1.0, 5.0])
    with pytest.raises(ShapeError, match="t has 2 arrays"):
        model.predict(X, [[9.0], [9.0]])
    with pytest.raises(DataError, match="asked of series 0 hold NaN"):
        model.predict(X, [np.nan])
    with pytest.raises(ShapeError, match="expecting 2 features"):
        model.predict((np.arange(3.0), np.ones(3)))
    with pytest.raises(ShapeError, match="y of series 1"):
        IrregularRegressor(**SMALL).fit(X, [np.ones(len(X[0][0])), np.ones(2), np.ones(2)])
    with pytest.raises(DataError, match="longest"):
        IrregularRegressor(longest=0).fit(X)


def test_gaps_beyond_reach_are_refused():
    model = IrregularRegressor(**SMALL).fit(waves())
    with pytest.raises(DataError, match=r"series 0 has a gap of .* raise longest="):
        model.predict(waves(), [1e9])
    with pytest.raises(DataError, match="series 1 has a gap"):
        IrregularRegressor(**SMALL).fit(
            [([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]), ([0.0, 1.0, 1e7], [1.0, 2.0, 3.0])]
        )


def test_masked_values_are_missing():
    t, x = np.arange(4.0), np.array([1.0, 50.0, 2.0, 3.0])
    masked = np.ma.masked_array(x, [False, True, False, False])
    (_, found), *_ = read_series([(t, masked)])[0]
    np.testing.assert_array_equal(found[:, 0], [1, np.nan, 2, 3])


def test_numbers_that_are_too_large_or_not_there():
    with pytest.raises(DataError, match="standard deviation is infinite"):
        IrregularRegressor(**SMALL).fit([([0.0, 1.0], [1e300, -1e300])])
    with pytest.raises(DataError, match="hidden_sizes is a sequence"):
        IrregularRegressor(**SMALL).set_params(hidden_sizes=3).fit(waves())
    model = IrregularRegressor(**SMALL).fit(waves())
    with pytest.raises(DataError, match="no target is there"):
        model.score([(np.arange(3.0), np.full((3, 2), np.nan))])
