"""What all conversions need: the other library or a word on how to get it, and probabilities made exact."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from hmm.base import BaseHMM
from hmm.chain import Chain
from hmm.transitions.homogeneous import Homogeneous
from hmm.transitions.sparse import Sparse
from msgpass.errors import DataError, MissingDependencyError, ProbabilityError, UnsupportedError

SINGLE = 1e-4
"""How far from one the probabilities of a library that computes in float32 may sum."""


def library(module: str) -> Any:
    """A module of another library."""
    try:
        return import_module(module)
    except ImportError as problem:
        name = module.split(".")[0]
        raise MissingDependencyError(
            f"a model goes to {name} only where {name} is installed ({problem}): pip install {name}"
        ) from None


def model_class(name: str) -> type[BaseHMM]:
    """A model of ``hmm`` by name."""
    import hmm

    found = getattr(hmm, name, None) if name in hmm.__all__ else None
    if not (isinstance(found, type) and issubclass(found, BaseHMM)):
        raise UnsupportedError(f"hmm has no {name}; its models are {', '.join(sorted(hmm.__all__))}")
    return found


def array(name: str, value) -> np.ndarray:
    """Numbers of NumPy, JAX or torch as float64."""
    if value is None:
        raise DataError(f"the model has no {name} yet; fit it, or set it, first")
    value = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    try:
        return np.array(value, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise DataError(f"{name} is not an array of numbers: {problem}") from None


def simplex(name: str, value) -> np.ndarray:
    """Probabilities that sum to one up to single precision, made to do so in double."""
    p = array(name, value)
    total = p.sum(axis=-1, keepdims=True)
    if (p < 0).any() or not (np.abs(total - 1) < SINGLE).all():
        worst = float(np.ravel(total)[np.argmax(np.abs(np.ravel(total) - 1))])
        raise ProbabilityError(f"{name} must be probabilities that sum to 1, got a sum of {worst:.6g}")
    return p / total


def checked(model: BaseHMM) -> BaseHMM:
    """The model with ``n_features_in_``, its parameters found sound."""
    model.n_features_in_ = model.chain().emission.n_features
    return model


def name_of(model, allowed: tuple[str, ...], where: str) -> str:
    """Name of the model's class, if the conversion knows it."""
    name = type(model).__name__
    if name not in allowed:
        raise UnsupportedError(f"{name} has no counterpart in {where}; {', '.join(allowed)} have")
    return name


def transition_matrix(chain: Chain) -> np.ndarray:
    """The one matrix of a chain, (K, K); other libraries know no other transitions."""
    if not isinstance(chain.transition, Homogeneous | Sparse):
        raise UnsupportedError(
            f"{type(chain.transition).__name__} transitions have no counterpart there; a model with one "
            "transition matrix has"
        )
    return chain.transition.matrix
