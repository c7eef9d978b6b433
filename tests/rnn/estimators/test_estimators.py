"""Sequence estimators: every form of data is the same data, and answers are those of the network inside."""

import json

import numpy as np
import pytest

import rnn
from msgpass import Truncated, files
from msgpass.errors import DataError, MessagePassingError, NotFittedError, ShapeError, UnsupportedError
from rnn import SequenceClassifier, SequenceRegressor, SequenceTagger
from rnn.learning_rates import Cosine, Warmup
from rnn.optimizers import Adam

FAST = {"hidden_size": 4, "n_iter": 3, "lr": 0.03, "random_state": 0}
LENGTHS = np.array([5, 2, 7, 1, 4, 7])


@pytest.fixture
def sequences(rng):
    """(X, y by step, label by step, y by sequence), six ragged sequences with two features."""
    X = [rng.normal(size=(n, 2)) + 5 for n in LENGTHS]
    return X, [x.sum(axis=1) for x in X], [np.where(x[:, 0] > 5, "a", "b") for x in X], np.arange(6) % 3


def padded(parts, missing=0.0):
    found = np.full((len(parts), 7, *parts[0].shape[1:]), missing, parts[0].dtype)
    for row, part in zip(found, parts, strict=True):
        row[: len(part)] = part
    return found


@pytest.mark.parametrize("crf", [False, True])
def test_every_form_is_the_same_data(sequences, crf):
    X, y, tags, _ = sequences
    flat = np.concatenate(X)
    for Model, target, more in ((SequenceRegressor, y, {}), (SequenceTagger, tags, {"crf": crf})):
        lists = Model(**FAST, **more).fit(X, target)
        flats = Model(**FAST, **more).fit(flat, np.concatenate(target), lengths=LENGTHS)
        filler = np.full((6, 7, 2), 1e6)  # what lies beyond an end is not read
        for row, part in zip(filler, X, strict=True):
            row[: len(part)] = part
        arrays = Model(**FAST, **more).fit(filler, padded(target), lengths=LENGTHS)
        for other in (flats, arrays):
            assert other.history_.losses == lists.history_.losses
        found = lists.predict(X)
        assert [len(part) for part in found] == LENGTHS.tolist()
        assert (np.concatenate(found) == flats.predict(flat, LENGTHS)).all()
        assert all((a == b).all() for a, b in zip(found, arrays.predict(filler, LENGTHS), strict=True))
        scores = lists.score(X, target), flats.score(flat, np.concatenate(target), LENGTHS)
        assert scores[0] == scores[1] == arrays.score(filler, padded(target), LENGTHS)


def test_equal_lengths_keep_their_shape(rng):
    X = rng.normal(size=(5, 6, 2))
    assert SequenceRegressor(**FAST).fit(X, X[..., :1]).predict(X).shape == (5, 6, 1)
    assert SequenceRegressor(**FAST).fit(X, X[..., 0]).predict(X).shape == (5, 6)
    assert SequenceRegressor(**FAST, pooling="mean").fit(X, X[:, 0]).predict(X).shape == (5, 2)
    tagger = SequenceTagger(**FAST).fit(X, X[..., 0] > 0)
    assert tagger.predict(X).shape == (5, 6) and tagger.predict_proba(X).shape == (5, 6, 2)
    plain = SequenceTagger(**FAST).fit(X[0], X[0, :, 0] > 0)
    assert plain.predict(X[0]).shape == (6,) and plain.predict_proba(X[0]).shape == (6, 2)


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_answers_are_those_of_the_network(sequences, cell, pooling):
    X, _, _, labels = sequences
    model = SequenceClassifier(**FAST, cell=cell, pooling=pooling, bidirectional=True, num_layers=2).fit(
        X, labels
    )
    rows = []
    for x in X:
        output, state = model.network_(model.x_scale_.there(x)[None])
        h_n = state[0] if isinstance(state, tuple) else state
        last = np.concatenate([h_n[-2], h_n[-1]], axis=-1)
        rows.append({"last": last, "mean": output.mean(axis=1), "max": output.max(axis=1)}[pooling])
    logits = model.readout_(np.concatenate(rows))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), p, rtol=1e-9)
    assert (model.predict(X) == model.classes_[logits.argmax(axis=1)]).all()


def test_messages_are_the_run_behind_the_fit(sequences):
    X, y, tags, labels = sequences
    for model, target in (
        (SequenceClassifier(**FAST), labels),
        (SequenceRegressor(**FAST), y),
        (SequenceTagger(**FAST), tags),
        (SequenceTagger(**FAST, crf=True), tags),
    ):
        m = model.fit(X, target).messages(X, target)
        assert m.gradient["h_l0"].shape == (7, 6, 4) and "readout.weight" in m.parameters
    m = SequenceTagger(**FAST, crf=True).fit(X, tags).messages(X, tags)
    assert m.belief["tags"].shape[:2] == (7, 6)
    p = SequenceClassifier(**FAST).fit(X, labels)
    nll = -np.log(p.predict_proba(X)[np.arange(6), labels]).sum()
    assert p.messages(X, labels).total == pytest.approx(nll, rel=1e-9)
    assert p.messages(X, labels, schedule=Truncated(1, 2)).total == pytest.approx(nll, rel=1e-9)


def test_scaling_is_undone(rng):
    X = rng.normal(size=(20, 8, 1))
    y = np.cumsum(X, axis=1)
    answers = []
    for unit, shift in ((1.0, 0.0), (1e4, -300.0)):
        model = SequenceRegressor(**FAST).fit(unit * X + shift, unit * y + 7 * shift)
        answers.append((model.predict(unit * X + shift) - 7 * shift) / unit)
    np.testing.assert_allclose(answers[0], answers[1], rtol=1e-6, atol=1e-8)
    raw = SequenceRegressor(**FAST, scale=False).fit(X, y)
    np.testing.assert_array_equal(raw.predict(X), raw.readout_(raw.network_(X)[0]))


def test_missing_targets_do_not_count(sequences):
    X, y, tags, _ = sequences
    holes = [np.where(np.arange(len(part)) % 2, np.nan, part) for part in y]
    other = [np.where(np.arange(len(part)) % 2, 1e9, part) for part in y]
    model = SequenceRegressor(**FAST).fit(X, holes)
    assert np.isfinite(np.concatenate(model.predict(X))).all() and np.isfinite(model.score(X, holes))
    assert model.history_.losses != SequenceRegressor(**FAST).fit(X, other).history_.losses
    numbers = [np.where(np.arange(len(t)) % 2, np.nan, t == "a") for t in tags]
    for crf in (False, True):
        tagger = SequenceTagger(**FAST, crf=crf).fit(X, numbers)
        assert tagger.classes_.tolist() == [0.0, 1.0] and 0 <= tagger.score(X, numbers) <= 1


def test_tokens_are_embedded(rng):
    X = [rng.integers(0, 6, n) for n in rng.integers(2, 9, 40)]
    tags = [np.roll(x, 1) % 2 for x in X]
    model = SequenceTagger(8, embedding=5, n_iter=60, lr=0.03, random_state=0).fit(X, tags)
    assert model.score(X, tags) > 0.9 and model.n_tokens_ == 6
    counts = np.array([(x == 3).any() for x in X])
    found = SequenceClassifier(8, embedding=4, pooling="max", n_iter=40, lr=0.03, random_state=0).fit(
        X, counts
    )
    assert found.score(X, counts) > 0.9
    lengths = [len(x) for x in X]
    assert (found.predict(np.concatenate(X), lengths) == found.predict(X)).all()
    with pytest.raises(DataError, match="token 6"):
        model.predict([np.array([6])])
    with pytest.raises(DataError, match="whole numbers"):
        model.predict([np.array([0.5])])


def test_forecasts_feed_back(rng):
    t = np.arange(90)
    series = np.column_stack([np.sin(t / 3), 40 + 5 * np.cos(t / 3)])
    model = SequenceRegressor(10, optimizer="lbfgs", n_iter=80, random_state=0).fit(series[:-1], series[1:])
    ahead = model.forecast(series, 6)
    truth = np.column_stack([np.sin(np.arange(90, 96) / 3), 40 + 5 * np.cos(np.arange(90, 96) / 3)])
    assert ahead.shape == (6, 2) and np.abs((ahead - truth) / [1, 5]).max() < 0.2
    grown = series
    for k in range(3):
        step = model.predict(grown)[-1]
        np.testing.assert_allclose(step, ahead[k], rtol=1e-8)
        grown = np.vstack([grown, step])
    both = model.forecast([series, series[:50]], 4)
    np.testing.assert_allclose(both[0], ahead[:4], rtol=1e-8)
    np.testing.assert_allclose(both[1], model.forecast(series[:50], 4), rtol=1e-8)


@pytest.mark.parametrize(
    ("settings", "error", "words"),
    [
        ({"bidirectional": True}, UnsupportedError, "one direction"),
        ({"pooling": "last"}, UnsupportedError, "answers each step"),
    ],
)
def test_what_has_no_forecast(settings, error, words, rng):
    X = rng.normal(size=(4, 5, 2))
    y = X[:, 0] if "pooling" in settings else X
    with pytest.raises(error, match=words):
        SequenceRegressor(**FAST, **settings).fit(X, y).forecast(X, 2)
    with pytest.raises(ShapeError, match="next step's inputs"):
        SequenceRegressor(**FAST).fit(X, X[..., :1]).forecast(X, 2)


def test_classes_may_weigh(rng):
    X = rng.normal(size=(60, 4, 1))
    y = np.where(np.arange(60) < 54, "often", "seldom")
    shares = {}
    for weight in (None, "balanced", {"often": 1, "seldom": 50}):
        model = SequenceClassifier(4, n_iter=5, class_weight=weight, random_state=0).fit(X, y)
        shares[str(weight)] = model.predict_proba(X)[:, 1].mean()
    found = list(shares.values())
    assert found[0] < found[1] < found[2]


def test_windows_cut_long_sequences(rng):
    X = rng.normal(size=(200, 1))
    y = np.sign(X[:, 0])
    model = SequenceRegressor(**FAST, window=25, batch_size=4).fit(X, y)
    pieces = SequenceRegressor(**FAST, batch_size=4, scale=False)
    pieces.fit(model.x_scale_.there(X).reshape(8, 25, 1), model.y_scale_.there(y[:, None]).reshape(8, 25, 1))
    assert model.history_.updates == 3 * 2
    np.testing.assert_allclose(model.history_.losses, pieces.history_.losses, rtol=1e-12)


# -- going on --------------------------------------------------------------------------------------------


def test_warm_starts_and_parts(rng):
    X = rng.normal(size=(30, 6, 1))
    y = (X.sum(axis=(1, 2)) > 0).astype(int)
    model = SequenceClassifier(**FAST, warm_start=True).fit(X, y)
    first = model.history_.best
    assert model.fit(X, y).history_.losses[0] < first
    parts = SequenceClassifier(**FAST).partial_fit(X[:10], np.zeros(10), classes=[0, 1])
    for _ in range(30):
        parts.partial_fit(X, y)
    assert parts.score(X, y) > 0.9 and parts.classes_.tolist() == [0, 1]
    with pytest.raises(DataError, match="does not take classes"):
        SequenceRegressor(**FAST).partial_fit(X, X, classes=[0])


def test_validation_and_patience(rng):
    X, noise = rng.normal(size=(40, 5, 1)), rng.integers(0, 2, 40)
    model = SequenceClassifier(6, n_iter=200, lr=0.05, validation=0.3, patience=5, random_state=0).fit(
        X, noise
    )
    assert model.history_.converged and model.history_.n_iter < 200
    assert model.history_.best == min(model.history_.validation)
    given = SequenceClassifier(6, n_iter=20, lr=0.05, random_state=0)
    given.fit(X[:30], noise[:30], validation_data=(X[30:], noise[30:]))
    m = given.messages(X[30:], noise[30:])
    assert m.total / 10 == pytest.approx(given.history_.best, rel=1e-9)


def test_a_fit_goes_on_from_its_checkpoint(rng, tmp_path):
    X = rng.normal(size=(20, 5, 1))
    y = np.cumsum(X, axis=1)
    path = tmp_path / "fit.safetensors"
    SequenceRegressor(**FAST | {"n_iter": 2}, checkpoint=path).fit(X, y)
    gone_on = SequenceRegressor(**FAST | {"n_iter": 5}, checkpoint=path).fit(X, y)
    at_once = SequenceRegressor(**FAST | {"n_iter": 5}).fit(X, y)
    assert (gone_on.predict(X) == at_once.predict(X)).all()


def test_one_seed_one_model(sequences):
    X, y, _, _ = sequences
    models = [SequenceRegressor(**FAST | {"random_state": s}, dropout=0.3, num_layers=2) for s in (1, 1, 2)]
    found = [model.fit(X, y) for model in models]
    answers = [np.concatenate(model.predict(X)) for model in found]
    assert (answers[0] == answers[1]).all() and (answers[0] != answers[2]).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision(sequences, dtype):
    X, _, tags, _ = sequences
    for crf in (False, True):
        model = SequenceTagger(**FAST, dtype=dtype, crf=crf).fit(X, tags)
        assert {w.dtype.name for w in model.network_.weights.values()} == {dtype}


# -- files -----------------------------------------------------------------------------------------------


def test_files_give_the_same_answers(sequences, tmp_path):
    X, y, tags, labels = sequences
    tokens = [np.arange(len(x)) % 4 for x in X]
    cases = [
        (
            SequenceClassifier(**FAST, optimizer=Adam(beta2=0.99), class_weight={0: 1.0, 1: 2.0, 2: 1.0}),
            X,
            labels,
        ),
        (SequenceClassifier(**FAST, bidirectional=True, dtype="float32"), X, np.array(list("xyzxyz"))),
        (SequenceRegressor(**FAST | {"lr": Warmup(Cosine(0.1, 10), 1)}, schedule=Truncated(2, 3)), X, y),
        (SequenceTagger(**FAST, crf=True, embedding=3), tokens, tags),
        (SequenceTagger(**FAST, num_layers=2, dropout=0.2, cell="gru"), X, tags),
    ]
    for model, data, target in cases:
        model.fit(data, target).save(tmp_path / "model.safetensors")
        other = rnn.load(tmp_path / "model.safetensors")
        assert type(other) is type(model)
        for a, b in zip(model.predict(data), other.predict(data), strict=True):
            np.testing.assert_array_equal(a, b)
        assert other.score(data, target) == model.score(data, target)
        assert other.history_ == model.history_ and repr(other) == repr(model)
        assert other.messages(data, target).total == model.messages(data, target).total


def test_files_that_do_not_fit(sequences, tmp_path):
    X, y, _, _ = sequences
    path = tmp_path / "model.safetensors"
    with pytest.raises(NotFittedError):
        SequenceRegressor().save(path)
    SequenceRegressor(**FAST).fit(X, y).save(path)
    header, arrays = files.read(path)
    document = json.loads(header["model"])
    for change in (
        {"class": "os"},
        {"params": document["params"] | {"cell": "x"}},
        {"params": document["params"] | {"hidden_size": 10**9}},
        {"params": document["params"] | {"optimizer": {"setting": "Optimizer", "fields": {}}}},
        {"params": document["params"] | {"lr": {"schedule": "run", "fields": {}}}},
        {"noted": {}},
        {"history": {}},
    ):
        files.write(path, arrays, header | {"model": json.dumps(document | change)})
        with pytest.raises(DataError):
            rnn.load(path)
    files.write(path, {k: v for k, v in arrays.items() if "weight_hh" not in k}, header)
    with pytest.raises(DataError, match="weight_hh"):
        rnn.load(path)


# -- what does not fit ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("X", "y", "lengths", "error", "words"),
    [
        ([np.ones((2, 1)), np.ones((3, 2))], [np.ones(2), np.ones(3)], None, ShapeError, "sequence 1 has 2"),
        (
            [np.ones((2, 1)), np.ones((3, 1))],
            [np.ones(2), np.ones(4)],
            None,
            ShapeError,
            "1 .* 3 steps",
        ),
        ([np.ones((2, 1)), np.ones((3, 1))], [np.ones(2)], None, ShapeError, "1 sequences, X has 2"),
        ([np.ones((2, 1))], [np.ones(2)], [2], DataError, "leave lengths= out"),
        (np.ones((5, 1)), np.ones(5), [2, 2], ShapeError, "sum is the 5 rows"),
        (np.ones((5, 1)), np.ones(4), [2, 3], ShapeError, "5 steps in all"),
        (np.ones((2, 5, 1)), np.ones((2, 5)), [6, 1], ShapeError, r"lengths\[0\] is 6"),
        (np.ones((2, 5, 1)), np.ones((2, 5)), [1], ShapeError, "one a sequence"),
        (np.full((2, 5, 1), np.nan), np.ones((2, 5)), None, DataError, r"NaN at \[0, 0, 0\]"),
        (
            [np.ones((2, 1)), np.array([[1.0], [np.inf]])],
            [np.ones(2)] * 2,
            None,
            DataError,
            "1 .*infin",
        ),
        (np.ones((2, 5, 1)), np.full((2, 5), "x"), None, DataError, "real numbers"),
        (np.ones((1, 2, 5, 1)), np.ones((2, 5)), None, ShapeError, "wanted"),
    ],
)
def test_data_that_do_not_fit(X, y, lengths, error, words):
    with pytest.raises(error, match=words) as caught:
        SequenceRegressor(**FAST).fit(X, y, lengths)
    assert isinstance(caught.value, MessagePassingError)


def test_labels_that_do_not_fit(sequences):
    X, _, tags, labels = sequences
    with pytest.raises(DataError, match="'z', which is none of the classes 'a', 'b'"):
        SequenceTagger(**FAST).fit(X, tags).score(X, tags)
        SequenceTagger(**FAST).fit(X, tags).messages(X, [np.full(n, "z") for n in LENGTHS])
    with pytest.raises(ShapeError, match="5 labels, X has 6"):
        SequenceClassifier(**FAST).fit(X, labels[:5])
    with pytest.raises(DataError, match="continuous"):
        SequenceClassifier(**FAST).fit(X, labels + 0.5)
    with pytest.raises(DataError, match="every sequence needs a label"):
        SequenceClassifier(**FAST).fit(X, np.array([0, 1, np.nan, 0, 1, 0]))
    with pytest.raises(ShapeError, match="has 3 features, but SequenceClassifier is expecting 2"):
        SequenceClassifier(**FAST).fit(X, labels).predict([np.ones((3, 3))])


@pytest.mark.parametrize(
    ("Model", "settings", "words"),
    [
        (SequenceClassifier, {"cell": "x"}, "'lstm', 'gru', 'rnn'"),
        (SequenceClassifier, {"pooling": None}, "'last', 'mean', 'max'"),
        (SequenceClassifier, {"hidden_size": 0}, "hidden_size"),
        (SequenceClassifier, {"batch_size": "all"}, "batch_size"),
        (SequenceClassifier, {"class_weight": {"w": 1}}, "class_weight"),
        (SequenceRegressor, {"window": 0}, "window"),
        (SequenceRegressor, {"window": 3, "pooling": "last"}, "one answer each"),
        (SequenceRegressor, {"optimizer": "lbfgs", "dropout": 0.5, "num_layers": 2}, "chance"),
        (SequenceTagger, {"crf": True, "class_weight": "balanced"}, "scores them together"),
        (SequenceTagger, {"random_state": "x"}, "random_state"),
    ],
)
def test_settings_that_do_not_fit(Model, settings, words, rng):
    X = rng.normal(size=(6, 5, 1))
    by_sequence = Model is SequenceClassifier or "pooling" in settings
    y = np.arange(6) % 2 if by_sequence else (X[..., 0] > 0).astype(int)
    with pytest.raises(MessagePassingError, match=words):
        Model(**FAST | settings).fit(X, y)
