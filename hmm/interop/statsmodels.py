"""statsmodels: state space models, whatever class or formula they come from, by their matrices.

    α_{t+1} = T α_t + c + R η_t, Var η = Q        y_t = Z α_t + d + ε_t, Var ε = H

Time runs alike on both sides. A diffuse likelihood of statsmodels is less than ``score`` by ½ log 2π for each
diffuse state.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmm.interop.common import array, library
from hmm.state_space.graph import values
from hmm.state_space.model import LinearGaussianSSM
from msgpass.errors import DataError, UnsupportedError


def from_statsmodels(model) -> LinearGaussianSSM:
    """A statsmodels state space model, or the results of fitting one, as :class:`hmm.LinearGaussianSSM`.

    Parameters
    ----------
    model : MLEModel (SARIMAX, UnobservedComponents, VARMAX, DynamicFactor, …), its results, or a
    Representation
        Its matrices as they are now: of results, those that were estimated. Data stay behind.

    Returns
    -------
    LinearGaussianSSM
        With every parameter given to its constructor; matrices that vary have a step axis.

    Raises
    ------
    UnsupportedError
        If it is no state space model, or one whose first state has no distribution yet.
    """
    owner = getattr(model, "model", model)
    if owner is not model and hasattr(model, "params") and hasattr(owner, "update"):
        transformed = {"transformed": True, "includes_fixed": True}
        owner.update(np.asarray(model.params), **transformed)
    ssm: Any = getattr(owner, "ssm", owner)
    if not (hasattr(ssm, "k_states") and hasattr(ssm, "initialization")):
        raise UnsupportedError(
            f"{type(model).__name__} is not a state space model of statsmodels; SARIMAX, "
            f"UnobservedComponents, "
            "VARMAX, DynamicFactor and their results are"
        )
    if ssm.initialization is None:
        raise UnsupportedError(
            "this statsmodels model does not say where its first state comes from; call its "
            "initialize_known, "
            "initialize_stationary or initialize_diffuse first"
        )
    n = int(ssm.k_states)
    R, Q = _steps(ssm["selection"], 3), _steps(ssm["state_cov"], 3)
    noise = R @ Q @ np.swapaxes(R, -1, -2)
    mean, diffuse, stationary = (np.asarray(part, float) for part in ssm.initialization(model=ssm))
    flat = np.diag(diffuse) > 0
    cov = np.array(stationary)
    cov[flat], cov[:, flat] = 0.0, 0.0
    cov[flat, flat] = np.inf
    return LinearGaussianSSM(
        n,
        transition_matrix=_steps(ssm["transition"], 3),
        transition_covariance=(noise + np.swapaxes(noise, -1, -2)) / 2,
        transition_offset=_steps(ssm["state_intercept"], 2),
        observation_matrix=_steps(ssm["design"], 3),
        observation_covariance=_steps(ssm["obs_cov"], 3),
        observation_offset=_steps(ssm["obs_intercept"], 2),
        initial_mean=np.where(flat, 0.0, mean),
        initial_covariance=cov,
    )


def _steps(matrix, axes: int) -> np.ndarray:
    """statsmodels' last axis is time; it goes to the front, or away where there is one step."""
    found = array("a matrix of the model", matrix)
    if found.ndim < axes:
        return found
    found = np.moveaxis(found, -1, 0)
    return found[0] if len(found) == 1 else np.ascontiguousarray(found)


def to_statsmodels(model: LinearGaussianSSM, X, *, inputs=None):
    """A model with its data as statsmodels' ``MLEModel``: ``.ssm.smooth()``, ``.ssm.loglike()`` and so on.

    Parameters
    ----------
    model : LinearGaussianSSM
    X : array-like, (T, p)
        One sequence. Inputs become part of the offsets.
    inputs : array-like, (T, k), optional

    Raises
    ------
    MissingDependencyError
        If statsmodels is not installed.
    """
    mlemodel = library("statsmodels.tsa.statespace.mlemodel")
    initialization = library("statsmodels.tsa.statespace.initialization")
    space, series = model._ready(X, None, None, inputs)
    if len(series.lengths) != 1:
        raise DataError(
            f"a statsmodels model holds one sequence, got {len(series.lengths)}; convert one at a time"
        )
    n, T = space.n_states, len(series.y)
    found, u = values(space, series), series.u
    made = mlemodel.MLEModel(series.y, k_states=n, k_posdef=n)
    ssm = made.ssm
    ssm["selection"] = np.eye(n)
    for kind, names in (
        ("transition", ("transition", "state_cov", "state_intercept")),
        ("observation", ("design", "obs_cov", "obs_intercept")),
    ):
        matrix, cov, offset = (found[f"{kind}_{part}"] for part in ("matrix", "covariance", "offset"))
        here = u[:-1] if kind == "transition" else u
        if space.n_inputs:
            offset = offset + np.einsum("...ij,...j->...i", matrix[..., n:], here)
        parts = zip(names, (matrix[..., :n], cov, offset), (2, 2, 1), strict=True)
        for name, value, axes in parts:
            if value.ndim > axes and kind == "transition":  # the last step leads nowhere
                value = np.concatenate([value, value[-1:]]) if len(value) else np.zeros((T, *value.shape[1:]))
            ssm[name] = np.moveaxis(value, 0, -1) if value.ndim > axes else value
    ssm.initialization = _initialization(initialization, space, n)
    return made


def _initialization(module, space, n: int):
    flat = np.isposinf(np.diag(space.initial_covariance))
    if space.initial == "diffuse" or flat.all():
        return module.Initialization(n, "diffuse")
    if not flat.any():
        return module.Initialization(
            n, "known", constant=space.initial_mean, stationary_cov=space.initial_covariance
        )
    made, known = module.Initialization(n), np.flatnonzero(~flat)
    if (np.diff(known) > 1).any():
        raise UnsupportedError(
            "statsmodels starts known states that lie side by side; flat ones are between them"
        )
    block = slice(int(known[0]), int(known[-1]) + 1)
    for i in np.flatnonzero(flat):
        made.set(int(i), "diffuse")
    start = {"constant": space.initial_mean[block], "stationary_cov": space.initial_covariance[block, block]}
    made.set((block.start, block.stop), "known", **start)
    return made
