"""pomegranate 1.x: torch modules, log transition probabilities, and probabilities of ending in each state.

An HMM of pomegranate may also say in which state a sequence ends. Where that is the same for all states it
only shifts the log-likelihood; otherwise it is another model, which ``hmm`` does not have.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.interop.common import (
    SINGLE,
    array,
    checked,
    library,
    model_class,
    name_of,
    simplex,
    transition_matrix,
)
from msgpass.errors import UnsupportedError

KINDS = {"Normal": "GaussianHMM", "Poisson": "PoissonHMM", "Categorical": "CategoricalHMM"}


def from_pomegranate(model, drop_ends: bool = False) -> BaseHMM:
    """A DenseHMM of pomegranate as a model of ``hmm``.

    Parameters
    ----------
    model : DenseHMM
        Its distributions are all Normal, all Poisson, or all Categorical with one feature.
    drop_ends : bool
        Leave out probabilities of ending that differ between states, and make the transitions sum to one
        without them. The result is another model.

    Raises
    ------
    UnsupportedError
        For other distributions, and for probabilities of ending that matter.
    """
    distributions = list(model.distributions or [])
    names = {type(d).__name__ for d in distributions}
    if len(names) != 1 or not names <= set(KINDS):
        raise UnsupportedError(
            f"this model's distributions are {', '.join(sorted(names)) or 'none'}; they must be all one "
            f"of {', '.join(KINDS)}"
        )
    name, K = names.pop(), len(distributions)
    edges = np.exp(array("edges", model.edges))
    ends = np.zeros(K) if model.ends is None else np.exp(array("ends", model.ends))
    if not drop_ends and (np.ptp(ends) > SINGLE or not (np.abs(edges.sum(axis=1) - 1) < SINGLE).all()):
        raise UnsupportedError(
            "this model says in which states sequences end, which hmm's do not; drop_ends=True drops that"
        )
    if drop_ends:
        edges = edges / edges.sum(axis=1, keepdims=True)
    parameters = _emission(name, distributions)
    ours = model_class(KINDS[name])(n_components=K, **parameters.pop("settings", {}))
    ours.startprob_ = simplex("starts", np.exp(array("starts", model.starts)))
    ours.transmat_ = simplex("edges", edges)
    for field, value in parameters.items():
        setattr(ours, field, value)
    return checked(ours)


def _emission(name: str, distributions) -> dict:
    if name == "Poisson":
        return {"lambdas_": np.stack([array("lambdas", d.lambdas) for d in distributions])}
    if name == "Categorical":
        table = np.stack([array("probs", d.probs) for d in distributions])
        if table.shape[1] != 1:
            raise UnsupportedError(
                f"these distributions have {table.shape[1]} features; hmm's CategoricalHMM has one"
            )
        return {"emissionprob_": simplex("probs", table[:, 0])}
    kinds = {d.covariance_type for d in distributions}
    if len(kinds) != 1 or not kinds <= {"full", "diag"}:
        raise UnsupportedError(f"covariance types {', '.join(sorted(kinds))}: all must be full, or all diag")
    return {
        "settings": {"covariance_type": kinds.pop()},
        "means_": np.stack([array("means", d.means) for d in distributions]),
        "covars_": np.stack([array("covs", d.covs) for d in distributions]),
    }


def to_pomegranate(model: BaseHMM):
    """A model of ``hmm`` as a DenseHMM of pomegranate, in float32, which gives the same log-likelihoods.

    Spherical covariances become diagonal, tied ones full. Its ends are all one, which adds nothing.

    Raises
    ------
    MissingDependencyError
        Without pomegranate.
    UnsupportedError
        If pomegranate has no counterpart.
    """
    name = name_of(model, tuple(KINDS.values()), "pomegranate")
    made, hmms = library("pomegranate.distributions"), library("pomegranate.hmm")
    chain = model.chain()
    emission: Any = chain.emission
    K = len(chain.initial)
    if name == "PoissonHMM":
        distributions = [made.Poisson(row.tolist()) for row in emission.lambdas]
    elif name == "CategoricalHMM":
        distributions = [made.Categorical([row.tolist()]) for row in emission.emissionprob]
    else:
        full = emission.covariance_type in ("full", "tied")
        matrices = np.broadcast_to(model.covars_, (K, *model.covars_.shape[1:]))
        covars = matrices if full else np.diagonal(matrices, axis1=1, axis2=2)
        distributions = [
            made.Normal(m.tolist(), c.tolist(), covariance_type="full" if full else "diag")
            for m, c in zip(emission.means, covars, strict=True)
        ]
    return hmms.DenseHMM(
        distributions,
        edges=transition_matrix(chain).tolist(),
        starts=chain.initial.tolist(),
        ends=np.ones(K).tolist(),
    )
