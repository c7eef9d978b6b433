"""NonlinearSSM: the linear model where its functions are linear, gradients, fits, forecasts, what cannot
be."""

import numpy as np
import pytest
from sklearn.base import clone

from hmm import LinearGaussianSSM, NonlinearSSM
from msgpass import Step
from msgpass.errors import DataError, NotFittedError, ShapeError, UnsupportedError
from msgpass.linearisation import Cubature, Extended, Iterated, Unscented

RULES = [Extended(), Unscented(), Cubature(), Iterated(), Iterated(Cubature())]
F, B = np.array([[0.9, 0.2], [-0.1, 0.8]]), np.array([[0.5], [0.1]])
H, D = np.array([[1.0, 0.5], [0.0, 1.0]]), np.array([[0.2], [0.0]])
Q, R, P = np.diag([0.2, 0.1]), np.array([[0.3, 0.1], [0.1, 0.2]]), np.eye(2)


def straight(**settings):
    return NonlinearSSM(
        lambda x, u: x @ F.T + u @ B.T,
        lambda x, u: x @ H.T + u @ D.T,
        transition_covariance=Q,
        observation_covariance=R,
        initial_mean=[0.5, -0.5],
        initial_covariance=P,
        n_inputs=1,
        vectorized=True,
        **settings,
    )


def twin():
    return LinearGaussianSSM(
        2,
        transition_matrix=F,
        transition_input_matrix=B,
        transition_covariance=Q,
        observation_matrix=H,
        observation_input_matrix=D,
        observation_covariance=R,
        initial_mean=[0.5, -0.5],
        initial_covariance=P,
        n_inputs=1,
    )


def pendulum(theta=(1.2,), vectorized=True, **settings):
    """An angle and its speed; the angle's sine is seen."""

    def swing(x, theta):
        return np.stack(
            [x[..., 0] + 0.1 * x[..., 1], x[..., 1] - 0.98 * theta[0] * np.sin(x[..., 0])], axis=-1
        )

    return NonlinearSSM(
        swing,
        lambda x, theta: np.sin(x[..., :1]),
        transition_covariance=np.diag([1e-3, 1e-2]),
        observation_covariance=0.02,
        initial_mean=[1.0, 0.0],
        initial_covariance=0.1 * np.eye(2),
        theta=theta,
        vectorized=vectorized,
        **settings,
    )


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_linear_functions_make_a_linear_model(rule, rng):
    ours, theirs = straight(linearisation=rule), twin()
    u = rng.normal(size=(12, 1))
    X = np.hstack([ours.sample(12, 0, inputs=u)[0], u])
    X[3, 0], X[5, :2] = np.nan, np.nan
    lengths = [8, 4]
    assert ours.score(X, lengths=lengths) == pytest.approx(theirs.score(X, lengths=lengths), abs=1e-9)
    for reading in ("filter", "smooth"):
        a, b = getattr(ours, reading)(X, lengths), getattr(theirs, reading)(X, lengths)
        np.testing.assert_allclose(a.mean, b.mean, atol=1e-8)
        np.testing.assert_allclose(a.cov, b.cov, atol=1e-8)
    to_come = rng.normal(size=(3, 1))
    a = ours.forecast(X, lengths, steps=3, inputs=to_come)
    b = theirs.forecast(X, lengths, steps=3, inputs=to_come)
    for part in ("mean", "cov", "state_mean", "state_cov"):
        np.testing.assert_allclose(getattr(a, part), getattr(b, part), atol=1e-7)
    one = ours.forecast(X[:8], steps=3, inputs=to_come)
    np.testing.assert_allclose(one.mean, b.mean[0], atol=1e-7)
    value, states = ours.score_samples(X, lengths)
    assert value == pytest.approx(ours.score(X, lengths=lengths))
    np.testing.assert_allclose(states.mean, ours.smooth(X, lengths).mean)


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.parametrize("rule", RULES[:4], ids=repr)
def test_gradients_are_differences_of_score(rule, vectorized):
    rule = Iterated(tol=1e-12) if isinstance(rule, Iterated) else rule
    model = pendulum(linearisation=rule, vectorized=vectorized)
    X, _ = model.sample(25, random_state=1)
    value, slopes = model.gradient(X)
    assert value == pytest.approx(model.score(X))
    step = 1e-5
    for name, slope in slopes.items():
        field = name.removesuffix("_")
        base = np.asarray(model.value_of(field), float)
        base = base.reshape(slope.shape)
        direction = np.ones_like(base) if base.ndim < 2 else np.eye(len(base))
        scores = []
        for sign in (1, -1):
            moved = clone(model)
            setattr(moved, name, base * (1 + sign * step * direction))
            scores.append(moved.score(X))
        wanted = (scores[0] - scores[1]) / (2 * step)
        assert (slope * base * direction).sum() == pytest.approx(wanted, rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("rule", [None, Cubature(), Iterated()], ids=repr)
def test_a_fit_climbs_and_finds(rule):
    truth = pendulum()
    X, _ = truth.sample(150, random_state=3)
    model = pendulum(theta=(0.8,), linearisation=rule, learned=["theta", "observation_covariance"])
    before = model.score(X)
    assert model.fit(X) is model
    history = model.monitor_.history
    assert (np.diff(history) >= 0).all() and history[-1] > before
    assert model.score(X) == pytest.approx(history[-1], abs=1e-6)
    assert history[-1] > clone(truth).set_params(linearisation=rule).score(X)
    assert model.theta_[0] == pytest.approx(1.2, abs=0.2)
    assert model.observation_covariance_[0, 0] == pytest.approx(0.02, rel=0.3)
    np.testing.assert_array_equal(model.transition_covariance_, truth.transition_covariance)


def test_a_linear_fit_reaches_the_linear_models_likelihood(rng):
    u = rng.normal(size=(80, 1))
    X = np.hstack([straight().sample(80, 0, inputs=u)[0], u])
    names = ["transition_covariance", "observation_covariance"]
    ours = straight(tol=1e-9, n_iter=500).fit(X)
    theirs = twin().set_params(learned=names, method="lbfgs", tol=1e-9).fit(X)
    assert ours.score(X) == pytest.approx(theirs.score(X), abs=1e-4)
    np.testing.assert_allclose(ours.transition_covariance_, theirs.transition_covariance_, atol=5e-3)
    diagonal = straight(
        covariance_type="diag", learned=[*names, "initial_mean", "initial_covariance"], n_iter=30
    )
    diagonal.fit(X)
    assert diagonal.transition_covariance_[0, 1] == 0
    assert diagonal.monitor_.history[-1] >= diagonal.monitor_.history[0]


def test_lists_columns_and_steps():
    model = pendulum()
    a, b = (model.sample(n, random_state=n)[0] for n in (6, 4))
    together = model.score([a, b])
    assert together == pytest.approx(model.score(a) + model.score(b))
    assert together == pytest.approx(model.score(np.concatenate([a, b]), lengths=[6, 4]))
    assert model.score(a.ravel()) == pytest.approx(model.score(a))
    own = pendulum()
    own.transition = Step(own.transition, vectorized=True)
    assert own.score(a) == pytest.approx(model.score(a))
    assert model.sample_posterior(a, 5, random_state=0).shape == (5, 6, 2)
    assert model.messages(a).linearisation["x"].rule == Extended()


def test_draws_are_reproducible_and_start_where_told():
    model = pendulum(random_state=5)
    X, states = model.sample(4)
    again, _ = model.sample(4)
    np.testing.assert_array_equal(X, again)
    np.testing.assert_array_equal(model.sample(3, start=[2.0, 1.0])[1][0], [2.0, 1.0])
    assert states.shape == (4, 2)


def test_the_posterior_covers_the_truth():
    """Mean squared standardised errors of 20 draws of a mildly nonlinear model are near 1."""
    model, found = pendulum(linearisation=Cubature()), []
    for seed in range(20):
        X, states = model.sample(40, random_state=seed)
        smooth = model.smooth(X)
        gap = smooth.mean - states
        found.append(np.einsum("ti,tij,tj->t", gap, np.linalg.inv(smooth.cov), gap).mean() / 2)
    assert 0.8 < np.mean(found) < 1.25


def test_scikit_learns_conventions():
    model = pendulum(linearisation=Iterated(max_iter=9))
    copy = clone(model)
    assert copy is not model and copy.get_params()["linearisation"] == Iterated(max_iter=9)
    assert "NonlinearSSM" in repr(model)


def test_what_cannot_be(tmp_path):
    X = np.zeros((5, 1))
    with pytest.raises(NotFittedError, match="initial_mean"):
        NonlinearSSM(np.sin, np.sin, transition_covariance=1, observation_covariance=1).score(X)
    model = pendulum()
    for change, error, message in [
        ({"transition": None}, DataError, "function"),
        ({"observation": Step(np.sin, noise=1.0)}, DataError, "leave noise"),
        ({"transition_covariance": np.eye(3)}, ShapeError, r"\(2, 2\)"),
        ({"observation_covariance": -1.0}, DataError, "covariance"),
        ({"initial_covariance": np.diag([np.inf, 1.0])}, DataError, "infinite"),
        ({"linearisation": "ekf"}, UnsupportedError, "linearisation"),
        ({"n_inputs": 2}, DataError, "inputs="),
        ({"covariance_type": "tied"}, DataError, "covariance_type"),
    ]:
        with pytest.raises(error, match=message):
            clone(model).set_params(**change).score(X)
    with pytest.raises(DataError, match="singular"):
        clone(model).set_params(transition_covariance=np.diag([0.1, 0.0])).fit(X)
    with pytest.raises(UnsupportedError, match="empty"):
        clone(model).set_params(learned=[]).fit(X)
    with pytest.raises(UnsupportedError, match="on the way"):
        clone(model).set_params(linearisation=Iterated(Cubature())).fit(X)
    with pytest.raises(DataError, match="read none"):
        NonlinearSSM(np.sin, np.sin, 1.0, 1.0, 0.0, 1.0, learned=["theta"]).fit(X)
    with pytest.raises(ShapeError, match="one state"):
        NonlinearSSM(lambda x: x[:0], np.sin, 1.0, 1.0, 0.0, 1.0).sample(3)
    with pytest.raises(ShapeError, match="start"):
        model.sample(3, start=[1.0])
    with pytest.raises(ShapeError, match="steps to come"):
        straight().forecast(np.zeros((4, 3)), steps=2, inputs=np.zeros((3, 1)))
    with pytest.raises(DataError, match="takes none"):
        model.forecast(np.zeros((4, 1)), inputs=np.zeros((1, 1)))
    with pytest.raises(DataError):
        model.save(tmp_path / "model.safetensors")


def test_errors_name_the_way_out():
    ahead = lambda x: np.stack([x[0] + x[1], x[1]])  # noqa: E731
    X, known = np.ones((6, 1)), {"initial_mean": [1.0, 0.0], "initial_covariance": np.eye(2)}
    noise = {"transition_covariance": np.eye(2), "observation_covariance": 1.0}
    model = NonlinearSSM(ahead, lambda x: x[:1], **noise, **known)
    for rule in (None, Cubature(), Iterated()):
        for vectorized in (False, True):
            short = NonlinearSSM(lambda x: x[..., :1], lambda x: x[..., :1], **noise, **known)
            short.set_params(linearisation=rule, vectorized=vectorized)
            with pytest.raises(ShapeError, match="'transition' returned shape"):
                short.score(X)
    with pytest.raises(DataError, match="takes none; give n_inputs="):
        model.score(X, inputs=X)
    with pytest.raises(DataError, match="takes none"):
        model.forecast(X, inputs=[[1.0]])
    with pytest.raises(DataError, match="list of names"):
        clone(model).set_params(learned="theta").fit(X)
    with pytest.raises(DataError, match="no observation at all"):
        clone(model).fit(np.full((6, 1), np.nan))
