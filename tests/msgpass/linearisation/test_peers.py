"""The same numbers as dynamax's extended and unscented filters and smoothers, where it is installed."""

import numpy as np
import pytest

from hmm import NonlinearSSM
from msgpass import Step
from msgpass.linearisation import Extended, Unscented

pytestmark = [pytest.mark.peers, pytest.mark.filterwarnings("ignore")]  # of the peer's own imports


@pytest.fixture
def peer():
    pytest.importorskip("dynamax")
    import jax

    jax.config.update("jax_enable_x64", True)
    from dynamax import nonlinear_gaussian_ssm

    return nonlinear_gaussian_ssm


def functions(numpy):
    def f(x):
        return numpy.stack([x[0] + 0.1 * x[1], x[1] - 0.98 * numpy.sin(x[0])])

    def h(x):
        return numpy.stack([numpy.sin(x[0]), x[0] * x[1]])

    return f, h


@pytest.mark.parametrize("kind", ["extended", "unscented"])
def test_filters_and_smoothers_agree(kind, peer):
    import jax.numpy as jnp

    numbers = {
        "transition_covariance": np.diag([1e-3, 1e-2]),
        "observation_covariance": np.array([[0.02, 0.0], [0.0, 0.1]]),
        "initial_mean": np.array([1.0, 0.0]),
        "initial_covariance": 0.1 * np.eye(2),
    }
    rule = Extended() if kind == "extended" else Unscented(np.sqrt(3), 2.0, 1.0)
    ours = NonlinearSSM(*functions(np), **numbers, linearisation=rule)
    X, _ = ours.sample(60, random_state=0)
    f, h = functions(jnp)
    params = peer.ParamsNLGSSM(
        initial_mean=jnp.array(numbers["initial_mean"]),
        initial_covariance=jnp.array(numbers["initial_covariance"]),
        dynamics_function=f,
        dynamics_covariance=jnp.array(numbers["transition_covariance"]),
        emission_function=h,
        emission_covariance=jnp.array(numbers["observation_covariance"]),
    )
    more = [] if kind == "extended" else [peer.UKFHyperParams()]
    theirs = getattr(peer, f"{kind}_kalman_smoother")(params, jnp.array(X), *more)
    assert ours.score(X) == pytest.approx(float(theirs.marginal_loglik), rel=1e-6)
    found = ours.filter(X)
    np.testing.assert_allclose(found.mean, theirs.filtered_means, atol=1e-6)
    np.testing.assert_allclose(found.cov, theirs.filtered_covariances, atol=1e-6)
    smooth = ours.smooth(X)
    np.testing.assert_allclose(smooth.mean, theirs.smoothed_means, atol=1e-5)
    np.testing.assert_allclose(smooth.cov, theirs.smoothed_covariances, atol=1e-5)


def test_a_jax_step_has_the_same_messages(peer):
    import jax.numpy as jnp

    numbers = ([1.0, 0.0], 0.1 * np.eye(2))
    covs = (np.diag([1e-3, 1e-2]), 0.1 * np.eye(2))
    ours = NonlinearSSM(*functions(np), *covs, *numbers)
    X, _ = ours.sample(20, random_state=0)
    theirs = NonlinearSSM(*(Step.from_jax(g) for g in functions(jnp)), *covs, *numbers)
    (a, left), (b, right) = ours.gradient(X), theirs.gradient(X)
    assert a == pytest.approx(b, abs=1e-9)
    for name, slope in left.items():
        np.testing.assert_allclose(slope, right[name], rtol=1e-6, atol=1e-6)
