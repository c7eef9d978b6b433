"""EM and the gradient: laws on random models, a dense oracle of one step, and the same optimum by both
climbs."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hmm import LinearGaussianSSM
from hmm.state_space.expectation import Expectation
from hmm.state_space.maximise import maximise
from hmm.state_space.space import COVARIANCES, NAMES
from hmm.state_space.structure import structure
from msgpass import data
from msgpass.errors import ConvergenceWarning, DataError, UnsupportedError
from tests.hmm.state_space.dense import joint, random_model, with_gaps

TYPES = ("full", "diag", "spherical", "scaled")
LEVEL = {
    "transition_matrix": 1,
    "observation_matrix": 1,
    "frozen": ["transition_matrix", "observation_matrix"],
}


@st.composite
def fits(draw):
    """(model with settings, y, u, lengths)."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, p, k = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(0, 1))
    lengths = draw(st.lists(st.integers(1, 8), min_size=1, max_size=3))
    kinds = {f"{name}_type": draw(st.sampled_from(TYPES)) for name in COVARIANCES}
    names = [name for name in NAMES if k or "input" not in name]
    learned = draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    model = random_model(rng, n, p, k, learned=learned, **kinds)
    for name in COVARIANCES:  # the start is of the type that it keeps
        cov = np.asarray(getattr(model, name))
        if kinds[f"{name}_type"] == "diag":
            setattr(model, name, np.diag(np.diag(cov)))
        elif kinds[f"{name}_type"] == "spherical":
            setattr(model, name, cov[0, 0] * np.eye(len(cov)))
    T = sum(lengths)
    y = rng.normal(size=(T, p))
    y = with_gaps(rng, y) if draw(st.booleans()) else y
    y[0, 0] = 1.0  # something is there
    masks = {}
    if draw(st.booleans()):
        for name in learned:
            if name not in COVARIANCES:
                masks[name] = rng.random(np.shape(getattr(model, name))) < 0.4
    model.frozen = masks or None
    return model, y, rng.normal(size=(T, k)) if k else None, lengths


@given(fits())
def test_em_never_falls_and_moves_only_what_is_learned(case):
    model, y, u, lengths = case
    space, series = model._ready(y, None, lengths, u)
    moved = structure(model, space, len(lengths))
    expectation = Expectation(series, moved.apart)
    totals, now = [], space
    for _ in range(4):
        expected = expectation(now)
        totals.append(expected.log_likelihood)
        now = maximise(now, expected, moved)
        if min(np.linalg.eigvalsh(getattr(now, name)).min() for name in COVARIANCES) < 1e-6:
            break  # the likelihood has no bound where a handful of rows fits a covariance of its own
    assert (np.diff(totals) > -1e-8 * np.maximum(1, np.abs(totals[1:]))).all()
    for name in NAMES:
        free = moved.free.get(name)
        held = np.ones(getattr(space, name).shape, bool) if free is None else ~free
        np.testing.assert_array_equal(getattr(now, name)[held], getattr(space, name)[held])
    for name in COVARIANCES:
        before, after, kind = getattr(space, name), getattr(now, name), moved.types[name]
        if kind == "scaled":
            np.testing.assert_allclose(after * before[0, 0], before * after[0, 0], rtol=1e-9)
        elif kind == "diag" and name in moved.free:
            assert not (after - np.diag(np.diag(after))).any()


def dense_expectations(space, y, u):
    """E[x], E[x xᵀ] by row and E[x' xᵀ] by pair."""
    mean, cov, _ = joint(space, len(y), u).given(y)
    second = [cov[t, :, t] + np.outer(mean[t], mean[t]) for t in range(len(y))]
    pairs = [cov[t + 1, :, t] + np.outer(mean[t + 1], mean[t]) for t in range(len(y) - 1)]
    return mean, np.array(second), np.array(pairs)


def test_one_step_is_shumway_and_stoffers(rng):
    """All matrices learned, offsets held at 0: A = S10 S00⁻¹, and so on, from dense expectations."""
    learned = ["transition_matrix", "transition_covariance", "observation_matrix", "observation_covariance"]
    learned += ["initial_mean", "initial_covariance"]
    model = random_model(rng, 2, 3, transition_offset=None, observation_offset=None, learned=learned)
    y = rng.normal(size=(12, 3))
    mean, second, pairs = dense_expectations(model.space(), y, np.zeros((12, 0)))
    S00, S11, S10 = second[:-1].sum(axis=0), second[1:].sum(axis=0), pairs.sum(axis=0)
    F = S10 @ np.linalg.inv(S00)
    Q = (S11 - F @ S10.T) / 11
    H = y.T @ mean @ np.linalg.inv(second.sum(axis=0))
    R = (y.T @ y - H @ mean.T @ y) / 12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.set_params(n_iter=1).fit(y)
    np.testing.assert_allclose(model.transition_matrix_, F, rtol=1e-8)
    np.testing.assert_allclose(model.transition_covariance_, Q, rtol=1e-8)
    np.testing.assert_allclose(model.observation_matrix_, H, rtol=1e-8)
    np.testing.assert_allclose(model.observation_covariance_, R, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(model.initial_mean_, mean[0], rtol=1e-8)
    np.testing.assert_allclose(model.initial_covariance_, second[0] - np.outer(mean[0], mean[0]), rtol=1e-7)


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["known", "diffuse", "stationary"]), st.booleans())
def test_the_gradient_is_that_of_the_likelihood(seed, initial, varies):
    rng = np.random.default_rng(seed)
    varies = varies and initial != "stationary"
    model = random_model(rng, 2, 2, 1, steps=6 if varies else None, initial=initial)
    y, u = with_gaps(rng, rng.normal(size=(9, 2)), 0.1), rng.normal(size=(9, 1))
    lengths = [6, 3]
    value, slopes = model.gradient(y, lengths, inputs=u)
    assert value == pytest.approx(model.score(y, lengths=lengths, inputs=u), rel=1e-10)
    space, series = model._ready(y, None, lengths, u)
    run = Expectation(series)
    for name in [name for name in NAMES if initial == "known" or not name.startswith("initial")]:
        if space.varies(name):  # every step's own; the rows that the data read
            continue
        direction = rng.normal(size=getattr(space, name).shape)
        if name in COVARIANCES:
            direction = direction + direction.T

        def total(step, name=name, direction=direction):
            return run.messages(space.with_values({name: getattr(space, name) + step * direction})).total

        numeric = (total(1e-5) - total(-1e-5)) / 2e-5
        assert np.sum(slopes[f"{name}_"] * direction) == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_a_stationary_start_in_the_gradient_of_one_number():
    """AR(1) seen exactly: log p = −½ log(2π σ²/(1 − φ²)) − …, differentiated by hand."""
    y, phi, q = np.array([0.5, -0.2, 0.9]), 0.6, 0.8
    model = LinearGaussianSSM(
        1, initial="stationary", transition_matrix=phi, transition_covariance=q,
        observation_matrix=1, observation_covariance=0,
    )  # fmt: skip
    e = y[1:] - phi * y[:-1]
    by_hand = -phi / (1 - phi**2) + phi * y[0] ** 2 / q + (e * y[:-1]).sum() / q
    assert model.gradient(y)[1]["transition_matrix_"][0, 0] == pytest.approx(by_hand, rel=1e-10)


def test_both_climbs_end_at_the_niles_maximum():
    y = data.load("nile").values
    for method, tol in (("em", 1e-9), ("lbfgs", 1e-9)):
        model = LinearGaussianSSM(1, initial="diffuse", method=method, tol=tol, n_iter=5000, **LEVEL).fit(y)
        assert model.transition_covariance_[0, 0] == pytest.approx(1469.1, rel=2e-3)
        assert model.observation_covariance_[0, 0] == pytest.approx(15098.5, rel=1e-3)
        assert model.score(y) - 0.5 * np.log(2 * np.pi) == pytest.approx(-633.4645636, abs=1e-5)


@pytest.mark.parametrize("kind", TYPES)
def test_the_maximum_is_where_em_stays(kind, rng):
    """L-BFGS climbs to it, and a step of EM from there goes nowhere."""
    true = random_model(rng, 2, 2, observation_offset=[1.0, -1.0], transition_offset=None)
    y, _ = true.sample(60, 0)
    model = true.set_params(
        observation_covariance=np.diag([0.5, 0.5 if kind == "spherical" else 0.7]),
        learned=["transition_matrix", "observation_covariance", "observation_offset"],
        observation_covariance_type=kind,
        method="lbfgs",
        tol=1e-11,
    ).fit(y)
    space, series = model._ready(y, None, None, None)
    step = maximise(space, Expectation(series)(space), structure(model, space, 1))
    for name in model.learned:
        np.testing.assert_allclose(getattr(step, name), getattr(space, name), rtol=1e-4, atol=1e-4)
    assert np.abs(model.observation_covariance_ - true.observation_covariance).max() > 0.01


def test_held_entries_in_a_matrix_with_correlated_noise(rng):
    """The coupled M-step: gradient zero in the free entries of F, and the held ones as they were."""
    F = np.array([[0.8, 0.0], [0.3, 0.5]])
    mask = np.array([[False, True], [False, False]])
    true = random_model(rng, 2, 2, transition_matrix=F, transition_offset=None)
    y, _ = true.sample(80, 1)
    model = true.set_params(
        learned=["transition_matrix"], frozen={"transition_matrix": mask}, tol=1e-11, n_iter=9999
    )
    model.fit(y)
    slope = model.gradient(y)[1]["transition_matrix_"]
    assert model.transition_matrix_[0, 1] == 0.0
    assert np.abs(slope[~mask]).max() < 1e-3 < np.abs(slope[mask]).max()


def test_states_without_noise_keep_none(rng):
    """A companion form: the second row shifts, and only the first has noise."""
    Q = np.diag([1.0, 0.0])
    mask = np.array([[False, False], [True, True]])
    model = LinearGaussianSSM(
        2, transition_matrix=[[0.5, 0.2], [1.0, 0.0]], transition_covariance=Q, observation_matrix=[[1.0,
        0.0]], observation_covariance=0.1, initial_mean=[0, 0], initial_covariance=np.eye(2),
        learned=["transition_matrix", "transition_covariance", "observation_covariance"],
        frozen={"transition_matrix": mask}, n_iter=20, tol=0,
    )  # fmt: skip
    y, _ = model.sample(80, 3)
    for method in ("em", "lbfgs"):
        model.set_params(method=method).fit(y)
        assert (np.diff(model.monitor_.history) > -1e-9).all()
        np.testing.assert_array_equal(model.transition_matrix_[1], [1.0, 0.0])
        assert model.transition_covariance_[0, 0] > 0
        np.testing.assert_array_equal(model.transition_covariance_[1], [0, 0])
        assert model.transition_matrix_[0, 0] != 0.5


@pytest.mark.parametrize("method", ["em", "lbfgs"])
def test_raw_data_are_enough(method, rng):
    true = LinearGaussianSSM(
        2, transition_matrix=[[0.9, 0.3], [-0.3, 0.9]], transition_covariance=0.1 * np.eye(2),
        observation_matrix=[[1, 0], [0, 1], [1, 1]], observation_covariance=0.2 * np.eye(3),
        observation_offset=[5, 0, -5], initial_mean=[0, 0], initial_covariance=np.eye(2),
    )  # fmt: skip
    y, _ = true.sample(400, 0)
    y = with_gaps(rng, y, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LinearGaussianSSM(2, n_iter=60, method=method).fit(y)
    assert model.score(y) > true.score(y)
    found, wanted = (
        np.sort_complex(np.linalg.eigvals(F)) for F in (model.transition_matrix_, true.transition_matrix)
    )
    np.testing.assert_allclose(found, wanted, atol=0.08)
    assert (np.diff(model.monitor_.history) > -1e-9).all()


def test_inputs_are_told_apart(rng):
    u = rng.normal(size=(600, 1))
    true = LinearGaussianSSM(
        1, transition_matrix=0.7, transition_covariance=0.1, transition_input_matrix=2.0,
        observation_matrix=1.0, observation_covariance=0.1, observation_input_matrix=-3.0,
        observation_offset=4.0, initial_mean=0, initial_covariance=1,
    )  # fmt: skip
    y, _ = true.sample(600, 0, inputs=u)
    model = LinearGaussianSSM(1, observation_matrix=1.0, frozen=["observation_matrix"], method="lbfgs").fit(
        y, inputs=u
    )
    assert model.transition_input_matrix_[0, 0] == pytest.approx(2.0, abs=0.15)
    assert model.observation_input_matrix_[0, 0] == pytest.approx(-3.0, abs=0.15)
    beside = LinearGaussianSSM(
        1, n_inputs=1, observation_matrix=1.0, frozen=["observation_matrix"], method="lbfgs"
    ).fit(np.hstack([y, u]))
    np.testing.assert_array_equal(beside.transition_input_matrix_, model.transition_input_matrix_)
    assert beside.score(np.hstack([y, u])) == beside.score(y, inputs=u)


def test_priors_pull_and_the_posterior_rises(rng):
    true = random_model(rng, 2, 2, transition_offset=None)
    y, _ = true.sample(50, 0)
    priors = {
        "observation_covariance": (50.0, 100 * np.eye(2)),
        "transition_matrix": (0.5 * np.eye(2), 200.0),
        "transition_covariance": (4, 2.0),
    }
    ends = []
    for method in ("em", "lbfgs"):
        model = true.set_params(
            frozen=["observation_matrix"], priors=priors, n_iter=200, tol=0, method=method
        )
        model.fit(y)
        assert (np.diff(model.monitor_.history) > -1e-9).all()
        assert np.linalg.eigvalsh(model.observation_covariance_).min() > 0.7
        ends.append(model.monitor_.history[-1])
        pulled = np.abs(model.transition_matrix_ - 0.5 * np.eye(2)).max()
    assert ends[1] > ends[0] - 1e-3
    free = true.set_params(priors=None, n_iter=200, tol=0).fit(y)
    assert pulled < 0.5 * np.abs(free.transition_matrix_ - 0.5 * np.eye(2)).max()


def test_the_maximum_a_posteriori_has_no_slope(rng):
    true = random_model(rng, 1, 1, transition_offset=None, observation_offset=None)
    y, _ = true.sample(40, 0)
    priors = {"transition_matrix": (0.2, 5.0), "transition_covariance": (3.0, 0.5)}
    model = true.set_params(
        priors=priors, learned=["transition_matrix", "transition_covariance"], tol=1e-12, n_iter=20_000
    ).fit(y)
    F, Q = model.transition_matrix_[0, 0], model.transition_covariance_[0, 0]
    slopes = model.gradient(y)[1]
    assert slopes["transition_matrix_"][0, 0] == pytest.approx((F - 0.2) * 5 / Q, abs=1e-3)
    own = 0.5 * (0.5 / Q**2 - (3 + 1 + 1) / Q) + 0.5 * (5 * (F - 0.2) ** 2 / Q**2 - 1 / Q)
    assert slopes["transition_covariance_"][0, 0] == pytest.approx(-own, abs=1e-3)


def test_what_em_has_no_closed_form_for(rng):
    model = random_model(rng, 2, 2, initial="stationary")
    y = rng.normal(size=(20, 2))
    with pytest.raises(UnsupportedError, match="lbfgs"):
        model.fit(y)
    model.set_params(method="lbfgs", n_iter=5, tol=0).fit(y)
    assert (np.diff(model.monitor_.history) > 0).all()
    varying = random_model(rng, 2, 2, observation_matrix=rng.normal(size=(20, 2, 2)), n_iter=5, tol=0)
    with pytest.raises(UnsupportedError, match="varies over time"):
        varying.fit(y)
    varying.set_params(frozen=["observation_covariance", "observation_offset"]).fit(y)
    np.testing.assert_array_equal(varying.observation_matrix_, varying.observation_matrix)
    varying.set_params(frozen=None, method="lbfgs").fit(y)
    assert (np.diff(varying.monitor_.history) > 0).all()
    stuck = random_model(
        rng, 2, 1, transition_covariance=np.diag([1.0, 0.0]), learned=["transition_matrix"],
        frozen={"transition_matrix": np.array([[True, False], [False, False]])},
    )  # fmt: skip
    stuck.fit(y[:, :1])  # noise of separate rows: each is least squares of its own
    with pytest.raises(DataError, match="not to be learned, but it has no value"):
        LinearGaussianSSM(1, frozen=["transition_matrix"]).fit(y)


def test_missing_cells_are_left_out_or_filled_in_to_the_same_end(rng):
    """Two forms of EM where noise is diagonal: the maxima are the same."""
    model = random_model(rng, 1, 2, transition_offset=None, observation_covariance=np.diag([0.5, 0.8]))
    y, _ = model.sample(60, 2)
    y = with_gaps(rng, y, 0.3)
    model.set_params(
        learned=["observation_covariance"], observation_covariance_type="diag", tol=1e-12, n_iter=9999
    )
    ends = []
    for apart in (True, False):
        space, series = model._ready(y, None, None, None)
        moved, run = structure(model, space, 1), Expectation(series, apart)
        for _ in range(400):
            space = maximise(space, run(space), moved)
        ends.append(space.observation_covariance)
    np.testing.assert_allclose(*ends, rtol=1e-6)
    assert replace(moved).apart
