"""hmmlearn: the same classes, arguments and attributes, so that conversion is copying.

All settings come along, priors included: hmmlearn's defaults for ``covars_prior`` and ``min_covar`` are not
those of ``hmm``, and a model that is converted goes on maximising what it maximised.
"""

from __future__ import annotations

import numpy as np

from hmm.base import BaseHMM
from hmm.interop.common import array, checked, library, model_class, transition_matrix
from hmm.predictive import symbols
from hmm.variational.model import VariationalHMM
from msgpass.errors import UnsupportedError


def from_hmmlearn(model) -> BaseHMM:
    """A model of hmmlearn as one of ``hmm``.

    Parameters
    ----------
    model : fitted CategoricalHMM, GaussianHMM, GMMHMM, MultinomialHMM, PoissonHMM, VariationalCategoricalHMM
        or VariationalGaussianHMM of hmmlearn

    Raises
    ------
    UnsupportedError
        If there is no such class here.
    DataError
        If it has no parameters yet.
    """
    cls = model_class(type(model).__name__)
    theirs = model.get_params(deep=False)
    own = cls().get_params(deep=False)
    ours = cls(**{name: value for name, value in theirs.items() if name in own})
    for field in ("startprob", "transmat", *cls.EMISSION.LETTERS.values()):
        setattr(ours, f"{field}_", _attribute(model, field))
    for name in _posterior(ours):
        setattr(ours, name, array(name, getattr(model, name, None)))
    if isinstance(getattr(model, "n_trials", None), int):
        ours.n_trials_ = model.n_trials
    return checked(ours)


def _posterior(model: BaseHMM) -> list[str]:
    """Attributes with the prior and the posterior of a variational model."""
    held = model._held().values() if isinstance(model, VariationalHMM) else ()
    return [f"{name}_" for names in held for name in names]


def _attribute(model, field: str) -> np.ndarray:
    """An attribute in the shape in which it is set."""
    if field != "covars" or not type(model).__name__.endswith("GaussianHMM"):
        return array(f"{field}_", getattr(model, f"{field}_", None))
    covars = array("covars_", getattr(model, "_covars_", None))
    if model.covariance_type == "spherical":
        return covars.reshape(model.n_components, -1)[:, 0]  # after a fit, repeated for each feature
    return covars


def to_hmmlearn(model: BaseHMM):
    """A model of ``hmm`` as hmmlearn's of the same name.

    ``random_state`` comes along if it is a seed; settings that hmmlearn lacks do not.

    Raises
    ------
    MissingDependencyError
        Without hmmlearn.
    UnsupportedError
        If hmmlearn has no such class.
    """
    variational, name = isinstance(model, VariationalHMM), type(model).__name__
    module = library("hmmlearn.vhmm" if variational else "hmmlearn.hmm")
    cls = getattr(module, name, None)
    if cls is None:
        raise UnsupportedError(f"hmmlearn has no {name}; convert a model of a class that it has")
    chain = model.chain()
    known, settings = cls().get_params(deep=False), model.get_params(deep=False)
    given = {k: v for k, v in settings.items() if k in known and v is not None}
    if not isinstance(given.get("random_state", 0), int | np.integer):
        del given["random_state"]
    theirs = cls(**given)
    table = symbols(chain.emission)
    theirs.n_features = chain.emission.n_features if table is None else table.shape[1]
    theirs.startprob_, theirs.transmat_ = chain.initial, transition_matrix(chain)
    for name in _posterior(model):
        value = getattr(model, name)
        setattr(theirs, name, np.array(value) if np.ndim(value) else float(value))
    for field in model.EMISSION.LETTERS.values():
        if variational and field == "means":
            continue  # a property there, which reads the posterior
        setattr(theirs, f"{field}_", np.array(getattr(chain.emission, field)))
    return theirs
