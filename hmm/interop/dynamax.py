"""dynamax: a model without numbers and a tree of parameters beside it, in float32 unless JAX is set to more.

Its normal models have a class for each structure of covariances, and keep standard deviations for spherical
and diagonal ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.interop.common import array, checked, library, model_class, name_of, simplex, transition_matrix
from msgpass.errors import UnsupportedError

NORMALS = {
    "SphericalGaussianHMM": "spherical",
    "DiagonalGaussianHMM": "diag",
    "GaussianHMM": "full",
    "SharedCovarianceGaussianHMM": "tied",
}
OTHERS = ("CategoricalHMM", "PoissonHMM")


def from_dynamax(model, params) -> BaseHMM:
    """A dynamax model and its parameters as a model of ``hmm``.

    Parameters
    ----------
    model : CategoricalHMM (of one emission), PoissonHMM, or a Gaussian model of dynamax
    params : its parameters, as ``initialize`` and ``fit_em`` return them

    Raises
    ------
    UnsupportedError
        For other models.
    ProbabilityError, DataError
        If the parameters are no probabilities, or no numbers.
    """
    name = name_of(model, (*OTHERS, *NORMALS), "hmm")
    initial = simplex("initial.probs", params.initial.probs)
    settings: dict[str, Any] = {"covariance_type": NORMALS[name]} if name in NORMALS else {}
    cls = model_class("GaussianHMM" if name in NORMALS else name)
    ours = cls(n_components=len(initial), **settings)
    ours.startprob_ = initial
    ours.transmat_ = simplex("transitions.transition_matrix", params.transitions.transition_matrix)
    for field, value in _emission(name, params.emissions).items():
        setattr(ours, field, value)
    return checked(ours)


def _emission(name: str, emissions) -> dict[str, np.ndarray]:
    if name == "PoissonHMM":
        return {"lambdas_": array("rates", emissions.rates)}
    if name == "CategoricalHMM":
        table = simplex("emissions.probs", emissions.probs)
        if table.shape[1] != 1:
            raise UnsupportedError(
                f"this dynamax model emits {table.shape[1]} symbols a step; hmm's CategoricalHMM emits one"
            )
        return {"emissionprob_": table[:, 0]}
    covars = {
        "SphericalGaussianHMM": lambda: array("scales", emissions.scales) ** 2,
        "DiagonalGaussianHMM": lambda: array("scale_diags", emissions.scale_diags) ** 2,
        "GaussianHMM": lambda: array("covs", emissions.covs),
        "SharedCovarianceGaussianHMM": lambda: array("cov", emissions.cov),
    }[name]()
    return {"means_": array("means", emissions.means), "covars_": covars}


def to_dynamax(model: BaseHMM):
    """A model of ``hmm`` as (model, params) of dynamax.

    Raises
    ------
    MissingDependencyError
        Without dynamax.
    UnsupportedError
        If dynamax has no counterpart.
    """
    name = name_of(model, ("CategoricalHMM", "GaussianHMM", "PoissonHMM"), "dynamax")
    module, jax = library("dynamax.hidden_markov_model"), library("jax")
    chain = model.chain()
    emission: Any = chain.emission
    K = len(chain.initial)
    given = {"initial_probs": chain.initial, "transition_matrix": transition_matrix(chain)}
    if name == "PoissonHMM":
        theirs = module.PoissonHMM(K, emission.n_features)
        given["emission_rates"] = emission.lambdas
    elif name == "CategoricalHMM":
        theirs = module.CategoricalHMM(K, 1, emission.emissionprob.shape[1])
        given["emission_probs"] = emission.emissionprob[:, None]
    else:
        kind = next(k for k, v in NORMALS.items() if v == emission.covariance_type)
        theirs = getattr(module, kind)(K, emission.n_features)
        given["emission_means"] = emission.means
        which, value = {
            "spherical": ("emission_scales", lambda c: np.sqrt(c)),
            "diag": ("emission_scale_diags", lambda c: np.sqrt(c)),
            "full": ("emission_covariances", lambda c: c),
            "tied": ("emission_covariance", lambda c: c),
        }[emission.covariance_type]
        given[which] = value(emission.covars)
    params, _ = theirs.initialize(
        jax.random.PRNGKey(0), **{k: jax.numpy.asarray(v) for k, v in given.items()}
    )
    return theirs, params
