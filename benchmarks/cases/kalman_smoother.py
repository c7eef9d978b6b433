"""Filter and smoother of a linear-Gaussian model: means and covariances of all states given all data."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np

from benchmarks import peers
from benchmarks.cases import Effort
from benchmarks.cases.kalman_data import KalmanData
from benchmarks.harness import Contender, Problem

TITLE = "Kalman smoother"
ABOUT = (
    "Smoothed means (T, n) and covariances (T, n, n), float64; model and data lie ready. msgpass runs a "
    "kept graph and reads m.belief['x'], which goes over to constant gains where the covariances have "
    "converged to 1e-15; 'without convergence' is its kernel with that switched off. statsmodels is its "
    "Cython smoother asked for smoothed state and covariance only, without (tolerance 0) and with its own "
    "convergence switch, one series after the other. dynamax is its jitted lgssm_smoother, vmapped over "
    "series; pykalman its smooth."
)
SIZES = ((2, 1), (4, 2), (16, 8), (64, 32))
TOLERANCE = 1e-7  # dynamax: 1e-8, statsmodels with its convergence switch 2e-9, the others 1e-14


def problems(effort: Effort) -> Iterator[Problem]:
    """One long sequence of each size, then many short ones."""
    long, many = (1_000, (20, 50)) if effort == "quick" else (10_000, (1000, 100))
    shapes = [(n, p, 1, long) for n, p in SIZES] + [(n, p, *many) for n, p in SIZES[:3]]
    if effort == "quick":
        shapes = [shapes[0], shapes[1], shapes[4]]
    for n, p, sequences, length in shapes:
        data = cache(partial(KalmanData.random, n, p, sequences, length))
        contenders = {
            "msgpass": lambda data=data: msgpass(data()),
            "msgpass without convergence": lambda data=data: kernel(data()),
            "statsmodels": lambda data=data: statsmodels(data(), False),
            "statsmodels converging": lambda data=data: statsmodels(data(), True),
            "dynamax": lambda data=data: dynamax(data()),
            "pykalman": lambda data=data: pykalman(data()),
        }
        if n > 16 and effort != "full":
            del contenders["pykalman"]
        if sequences > 1 and n > 4 and effort != "full":
            del contenders["pykalman"]
        yield Problem(
            label=f"n={n}, p={p}, {sequences} × {length}",
            contenders=contenders,
            tolerance=TOLERANCE,
            unit="ns/step",
            per=1e9 / (sequences * length),
        )


def _moments(mean, cov) -> dict[str, object]:
    return {"mean": mean, "cov": cov}


def msgpass(data: KalmanData) -> Contender:
    from msgpass import run

    g = data.graph()
    return lambda: _moments(*run(g).belief["x"])


def kernel(data: KalmanData) -> Contender:
    from msgpass.kernels.gaussian_chain_compiled import CompiledSweep

    arrays = data.arrays()
    return lambda: _moments(*CompiledSweep(arrays, steady=False).smoothed)


def statsmodels(data: KalmanData, converging: bool) -> Contender:
    smoothing = peers.require("statsmodels.tsa.statespace.kalman_smoother")
    n, p, sequences, _ = data.sizes
    wanted = smoothing.SMOOTHER_STATE | smoothing.SMOOTHER_STATE_COV
    models = []
    for y in data.y:
        model = smoothing.KalmanSmoother(k_endog=p, k_states=n, k_posdef=n)
        if not converging:
            model.tolerance = 0.0
        model.bind(np.asfortranarray(y.T))
        model["design"], model["transition"], model["selection"] = data.H, data.F, np.eye(n)
        model["state_cov"], model["obs_cov"] = data.Q, data.R
        model.initialize_known(np.zeros(n), np.eye(n))
        models.append(model)

    def smooth() -> dict[str, object]:
        found = [model.smooth(smoother_output=wanted) for model in models]
        if sequences == 1:
            return _moments(found[0].smoothed_state.T, found[0].smoothed_state_cov.transpose(2, 0, 1))
        mean = np.concatenate([one.smoothed_state.T for one in found])
        return _moments(mean, np.concatenate([one.smoothed_state_cov.transpose(2, 0, 1) for one in found]))

    return smooth


def dynamax(data: KalmanData) -> Contender:
    jax = peers.jax_float64()
    inference = peers.require("dynamax.linear_gaussian_ssm.inference")
    n, _, sequences, _ = data.sizes
    parameters = inference.make_lgssm_params(
        jax.numpy.zeros(n), jax.numpy.eye(n), data.F, data.Q, data.H, data.R
    )

    def one(y):
        found = inference.lgssm_smoother(parameters, y)
        return found.smoothed_means, found.smoothed_covariances

    smooth = jax.jit(one if sequences == 1 else jax.vmap(one))
    y = jax.numpy.asarray(data.y[0] if sequences == 1 else data.y)

    def call() -> dict[str, object]:
        mean, cov = jax.block_until_ready(smooth(y))
        return _moments(mean.reshape(-1, n), cov.reshape(-1, n, n))

    return call


def pykalman(data: KalmanData) -> Contender:
    library = peers.require("pykalman")
    n = data.sizes[0]
    model = library.KalmanFilter(data.F, data.H, data.Q, data.R, None, None, np.zeros(n), np.eye(n))

    def smooth() -> dict[str, object]:
        found = [model.smooth(y) for y in data.y]
        return _moments(*(np.concatenate(part) for part in zip(*found, strict=True)))

    return smooth
