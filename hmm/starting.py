"""From a model's settings and attributes to the chain that a fit starts from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from hmm.chain import Chain
from hmm.learning.restrictions import Restrictions, restrictions
from hmm.monitor import check_tolerance, log
from hmm.sample import Sample
from hmm.topology import allowed_transitions, check_topology, starts_at_first
from hmm.transitions.base import Transition
from hmm.transitions.homogeneous import Homogeneous
from hmm.validation import letters, one_of, prior, whole
from msgpass.errors import DataError, ProbabilityError

ALGORITHMS = ("viterbi", "map")
IMPLEMENTATIONS = ("log", "scaling")
METHODS = ("em", "lbfgs")


def fields(model) -> dict[str, str]:
    """Letter → what it stands for, of a model's estimable parameters."""
    return {"s": "startprob", "t": "transmat", **model.EMISSION.LETTERS}


def attributes(model) -> dict[str, tuple[str, ...]]:
    """Letter → the attributes (without their "_") that hold it."""
    own = {letter: (field,) for letter, field in model.EMISSION.LETTERS.items()}
    return {"s": ("startprob",), "t": model.transition_kind().FIELDS, **own}


def check_settings(model) -> None:
    """All constructor arguments of every model."""
    K = whole("n_components", model.n_components, 1)
    whole("n_iter", model.n_iter, 0)
    whole("n_init", model.n_init, 1)
    check_tolerance(model.tol)
    if not isinstance(model.verbose, bool | np.bool_ | int | np.integer):
        raise DataError(f"verbose must be True or False, got {model.verbose!r}")
    one_of("algorithm", model.algorithm, ALGORITHMS)
    one_of("implementation", model.implementation, IMPLEMENTATIONS)
    one_of("method", model.method, METHODS)
    letters("params", model.params, fields(model))
    letters("init_params", model.init_params, fields(model))
    for name, shape in (("startprob_prior", (K,)), ("transmat_prior", (K, K))):
        if getattr(model, name) is not None or not model.PRIORS_BY_DEFAULT:
            prior(name, getattr(model, name), shape, positive=True)
    if model.transitions is not None and not isinstance(model.transitions, Transition):
        raise DataError(
            f"transitions is None or one of hmm.transitions, got {model.transitions!r}; a matrix goes to "
            "transmat_"
        )
    check_topology(model.topology, K)
    model_restrictions(model)


def model_restrictions(model) -> Restrictions:
    """What the settings ``frozen`` and ``tied`` say."""
    return restrictions(model.n_components, model.EMISSION.LETTERS, model.frozen, model.tied)


def starting_chain(model, sample: Sample, rng: np.random.Generator) -> Chain:
    """What the attributes hold and ``init_params`` does not name; the rest from the data. The model stays as
    it is."""
    draft, held = copy.copy(model), attributes(model)
    anew = {c for c, names in held.items() if c in model.init_params or not all(map(model.has, names))}
    restricted = model_restrictions(model)
    _check_frozen(model, held)
    _warn_overwritten(model, {c: held[c] for c in sorted(anew)})
    K = model.n_components
    allowed = allowed_transitions(model.topology, K)
    if "s" in anew:
        start = np.eye(K)[0] if starts_at_first(model.topology) else np.full(K, 1 / K)
        draft.startprob_ = _around(start, model, "startprob_", restricted.initial)
    if "t" in anew:
        transition = model.transition_kind().start(allowed, model.stickiness(sample.X), rng)
        for name in transition.FIELDS:
            value = getattr(transition, name)
            if name == "transmat":
                value = _around(value, model, "transmat_", restricted.transition)
            setattr(draft, f"{name}_", value)
    elif model.topology is not None:
        _check_topology(model, allowed)
    letters_anew = sorted(anew & set(model.EMISSION.LETTERS))
    if letters_anew:
        emission = model.start_emission(sample.X, rng)
        for letter in letters_anew:
            name = model.EMISSION.LETTERS[letter]
            setattr(draft, f"{name}_", getattr(emission, name))
    chain = draft.chain(sample.X)
    if restricted.rows is not None and isinstance(chain.transition, Homogeneous):
        alike = restricted.pooled_rows(chain.transition.transmat)
        chain = replace(chain, transition=replace(chain.transition, transmat=alike))
    if restricted.restrict_emission:
        own = {f"{u}{name}_" for name in model.EMISSION.LETTERS.values() for u in ("", "_")}
        vars(draft).update({name: value for name, value in vars(model).items() if name in own})
        given = draft.emission(sample.X).check(K) if restricted.emission else chain.emission
        chain = replace(chain, emission=restricted.started(chain.emission, given))
    free = sum(n for letter, n in free_parameters(chain).items() if letter in model.params)
    if sample.X.size < free:
        log.warning(
            "Fitting %d free parameters to %d numbers; the solution will be degenerate", free, sample.X.size
        )
    return chain


def _warn_overwritten(model, anew: Mapping[str, tuple[str, ...]]) -> None:
    if model.has("n_features_in"):
        return
    for letter, names in anew.items():
        for name in names:
            if not model.has(name) or name in (model.frozen or {}):
                continue
            log.warning("%s_ was set, but the fit starts anew because init_params contains %r", name, letter)


def _check_frozen(model, held: Mapping[str, tuple[str, ...]]) -> None:
    """Frozen parameters have values."""
    for key in model.frozen or {}:
        names = [n for c in model.EMISSION.LETTERS for n in held[c]] if key == "emission" else [key]
        absent = [f"{n}_" for n in names if not model.has(n)]
        if absent:
            raise DataError(
                f"frozen holds {key!r}, but {', '.join(absent)} is not set; set what is frozen before the fit"
            )


def _around(start: np.ndarray, model, name: str, frozen: np.ndarray | None) -> np.ndarray:
    """A start whose frozen entries are those of the attribute, the others sharing what those leave."""
    if frozen is None:
        return start
    given = np.asarray(getattr(model, name), np.float64)
    if given.shape != start.shape:
        raise ProbabilityError(f"{name} has shape {given.shape}, wanted {start.shape}")
    left = 1 - np.where(frozen, given, 0).sum(axis=-1, keepdims=True)
    if (left < -1e-9).any():
        raise ProbabilityError(f"the frozen entries of {name} sum to more than 1")
    free = np.where(frozen, 0, start)
    mass = free.sum(axis=-1, keepdims=True)
    return np.where(frozen, given, np.maximum(left, 0) * free / np.where(mass > 0, mass, 1))


def _check_topology(model, allowed: np.ndarray) -> None:
    transmat = np.asarray(getattr(model, "transmat_", allowed))
    if transmat.shape == allowed.shape and (transmat[~allowed] != 0).any():
        i, j = np.argwhere((transmat != 0) & ~allowed)[0]
        raise ProbabilityError(
            f"transmat_ goes from state {i} to {j}, which topology={model.topology!r} forbids; set it to "
            "0 there"
        )


def free_parameters(chain: Chain) -> dict[str, int]:
    """Free numbers by letter."""
    K = len(chain.initial)
    return {"s": K - 1, "t": chain.transition.n_parameters(), **chain.emission.n_parameters()}
