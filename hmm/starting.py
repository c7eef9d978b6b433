"""From a model's settings and attributes to the chain that a fit starts from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import issparse

from hmm.chain import Chain
from hmm.learning.restrictions import Restrictions, restrictions
from hmm.monitor import check_tolerance, log
from hmm.sample import Sample
from hmm.topology import allowed_transitions, check_topology, sparse_transitions, starts_at_first
from hmm.transitions.base import Transition
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
    if model.startprob_prior is not None or not model.PRIORS_BY_DEFAULT:
        prior("startprob_prior", model.startprob_prior, (K,), positive=True)
    if model.transitions is not None and not isinstance(model.transitions, Transition):
        raise DataError(
            f"transitions is None or one of hmm.transitions, got {model.transitions!r}; a matrix goes to "
            "transmat_"
        )
    check_topology(model.topology, K)
    kind = model.transition_kind()
    prior("prior_weight", model.prior_weight, ())
    if model.transmat_prior is not None or not model.PRIORS_BY_DEFAULT:
        prior("transmat_prior", model.transmat_prior, kind.prior_shape(K), positive=True)
    for name in kind.FIELDS:
        if getattr(kind, name) is not None:
            raise DataError(
                f"transitions={type(kind).__name__}(…, {name}=…): the setting says how states follow each "
                f"other, and the numbers are attributes of the model; set {name}_ there"
            )
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
    kind = model.transition_kind()
    if "t" in anew or "t" in model.params:
        kind.check_restrictions(restricted)
    _check_frozen(model, held, restricted)
    _warn_overwritten(model, {c: held[c] for c in sorted(anew)})
    K = model.n_components
    allowed = _allowed(model, kind)
    if "s" in anew:
        start = np.equal(np.arange(K), 0) * 1.0 if starts_at_first(model.topology) else np.full(K, 1 / K)
        draft.startprob_ = _around(start, model, "startprob_", restricted.initial)
    if "t" in anew:
        transition = kind.start(allowed, model.stickiness(sample.X), rng)
        for name in transition.FIELDS:
            value = getattr(transition, name)
            if name == "transmat":
                value = _around(value, model, "transmat_", restricted.transition)
            setattr(draft, f"{name}_", value)
    letters_anew = sorted(anew & set(model.EMISSION.LETTERS))
    if letters_anew:
        emission = model.start_emission(sample.X, rng)
        for letter in letters_anew:
            name = model.EMISSION.LETTERS[letter]
            setattr(draft, f"{name}_", getattr(emission, name))
    chain = draft.chain(sample.X)
    if model.topology is not None:
        _check_support(chain.transition, allowed, model.topology)
    if "t" in model.params:
        chain = replace(chain, transition=chain.transition.obeying(restricted))
        if model.topology is not None and restricted.rows is not None:
            _check_support(chain.transition, allowed, model.topology, tied=True)
    if restricted.restrict_emission:
        own = {f"{u}{name}_" for name in model.EMISSION.LETTERS.values() for u in ("", "_")}
        vars(draft).update({name: value for name, value in vars(model).items() if name in own})
        given = draft.emission(sample.X).check(K) if restricted.emission else chain.emission
        chain = replace(chain, emission=restricted.started(chain.emission, given))
    free = sum(n for letter, n in free_parameters(model, chain).items() if letter in model.params)
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


def _check_frozen(model, held: Mapping[str, tuple[str, ...]], restricted: Restrictions) -> None:
    """Frozen parameters have values, and states that are tied the same."""
    for key in model.frozen or {}:
        names = [n for c in model.EMISSION.LETTERS for n in held[c]] if key == "emission" else [key]
        absent = [f"{n}_" for n in names if not model.has(n)]
        if absent:
            raise DataError(
                f"frozen holds {key!r}, but {', '.join(absent)} is not set; set what is frozen before the fit"
            )
    named = [(model.EMISSION.LETTERS[c], mask, restricted.states) for c, mask in restricted.emission.items()]
    for name, mask, groups in [("transmat", restricted.transition, restricted.rows), *named]:
        value = np.asarray(getattr(model, f"{name}_", None))
        if mask is None or groups is None or value.shape[: mask.ndim] != mask.shape:
            continue
        if (value != value[groups])[mask].any():
            raise DataError(
                f"{name}_ is frozen at different values in states that are tied; set them alike, or untie "
                "them"
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
    if ((left > 1e-9) & (mass == 0)).any():
        raise ProbabilityError(
            f"the frozen entries of {name} sum to less than 1, and the topology leaves no other entry to "
            "make up for it; set them anew, or freeze fewer"
        )
    return np.where(frozen, given, np.maximum(left, 0) * free / np.where(mass > 0, mass, 1))


def _allowed(model, kind: Transition) -> Any:
    """Mask of what may follow what, sparse for a kind that is; a sparse matrix that is set is a topology."""
    if not kind.SPARSE:
        return allowed_transitions(model.topology, model.n_components)
    given = vars(model).get("transmat_")
    topology = given if model.topology is None and issparse(given) else model.topology
    return sparse_transitions(topology, model.n_components)


def _check_support(transition: Transition, allowed, topology, tied: bool = False) -> None:
    """What a fit starts from, attributes or tied rows, goes nowhere that the topology forbids."""
    support = transition.support
    outside = (support > allowed).nonzero() if transition.SPARSE else np.nonzero(support & ~allowed)
    if len(outside[0]):
        i, j = outside[0][0], outside[1][0]
        if tied:
            raise ProbabilityError(
                f"tied['transmat'] lets state {i} go to {j}, which topology={topology!r} forbids; tie rows "
                "that may go to the same states"
            )
        name = "transmat" if "transmat" in transition.FIELDS else transition.FIELDS[-1]
        raise ProbabilityError(
            f"{name}_ goes from state {i} to {j}, which topology={topology!r} forbids; set it to "
            f"{'0' if name == 'transmat' else '-np.inf'} there"
        )


def free_parameters(model, chain: Chain) -> dict[str, int]:
    """Free numbers by letter: without what the topology forbids, what is frozen, and with ties counted
    once."""
    K, restricted = len(chain.initial), model_restrictions(model)
    counts = {"s": K - 1, "t": chain.transition.n_parameters(), **chain.emission.n_parameters()}
    if restricted.initial is not None:
        counts["s"] = max(int((~restricted.initial).sum()) - 1, 0)
    elif starts_at_first(model.topology) and chain.initial[0] == 1:
        counts["s"] = 0
    if chain.transition.n_matrices:
        counts["t"] = chain.transition.n_matrices * _free_entries(model, restricted)
    groups = np.arange(K) if restricted.states is None else restricted.states
    for letter in chain.emission.LETTERS:
        if letter in restricted.emission or restricted.states is not None:
            frozen = restricted.emission.get(letter, np.zeros(K, bool))
            own = chain.emission.by_state(letter)
            share = len(np.unique(groups[~frozen])) / K if own else float(not frozen.all())
            counts[letter] = round(counts[letter] * share)
    return counts


def _free_entries(model, restricted: Restrictions) -> int:
    """Free numbers of one transition matrix."""
    K = model.n_components
    open_ = np.asarray(allowed_transitions(model.topology, K))
    if restricted.transition is not None:
        open_ = open_ & ~restricted.transition
    rows = np.arange(K) if restricted.rows is None else np.unique(restricted.rows)
    return int(np.maximum(open_[rows].sum(axis=1) - 1, 0).sum())
