"""One EM iteration of a linear dynamical system: F, Q, H and R anew."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.cases.kalman_data import KalmanData
from benchmarks.harness import Contender, Problem

TITLE = "EM iteration of a linear dynamical system"
ABOUT = (
    "E-step and M-step, float64: new F, Q, H and R from given ones, the start held. msgpass is "
    "hmm.LinearGaussianSSM with n_iter=1; dynamax its jitted e_step and m_step; pykalman its em with "
    "n_iter=1."
)
TOLERANCE = 1e-6
LEARNED = ("transition_matrix", "transition_covariance", "observation_matrix", "observation_covariance")


def problems(effort: Effort) -> Iterator[Problem]:
    """One long sequence, of three sizes."""
    length = 1_000 if effort == "quick" else 10_000
    for n, p in ((2, 1), (4, 2)) if effort == "quick" else ((2, 1), (4, 2), (16, 8)):
        data = cache(partial(KalmanData.random, n, p, 1, length))
        yield Problem(
            label=f"n={n}, p={p}, T={length}",
            contenders={
                "msgpass": lambda data=data: msgpass(data()),
                "dynamax": lambda data=data: dynamax(data()),
                "pykalman": lambda data=data: pykalman(data()),
            },
            tolerance=TOLERANCE,
            unit="µs",
            per=1e6,
        )


def msgpass(data: KalmanData) -> Contender:
    from hmm import LinearGaussianSSM

    n = data.sizes[0]
    model = LinearGaussianSSM(
        n,
        transition_matrix=data.F,
        transition_covariance=data.Q,
        observation_matrix=data.H,
        observation_covariance=data.R,
        observation_offset=np.zeros(len(data.H)),
        initial_mean=np.zeros(n),
        initial_covariance=np.eye(n),
        learned=list(LEARNED),
        n_iter=1,
        tol=-np.inf,
    )
    y = data.y[0]

    def iterate() -> dict[str, object]:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that one iteration has not converged
            model.fit(y)
        found = {name: getattr(model, name + "_") for name in LEARNED}
        for name in LEARNED:
            delattr(model, name + "_")
        return found

    return iterate


def dynamax(data: KalmanData) -> Contender:
    jax = peers.jax_float64()
    models = peers.require("dynamax.linear_gaussian_ssm")
    n, p, *_ = data.sizes
    model = models.LinearGaussianSSM(n, p, has_dynamics_bias=False, has_emissions_bias=False)
    parameters, properties = model.initialize(
        jax.random.PRNGKey(0),
        initial_mean=jax.numpy.zeros(n),
        initial_covariance=jax.numpy.eye(n),
        dynamics_weights=jax.numpy.asarray(data.F),
        dynamics_covariance=jax.numpy.asarray(data.Q),
        emission_weights=jax.numpy.asarray(data.H),
        emission_covariance=jax.numpy.asarray(data.R),
    )
    state = model.initialize_m_step_state(parameters, properties)

    @jax.jit
    def step(parameters, y):
        statistics, _ = jax.vmap(partial(model.e_step, parameters))(y)
        found, _ = model.m_step(parameters, properties, statistics, state)
        return found.dynamics.weights, found.dynamics.cov, found.emissions.weights, found.emissions.cov

    y = jax.numpy.asarray(data.y)
    return lambda: dict(zip(LEARNED, jax.block_until_ready(step(parameters, y)), strict=True))


def pykalman(data: KalmanData) -> Contender:
    library = peers.require("pykalman")
    n, y = data.sizes[0], data.y[0]

    def iterate() -> dict[str, object]:
        model = library.KalmanFilter(
            data.F,
            data.H,
            data.Q,
            data.R,
            None,
            None,
            np.zeros(n),
            np.eye(n),
            em_vars=[
                "transition_matrices",
                "transition_covariance",
                "observation_matrices",
                "observation_covariance",
            ],
        )
        model.em(y, n_iter=1)
        return {
            "transition_matrix": model.transition_matrices,
            "transition_covariance": model.transition_covariance,
            "observation_matrix": model.observation_matrices,
            "observation_covariance": model.observation_covariance,
        }

    return iterate
