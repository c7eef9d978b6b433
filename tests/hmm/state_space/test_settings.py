"""What users hand over: errors that name the way out, what a fit starts from, and what it leaves alone."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from hmm import LinearGaussianSSM
from hmm.validation import NotFittedError
from msgpass.errors import DataError, MessagePassingError, NumericalError, ShapeError, UnsupportedError
from tests.hmm.state_space.dense import random_model

GIVEN = {
    "transition_matrix": np.eye(2),
    "transition_covariance": np.eye(2),
    "observation_matrix": [[1.0, 0.0]],
    "observation_covariance": [[1.0]],
    "initial_mean": [0.0, 0.0],
    "initial_covariance": np.eye(2),
}
Y = np.arange(6.0)


def model(n=2, **changed):
    return LinearGaussianSSM(n, **(GIVEN | changed))


@pytest.mark.parametrize(
    ("changed", "error", "text"),
    [
        ({"transition_matrix": None}, NotFittedError, "no transition_matrix_ yet; call fit"),
        ({"initial_mean": None}, NotFittedError, "initial_mean_"),
        (
            {"transition_matrix": np.eye(3)},
            ShapeError,
            r"transition_matrix_ has shape \(3, 3\), wanted \(2, 2\)",
        ),
        ({"transition_matrix": "F"}, DataError, "not an array of numbers"),
        ({"transition_matrix": np.full((2, 2), np.nan)}, DataError, "NaN or an infinite value"),
        ({"observation_matrix": [[1.0, 0.0, 0.0]]}, ShapeError, r"wanted \(1, 2\)"),
        ({"transition_covariance": [[1.0, 2.0], [2.0, 1.0]]}, DataError, "smallest eigenvalue is -1"),
        ({"transition_covariance": [[1.0, 0.5], [0.0, 1.0]]}, DataError, "must be symmetric"),
        ({"observation_covariance": [[-1.0]]}, DataError, "smallest eigenvalue"),
        ({"initial_covariance": [[np.inf, 0.5], [0.5, 1.0]]}, DataError, "flat directions"),
        ({"initial_covariance": np.tile(np.eye(2), (3, 1, 1))}, ShapeError, "initial_covariance_ has shape"),
        ({"initial": "wide"}, DataError, "'known', 'diffuse', 'stationary'"),
        ({"initial": "stationary"}, DataError, "spectral radius 1, wanted below 1"),
        (
            {"transition_input_matrix": [[1.0], [1.0]], "observation_input_matrix": [[1.0, 2.0]]},
            ShapeError,
            "columns",
        ),
    ],
)
def test_parameters_that_do_not_go_together(changed, error, text):
    with pytest.raises(error, match=text):
        model(**changed).score(Y)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"n_components": 0}, DataError, "n_components must be a whole number"),
        ({"n_iter": -1}, DataError, "n_iter"),
        ({"n_init": 0}, DataError, "n_init"),
        ({"tol": "small"}, DataError, "tol"),
        ({"method": "newton"}, DataError, "'em', 'lbfgs'"),
        ({"learned": ["F"]}, DataError, "the parameters are transition_matrix, "),
        ({"learned": "transition_matrix"}, DataError, "is a list of names"),
        ({"frozen": ["transmat"]}, DataError, "frozen names 'transmat'"),
        (
            {"transition_matrix": np.eye(2), "frozen": {"transition_matrix": [True]}},
            ShapeError,
            r"a mask of \(2, 2\)",
        ),
        ({"frozen": ["observation_matrix"]}, DataError, "give observation_matrix= to the constructor"),
        ({"transition_covariance_type": "tied"}, DataError, "'full', 'diag', 'spherical', 'scaled'"),
        ({"initial": "diffuse", "learned": ["initial_mean"]}, DataError, "says what it is"),
        ({"priors": {"transition_offset": (0, 1)}}, DataError, "there are priors of"),
        ({"priors": {"transition_covariance": 3}}, DataError, "is a pair"),
        ({"priors": {"transition_covariance": (-1, 1)}}, DataError, "degrees of freedom"),
        ({"priors": {"transition_matrix": (0, -1)}}, DataError, "smallest eigenvalue"),
        ({"priors": {"transition_matrix": ([1, 2, 3], 1)}}, ShapeError, "shape"),
        ({"observation_matrix": np.ones((2, 2))}, ShapeError, "has 2 rows, but X has 1 columns"),
        ({"transition_input_matrix": np.ones((2, 1))}, ShapeError, "0 input"),
        (
            {"transition_covariance": [[1, 0.5], [0.5, 1]], "transition_covariance_type": "diag"},
            DataError,
            "start from a matrix that is not",
        ),
        (
            {"transition_covariance": np.eye(2), "frozen": {"transition_covariance": np.eye(2, dtype=bool)}},
            UnsupportedError,
            "moves as a whole",
        ),
        (
            {"learned": ["transition_matrix"], **GIVEN, "transition_matrix": np.tile(np.eye(2), (6, 1, 1))},
            UnsupportedError,
            "vary over time and cannot be learned",
        ),
    ],
)
def test_settings_of_a_fit_that_make_no_sense(settings, error, text):
    with pytest.raises(error, match=text):
        LinearGaussianSSM(**({"n_components": 2} | settings)).fit(Y)


@pytest.mark.parametrize(
    ("X", "error", "text"),
    [
        (np.full(5, np.nan), DataError, "no observation at all"),
        ([], ShapeError, "nothing in it"),
        (np.zeros((2, 2, 2)), ShapeError, r"wanted \(T, D\)"),
        ([1.0, np.inf], DataError, "infinite value at row 1"),
        (["a", "b"], DataError, "numbers"),
    ],
)
def test_data_that_cannot_be_fitted(X, error, text):
    with pytest.raises(error, match=text):
        LinearGaussianSSM(1).fit(X)


def test_data_of_another_shape_than_the_model(rng):
    with pytest.raises(ShapeError, match="expecting 1 features"):
        model().score(np.zeros((3, 2)))
    with pytest.raises(ShapeError, match="lengths sum to 4"):
        model().score(Y, lengths=[2, 2])
    driven = random_model(rng, 2, 1, 1)
    with pytest.raises(DataError, match="give inputs="):
        driven.score(Y)
    with pytest.raises(ShapeError, match=r"inputs have shape \(5, 1\), wanted \(6, 1\)"):
        driven.score(Y, inputs=np.zeros(5))
    with pytest.raises(DataError, match="missing at row 2"):
        driven.score(Y, inputs=[0, 0, np.nan, 0, 0, 0])
    with pytest.raises(ShapeError, match="inputs of the steps to come"):
        driven.forecast(Y, steps=2, inputs=np.zeros(3), past_inputs=np.zeros(6))
    with pytest.raises(DataError, match="inputs are known"):
        driven.forecast(Y, steps=1, inputs=[[np.nan]], past_inputs=np.zeros(6))
    with pytest.raises(ShapeError, match="n_inputs=3 of inputs"):
        LinearGaussianSSM(1, n_inputs=3).fit(np.zeros((4, 3)))


def test_a_density_that_does_not_exist():
    certain = model(1, transition_matrix=1.0, transition_covariance=0.0, observation_matrix=1.0,
                    observation_covariance=0.0, initial_mean=0.0, initial_covariance=0.0)  # fmt: skip
    with pytest.raises(NumericalError, match="singular at step 0"):
        certain.score(Y)


def test_unstable_models_are_filtered_as_they_are(rng):
    wild = model(1, transition_matrix=1.5, transition_covariance=1.0, observation_matrix=1.0,
                 observation_covariance=1.0, initial_mean=0.0, initial_covariance=1.0)  # fmt: skip
    y, _ = wild.sample(60, 0)
    assert np.isfinite(wild.score(y))
    assert wild.smooth(y).cov.max() < 1


def test_a_fit_can_be_repeated_and_leaves_settings_alone(rng):
    y, _ = random_model(rng, 2, 2).sample(60, 0)
    first = LinearGaussianSSM(2, n_iter=5, tol=0).fit(y)
    kept = {name: getattr(first, f"{name}_").copy() for name in GIVEN}
    first.fit(y)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(first, f"{name}_"), value)
        assert getattr(first, name) is None
    again = clone(first).fit(y)
    np.testing.assert_array_equal(again.transition_matrix_, kept["transition_matrix"])


def test_attributes_that_were_set_by_hand_are_starts(rng):
    y, _ = random_model(rng, 2, 2).sample(60, 0)
    model = LinearGaussianSSM(2, n_iter=3, tol=0).fit(y)
    start = model.score(y)
    model.transition_matrix_ = model.transition_matrix_ * 0.5
    below = model.score(y)
    model.set_params(learned=["transition_matrix"], n_iter=1).fit(y)
    assert below < model.score(y) < start + 1  # it began where the matrix was put, with the rest as it was
    held = model.transition_matrix_.copy()
    model.set_params(learned=None, frozen=["transition_matrix"]).fit(y)
    np.testing.assert_array_equal(model.transition_matrix_, held)


def test_other_starts_are_other_starts(rng):
    y, _ = random_model(rng, 2, 3).sample(80, 0)
    one = LinearGaussianSSM(2, n_iter=10, tol=0, random_state=0).fit(y)
    many = LinearGaussianSSM(2, n_iter=10, tol=0, random_state=0, n_init=4).fit(y)
    assert many.monitor_.history[-1] >= one.monitor_.history[-1]
    again = LinearGaussianSSM(2, n_iter=10, tol=0, random_state=0, n_init=4).fit(y)
    np.testing.assert_array_equal(many.transition_matrix_, again.transition_matrix_)


def test_more_states_than_the_data_have_directions():
    flat = np.repeat([[1.0, 2.0]], 12, axis=0)
    with np.errstate(all="raise"):
        model = LinearGaussianSSM(3, n_iter=3, tol=0).fit(flat + 1e-3 * np.sin(np.arange(12))[:, None])
    assert np.isfinite(model.transition_matrix_).all()
    for X in (np.ones(5), [[3.0]], [3.0, np.nan]):
        try:
            LinearGaussianSSM(2, n_iter=2, tol=0).fit(X)
        except MessagePassingError as problem:
            assert str(problem)


def test_frames_lists_and_lengths_are_the_same_data(rng):
    y = rng.normal(size=(12, 2))
    own = random_model(rng, 2, 2)
    wanted = own.score(y, lengths=[5, 7])
    assert own.score([y[:5], y[5:]]) == wanted
    assert own.score(y, [5, 7]) == wanted
    frame = pd.DataFrame(y, columns=["a", "b"])
    assert own.score([frame[:5], frame[5:]]) == wanted
    fitted = LinearGaussianSSM(1, n_iter=2, tol=0).fit(frame)
    assert fitted.feature_names_in_.tolist() == ["a", "b"] and fitted.n_features_in_ == 2
    with pytest.raises(DataError, match="feature names"):
        fitted.score(frame[["b", "a"]])
    series = pd.Series(y[:, 0])
    one = random_model(rng, 2, 1)
    assert one.score(series) == one.score(y[:, :1])


def test_criteria_count_what_is_estimated(rng):
    y = rng.normal(size=(30, 2))
    whole = random_model(rng, 2, 2)
    # F 4, Q 3, H 4, R 3, d 2, m 2, less 4 of the basis
    assert whole.n_free_parameters() == 14
    assert whole.n_free_parameters(3) == 17
    held = whole.set_params(frozen=["observation_matrix"], transition_covariance_type="scaled")
    assert held.n_free_parameters() == 4 + 1 + 3 + 2
    assert held.aic(y) == pytest.approx(-2 * held.score(y) + 20)
    y[0] = np.nan
    assert held.bic(y) == pytest.approx(-2 * held.score(y) + 10 * np.log(29))


def test_a_model_is_kept_in_a_file(tmp_path, rng):
    import hmm

    y, _ = random_model(rng, 2, 2).sample(40, 0)
    model = LinearGaussianSSM(2, n_iter=3, tol=0, priors={"observation_covariance": (3, np.eye(2))}).fit(y)
    model.save(tmp_path / "model")
    other = hmm.load(tmp_path / "model")
    assert other.score(y) == model.score(y)
    assert other.monitor_.history == model.monitor_.history
    np.testing.assert_array_equal(other.priors["observation_covariance"][1], np.eye(2))
    with pytest.raises(NotFittedError):
        LinearGaussianSSM(2).save(tmp_path / "nothing")


@pytest.mark.parametrize("method", ["em", "lbfgs"])
def test_a_fit_goes_on_from_its_checkpoint(method, tmp_path, rng, monkeypatch):
    y, _ = random_model(rng, 2, 2).sample(50, 0)
    settings = {"n_iter": 6, "tol": 0, "random_state": 3, "n_init": 2, "method": method}
    whole = LinearGaussianSSM(2, **settings).fit(y)
    monkeypatch.setattr("hmm.learning.checkpoint.SECONDS", -1.0)  # after every iteration
    cut = LinearGaussianSSM(2, **settings)
    monkeypatch.setattr(cut, "_store", interrupt_after(cut, 4))
    with pytest.raises(KeyboardInterrupt):
        cut.fit(y, checkpoint=tmp_path / "fit")
    again = LinearGaussianSSM(2, **settings).fit(y, checkpoint=tmp_path / "fit")
    assert len(again.monitor_.history) == len(whole.monitor_.history)
    if method == "em":
        np.testing.assert_array_equal(again.transition_matrix_, whole.transition_matrix_)
        assert again.monitor_.history == whole.monitor_.history
    with pytest.raises(DataError, match="other data or with other settings"):
        LinearGaussianSSM(2, **settings).fit(y + 1, checkpoint=tmp_path / "fit")


def interrupt_after(model, calls):
    store, left = type(model)._store, [calls]

    def interrupted(found):
        store(model, found)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return interrupted


@pytest.mark.parametrize("H", ["a", [[1.0], [1.0, 2.0]]])
def test_an_observation_matrix_that_is_no_array(H):
    with pytest.raises(DataError, match="observation_matrix_ is not an array of numbers"):
        model(1, observation_matrix=H).score(Y)


def test_inputs_of_a_model_that_takes_none():
    with pytest.raises(DataError, match="takes none; give it transition_input_matrix"):
        model().score(Y, inputs=np.zeros(len(Y)))
