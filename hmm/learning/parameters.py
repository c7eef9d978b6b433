"""A chain's parameters as one vector of real coordinates, and gradients of a function of the chain in them.

Only what a fit may move has coordinates: not what ``params`` leaves out, what is frozen, or zeros of
probabilities. Tied states have those of the first of their group, whose gradient is the sum over the group.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, cast

import numpy as np

from hmm.chain import Chain
from hmm.coordinates import Domain, Rows
from hmm.learning.restrictions import UNRESTRICTED, Restrictions, refuse_rows, refuse_states


@dataclass(frozen=True, eq=False)
class Field:
    """One array of a chain.

    Parameters
    ----------
    name : str
        "startprob", a field of the transition ("transmat") or of the emission ("means"; "0.lambdas" of mixed
        parts).
    letter : str
    domain : Domain
    like : array
        Its value in the chain that the coordinates were made for.
    held : array of bool
        Entries that keep their value.
    groups : array of int, (K,), optional
        The state that each state is tied to, itself if it is alone.
    """

    name: str
    letter: str
    domain: Domain
    like: np.ndarray
    held: np.ndarray
    groups: np.ndarray | None = None

    @classmethod
    def of(cls, name: str, letter: str, domain: Domain, like: np.ndarray, held, groups) -> Field:
        """With tied states held beside the first of their group."""
        mask = np.zeros(like.shape, bool)
        if held is not None and domain.by_state:
            mask |= held.reshape(held.shape + (1,) * (like.ndim - held.ndim))
        elif held is not None:
            mask |= held.all()
        if groups is None or not domain.by_state:
            return cls(name, letter, domain, like, mask)
        first = np.array([np.flatnonzero(groups == g)[0] for g in groups])
        mask[first != np.arange(len(first))] = True
        return cls(name, letter, domain, like, mask, first)

    @property
    def free(self) -> np.ndarray:
        """Entries that have a coordinate."""
        return self.domain.free(self.like, self.held)

    def outward(self, value: np.ndarray) -> np.ndarray:
        """Coordinates, (n,)."""
        return self.domain.outward(value, self.like, self.held)[self.free]

    def inward(self, coordinates: np.ndarray) -> np.ndarray:
        """Value."""
        everywhere = np.zeros(self.like.shape)
        everywhere[self.free] = coordinates
        value = self.domain.inward(everywhere, self.like, self.held)
        return value if self.groups is None else value[self.groups]

    def pullback(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """∂f/∂coordinates, (n,)."""
        return self.domain.pullback(value, self._pooled(slope), self.like, self.held)[self.free]

    def edge(self, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Entries at the end of their range."""
        return self.domain.edge(value, self._pooled(slope))

    def _pooled(self, slope: np.ndarray) -> np.ndarray:
        """With the sum over each group at the first of it."""
        if self.groups is None:
            return slope
        total = np.zeros(slope.shape)
        np.add.at(total, self.groups, slope)
        return total

    def jacobian(self, value: np.ndarray) -> np.ndarray:
        """∂value/∂coordinates, (numbers of the field, n)."""
        rows = []
        for index in np.ndindex(value.shape):
            unit = np.zeros(value.shape)
            unit[index] = 1.0
            rows.append(self.pullback(value, unit))
        return np.array(rows).reshape(value.size, -1)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest coordinates, (n,) each."""
        low, high = self.domain.bounds(self.like)
        return low[self.free], high[self.free]


class Parameters:
    """What a fit moves, as a vector; made by ``of``.

    Parameters
    ----------
    chain : Chain
        Where the coordinates are made.
    fields : list of Field
    """

    def __init__(self, chain: Chain, fields: list[Field]):
        self.chain, self.fields = chain, fields
        ends = np.cumsum([0, *(int(field.free.sum()) for field in fields)]).tolist()
        self.slices = [slice(*pair) for pair in pairwise(ends)]
        self.size: int = ends[-1]

    @classmethod
    def of(cls, chain: Chain, params: str, data, restrictions: Restrictions = UNRESTRICTED) -> Parameters:
        """What the letters of ``params`` name and ``restrictions`` let move; bounds depend on the data, as
        the emission prepared them."""
        return cls(chain, list(_fields(chain, params, data, restrictions)))

    def vector(self, chain: Chain) -> np.ndarray:
        """Coordinates of a chain, (n,)."""
        values = values_of(chain)
        parts = [field.outward(values[field.name]) for field in self.fields]
        return np.concatenate([np.zeros(0), *parts])

    def at(self, vector: np.ndarray) -> Chain:
        """The chain at some coordinates."""
        own = zip(self.fields, self.slices, strict=True)
        found = {field.name: field.inward(vector[where]) for field, where in own}
        chain, transition = self.chain, self.chain.transition
        moved = {name: found.pop(name) for name in transition.FIELDS if name in found}
        initial = found.pop("startprob", chain.initial)
        return replace(
            chain,
            initial=initial,
            transition=replace(cast(Any, transition), **moved) if moved else transition,
            emission=chain.emission.with_fields(found) if found else chain.emission,
        )

    def pullback(self, chain: Chain, slopes: Mapping[str, np.ndarray]) -> np.ndarray:
        """∂f/∂coordinates at a chain from ∂f/∂field by name, (n,)."""
        values = values_of(chain)
        parts = [field.pullback(values[field.name], slopes[field.name]) for field in self.fields]
        return np.concatenate([np.zeros(0), *parts])

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest coordinates, (n,) each."""
        pairs = [field.bounds() for field in self.fields]
        low, high = (np.concatenate([np.zeros(0), *(pair[end] for pair in pairs)]) for end in (0, 1))
        return low, high

    def holding(self, masks: Mapping[str, np.ndarray]) -> Parameters:
        """The same with more entries held, by name."""
        fields = [replace(own, held=own.held | masks.get(own.name, False)) for own in self.fields]
        return Parameters(self.chain, fields)

    def labels(self) -> list[str]:
        """Where each coordinate is, such as "transmat[0, 1]"."""
        return [
            f"{field.name}[{', '.join(map(str, index))}]"
            for field in self.fields
            for index in np.argwhere(field.free).tolist()
        ]


def values_of(chain: Chain) -> dict[str, np.ndarray]:
    """All arrays of a chain by name."""
    transition = {name: np.asarray(getattr(chain.transition, name)) for name in chain.transition.FIELDS}
    return {"startprob": chain.initial, **transition, **chain.emission.fields()}


def _fields(chain: Chain, params: str, data, restricted: Restrictions) -> Iterator[Field]:
    if "s" in params:
        yield Field.of("startprob", "s", Rows(chain.concentration), chain.initial, restricted.initial, None)
    if "t" in params:
        domains = chain.transition.domains()
        if set(domains) != {"transmat"}:
            refuse_rows(restricted, type(chain.transition).__name__)
        for name, domain in domains.items():
            value = np.asarray(getattr(chain.transition, name))
            yield Field.of(name, "t", domain, value, restricted.transition, restricted.rows)
    estimated = chain.emission.estimated(params)
    if estimated and chain.transition.groups is None and chain.transition.regimes is not None:
        refuse_states(restricted, type(chain.emission).__name__)
    if estimated:
        domains, values = chain.emission.domains(data), chain.emission.fields()
        for name, letter in estimated.items():
            held = restricted.emission.get(letter)
            yield Field.of(name, letter, domains[name], values[name], held, restricted.states)
