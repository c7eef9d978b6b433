"""What a fit may not move apart, or not move at all: frozen entries and states, tied rows and states.

Tied states are one: each takes the mean of the group's counts (or weights) in its M-step. That is the maximum
under the tie, for Q is a sum over states, Σ_k Q(θ_k; w_k) = Σ_G Σ_{k∈G} Q(θ_G; mean of w over G), and a prior
counts once for each state either way. So the M-steps of emissions need not know of ties.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hmm.emissions.base import Emission
from hmm.emissions.statistics import Statistics
from msgpass.errors import DataError, UnsupportedError


@dataclass(frozen=True, eq=False)
class Restrictions:
    """Made by :func:`restrictions` of what the user says.

    Parameters
    ----------
    initial : array of bool, (K,), optional
        Frozen entries of the initial distribution.
    transition : array of bool, (K, K), optional
        Frozen entries of the transition matrix.
    emission : dict of str to array of bool, (K,)
        Letter of an emission's field → states in which it is frozen.
    rows, states : array of int, (K,), optional
        Group of each state: those of one group share their row of the transition matrix, or their emission.
    """

    initial: np.ndarray | None = None
    transition: np.ndarray | None = None
    emission: Mapping[str, np.ndarray] = field(default_factory=dict)
    rows: np.ndarray | None = None
    states: np.ndarray | None = None

    def pooled_rows(self, counts: np.ndarray) -> np.ndarray:
        """(K, …) counts with tied rows replaced by their mean."""
        return counts if self.rows is None else pooled(counts, self.rows)

    def fit_emission(self, emission: Emission, data, weights: np.ndarray, params: str) -> Emission:
        """The M-step of an emission with (T, K) weights."""
        K = next((len(mask) for mask in (self.states, *self.emission.values()) if mask is not None), None)
        if K is not None and weights.shape[1] != K:
            refuse_states(self, type(emission).__name__)
        if self.states is not None:
            weights = np.ascontiguousarray(pooled(weights.T, self.states).T)
        return self._fitted(emission, params, lambda free: emission.fit(data, weights, free))

    def emission_from(self, emission: Emission, statistics: Statistics, params: str) -> Emission:
        """The same from additive statistics."""
        if self.states is not None:
            statistics = statistics.pooled(self.states)
        return self._fitted(emission, params, lambda free: emission.from_statistics(statistics, free))

    def _fitted(self, emission: Emission, params: str, fit: Callable[[str], Emission]) -> Emission:
        """An M-step, letters → emission, that leaves what is frozen."""
        if not self.emission:
            return self._alike(fit(params))
        frozen = {letter: mask for letter, mask in self.emission.items() if letter in params}
        fitted = emission
        # States that freeze the same letters are fitted together, with those letters held.
        K = len(next(iter(self.emission.values())))
        held = np.array(["".join(c for c, mask in frozen.items() if mask[k]) for k in range(K)])
        for letters in dict.fromkeys(held.tolist()):
            free = "".join(c for c in params if c not in letters)
            found = fit(free)
            for letter in set(free) & set(emission.LETTERS):
                fitted = fitted.with_states(letter, found, held == letters)
        return self._alike(fitted)

    def started(self, emission: Emission, given: Emission) -> Emission:
        """A start that obeys: frozen states as in ``given``, tied states alike."""
        for letter, mask in self.emission.items():
            emission = emission.with_states(letter, given, mask)
        return self._alike(emission)

    def _alike(self, emission: Emission) -> Emission:
        """Tied states to the bit as the first of their group."""
        if self.states is not None:
            first = np.array([np.flatnonzero(self.states == g)[0] for g in self.states])
            for letter in emission.LETTERS:
                emission = emission.with_states(letter, emission, first != np.arange(len(first)), first)
        return emission

    @property
    def restrict_emission(self) -> bool:
        """Whether emissions need more than their own M-step."""
        return bool(self.emission) or self.states is not None


UNRESTRICTED = Restrictions()


def pooled(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """(K, …) with the rows of each group replaced by their mean.

    >>> pooled(np.array([1.0, 3.0, 5.0]), np.array([0, 0, 1]))
    array([2., 2., 5.])
    """
    member = (groups == np.unique(groups)[:, None]).astype(float)
    means = (member / member.sum(axis=1, keepdims=True)) @ values.reshape(len(values), -1)
    return means[np.searchsorted(np.unique(groups), groups)].reshape(values.shape)


def restrictions(n_components: int, letters: Mapping[str, str], frozen, tied) -> Restrictions:
    """From a model's settings ``frozen`` and ``tied``.

    Parameters
    ----------
    n_components : int
    letters : dict
        Letter → field of the model's emission.
    frozen : dict or None
        "startprob" → states, or a mask (K,); "transmat" → states whose rows are frozen, or a mask (K, K); a
        field of the emission, or "emission" for all of them → states, or a mask (K,).
    tied : dict or None
        "transmat" or "emission" → lists of states that share theirs.

    Raises
    ------
    DataError
        Where a key or a state is none of the model's.
    """
    K = n_components
    masks = _mapping("frozen", frozen, ["startprob", "transmat", "emission", *letters.values()])
    groups = _mapping("tied", tied, ["transmat", "emission"])
    by_letter: dict[str, np.ndarray] = {}
    for letter, name in letters.items():
        for key in {name, "emission"} & set(masks):
            mask = _states(f"frozen[{key!r}]", masks[key], K)
            by_letter[letter] = by_letter.get(letter, np.zeros(K, bool)) | mask
    transition = None
    if "transmat" in masks:
        given = np.asarray(masks["transmat"])
        if given.dtype == bool and given.shape == (K, K):
            transition = given
        else:
            transition = np.repeat(_states("frozen['transmat']", given, K)[:, None], K, axis=1)
    rows = _groups("tied['transmat']", groups["transmat"], K) if "transmat" in groups else None
    states = _groups("tied['emission']", groups["emission"], K) if "emission" in groups else None
    if transition is not None:
        _frozen_alike("transmat", transition, rows)
    for letter, mask in by_letter.items():
        _frozen_alike(letters[letter], mask, states)
    return Restrictions(
        _states("frozen['startprob']", masks["startprob"], K) if "startprob" in masks else None,
        transition,
        by_letter,
        rows,
        states,
    )


def _frozen_alike(name: str, mask: np.ndarray, groups: np.ndarray | None) -> None:
    """Of states that are tied, all or none are frozen."""
    if groups is not None and (mask != mask[groups]).any():
        k = int(np.argwhere(mask != mask[groups])[0][0])
        raise DataError(
            f"{name} is frozen in one of the states {groups[k]} and {k} and free in the other, but they are "
            "tied; freeze it in both or in neither"
        )


def _mapping(name: str, value, keys: Sequence[str]) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or set(value) - set(keys):
        raise DataError(f"{name} is a dict with keys among {', '.join(map(repr, keys))}; got {value!r}")
    return dict(value)


def _states(name: str, value, K: int) -> np.ndarray:
    """States as a mask."""
    array = np.asarray(value)
    if array.shape == (0,):
        return np.zeros(K, bool)
    if array.dtype == bool and array.shape == (K,):
        return array
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array < 0).any() or (array >= K).any():
        raise DataError(f"{name} is a list of states from 0 to {K - 1}, or a mask of {K}; got {value!r}")
    mask = np.zeros(K, bool)
    mask[array] = True
    return mask


def _groups(name: str, value, K: int) -> np.ndarray:
    """Group of each state; one that is named nowhere is alone."""
    groups = np.arange(K)
    seen: set[int] = set()
    try:
        lists = [[int(k) for k in group] for group in value]
    except (TypeError, ValueError):
        raise DataError(
            f"{name} is a list of lists of states, such as [[0, 1], [2, 3]]; got {value!r}"
        ) from None
    for group in lists:
        if not all(0 <= k < K for k in group) or seen & set(group) or len(set(group)) < len(group):
            raise DataError(f"{name} names states from 0 to {K - 1}, each once; got {value!r}")
        seen |= set(group)
        groups[group] = min(group, default=0)
    return groups


def refuse_rows(restricted: Restrictions, kind: str) -> None:
    """Raise where a kind of transition cannot obey a restriction on "transmat"."""
    if restricted.transition is not None or restricted.rows is not None:
        raise UnsupportedError(
            f"{kind} transitions cannot freeze or tie rows of transmat; leave 't' out of params to keep them "
            "all, or use the default transitions"
        )


def refuse_states(restricted: Restrictions, kind: str) -> None:
    """Raise where a kind of emission cannot obey a restriction on states."""
    if restricted.restrict_emission:
        raise UnsupportedError(f"{kind} emissions read more than one state, so none can be frozen or tied")
