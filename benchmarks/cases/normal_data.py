"""A Gaussian HMM, sequences drawn from it, and the other libraries' models of it without their priors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import peers


@dataclass(frozen=True)
class NormalData:
    """Sequences of equal length and the parameters of a model that is near the one they were drawn from."""

    covariance_type: str
    initial: np.ndarray
    transition: np.ndarray
    means: np.ndarray
    covars: np.ndarray  # (K, D) diag, (K, D, D) full
    observations: np.ndarray  # (number of sequences, length, D)

    @classmethod
    def random(
        cls,
        states: int,
        features: int,
        sequences: int,
        length: int,
        covariance_type: str = "diag",
        seed: int = 0,
    ) -> NormalData:
        rng = np.random.default_rng(seed)
        initial, transition = np.full(states, 1 / states), sticky(states, rng)
        means = 3 * rng.standard_normal((states, features))
        factors = rng.standard_normal((states, features, 2 * features)) / np.sqrt(2 * features)
        covars = factors @ np.swapaxes(factors, 1, 2) + 0.1 * np.eye(features)
        if covariance_type == "diag":
            covars = covars * np.eye(features)
        path = states_of(initial, transition, sequences, length, rng)
        noise = rng.standard_normal((sequences, length, features))
        observations = means[path] + np.einsum("ntij,ntj->nti", np.linalg.cholesky(covars)[path], noise)
        start = means + 0.5 * rng.standard_normal(means.shape)
        kept = np.diagonal(covars, axis1=1, axis2=2).copy() if covariance_type == "diag" else covars
        return cls(covariance_type, initial, transition, start, 2 * kept, observations)

    @property
    def rows(self) -> np.ndarray:
        """Sequences end to end, (T, D)."""
        return self.observations.reshape(-1, self.observations.shape[2])

    @property
    def lengths(self) -> list[int]:
        """Length of every sequence."""
        return [self.observations.shape[1]] * len(self.observations)


def sticky(states: int, rng: np.random.Generator) -> np.ndarray:
    """Transitions that stay about half of the time."""
    transition = rng.dirichlet(np.ones(states), states) + np.eye(states)
    return transition / transition.sum(axis=1, keepdims=True)


def states_of(
    initial: np.ndarray, transition: np.ndarray, sequences: int, length: int, rng: np.random.Generator
) -> np.ndarray:
    """Paths of the chain, (sequences, length)."""
    path = np.empty((sequences, length), np.int64)
    path[:, 0] = rng.choice(len(initial), sequences, p=initial)
    cdf, u = np.cumsum(transition, axis=1), rng.random((sequences, length))
    for t in range(1, length):
        path[:, t] = (u[:, t, None] > cdf[path[:, t - 1]]).sum(axis=1).clip(max=len(initial) - 1)
    return path


def msgpass_model(data: NormalData, **settings) -> Any:
    """hmm's model with the parameters of ``data``."""
    from hmm import GaussianHMM

    return set_parameters(GaussianHMM(len(data.initial), data.covariance_type, **settings), data)


def hmmlearn_model(data: NormalData, **settings) -> Any:
    """hmmlearn's model, without the priors that it has by default."""
    hmm = peers.require("hmmlearn.hmm")
    flat = {"covars_prior": 0.0, "covars_weight": 1.0, "means_weight": 0.0, "min_covar": 0.0}
    model = hmm.GaussianHMM(
        len(data.initial), data.covariance_type, implementation="scaling", **flat, **settings
    )
    return set_parameters(model, data)


def set_parameters(model, data: NormalData) -> Any:
    """The model itself with the parameters of ``data``; hmm and hmmlearn have the same names for them."""
    model.startprob_, model.transmat_ = data.initial.copy(), data.transition.copy()
    model.means_, model.covars_ = data.means.copy(), data.covars.copy()
    return model


def dynamax_model(data: NormalData) -> tuple[Any, Any, Any]:
    """(model, parameters, properties) of dynamax, whose M-step takes the mode of a conjugate posterior. With
    diagonal covariances its prior is set to nothing, so that the mode is the maximum of the likelihood; full
    ones cannot be had without a prior, and only their densities are comparable."""
    models = peers.require("dynamax.hidden_markov_model")
    K, D = data.means.shape
    flat = {"initial_probs_concentration": 1.0, "transition_matrix_concentration": 1.0}
    if data.covariance_type == "diag":  # the mode of σ² is scale / (concentration + 3/2)
        prior = {"mean_concentration": 0.0, "concentration": -1.5, "scale": 0.0}
        flat |= {f"emission_prior_{name}": value for name, value in prior.items()}
        model = models.DiagonalGaussianHMM(K, D, **flat)
        spread = {"emission_scale_diags": np.sqrt(data.covars)}
    else:
        model = models.GaussianHMM(K, D, **flat)
        spread = {"emission_covariances": data.covars}
    jnp = peers.jax_float64().numpy
    parameters, properties = model.initialize(
        initial_probs=jnp.asarray(data.initial),
        transition_matrix=jnp.asarray(data.transition),
        emission_means=jnp.asarray(data.means),
        **{name: jnp.asarray(value) for name, value in spread.items()},
    )
    return model, parameters, properties
