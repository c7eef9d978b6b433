"""What each step and each sample says to a parameter: the terms of the sum that arrives at it.

    ∂total/∂θ = Σ_t Σ_b (∂f_t/∂θ)ᵀ (e_b ∘ λ_t)

λ_t is what arrives at the output of step t, e_b ∘ λ_t its part in sample b (the first axis of a row (B, …)).
Over ragged sequences of rows without samples, a sample is a sequence. Nothing is kept: each term is one local
VJP, made when it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from msgpass.errors import ShapeError, UnavailableError, UnsupportedError
from msgpass.nodes import Parameter
from msgpass.sweeps.readings import full, needs_backward
from msgpass.sweeps.terms import Terms, positions

LIMIT = 1 << 31
"""Bytes of an array that is built without being asked to iterate."""


class Contributions:
    """Terms of the sum that arrives at a parameter; see :meth:`msgpass.Messages.contributions`.

    Attributes
    ----------
    name : str
    shape : tuple of int
        Of the parameter.
    steps : int
        Rows T of the clock, sequences end to end.
    samples : int
        B of rows (B, …), else the number of sequences.
    """

    def __init__(self, x, name: str, factor: str | None = None, task: str | None = None):
        self.x = full(x)
        self.name, self.task = name, task
        graph = self.x.plan.graph
        node = graph.nodes.get(name)
        if not isinstance(node, Parameter):
            known = [n for n, v in graph.nodes.items() if isinstance(v, Parameter)]
            raise UnavailableError(
                f"{name!r} is no parameter, so no terms arrive at it; the parameters are "
                f"{', '.join(known) or 'none'}"
            )
        if self.x.second is not None:
            raise self.x.second.without_tangents(f"what single steps say to {name!r}")
        needs_backward(self.x, f"what single steps say to {name!r}")
        self._check_task()
        self.shape = node.shape
        self.terms = [
            Terms(self, k, block, family, position)
            for k, block in enumerate(self.x.plan.blocks)
            for family in block.families
            for position in positions(family, name)
            if factor is None or family.name == factor
        ]
        if factor is not None and not self.terms:
            raise UnavailableError(
                f"{factor!r} does not read {name!r}; "
                f"{', '.join(dict.fromkeys(t.family.name for t in Contributions(x, name).terms))} does"
            )

    def _check_task(self) -> None:
        tasks = [t for t in self.x.tasks if t is not None]
        if self.task is not None and self.task not in tasks:
            raise UnavailableError(f"there is no task {self.task!r}; there are {', '.join(tasks) or 'none'}")

    @cached_property
    def clock(self):
        """Of all factors that read the parameter at steps; None where none does."""
        found: dict[Any, str] = {}
        for t in self.terms:
            if t.family.counts is not None:
                found.setdefault(t.family.clock, t.family.name)
        if len(found) > 1:
            raise UnsupportedError(
                f"{self.name!r} is read on several clocks, so its terms have no common time: ask for one "
                f"factor of {', '.join(map(repr, found.values()))}, as contributions(name, factor=…)"
            )
        return next(iter(found), None)

    def zeros(self, *axes: int) -> np.ndarray:
        """Terms of nothing, in the parameter's precision."""
        return np.zeros((*axes, *self.shape), np.asarray(self.x.values[self.name]).dtype)

    @property
    def steps(self) -> int:
        """T."""
        return 0 if self.clock is None else self.clock.total

    @cached_property
    def samples(self) -> int:
        """B."""
        batches = {t.batch for t in self.terms if t.batch is not None}
        if len(batches) > 1:
            raise UnsupportedError(
                f"rows of the factors that read {self.name!r} have {' and '.join(map(str, batches))} "
                "samples; ask for one factor, as contributions(name, factor=…)"
            )
        if batches and self.clock is not None and self.clock.ragged:
            raise UnsupportedError(
                f"{self.name!r}: sequences end to end whose rows have samples, too; read by_step"
            )
        return next(iter(batches)) if batches else 1 if self.clock is None else len(self.clock.lengths)

    # -- one at a time -----------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, t: int) -> np.ndarray:
        """What step t says, (*shape); rows of ragged sequences are counted end to end."""
        if not -self.steps <= t < self.steps:
            raise UnavailableError(f"there is no step {t}: {self.name!r} is read at {self.steps} steps")
        total = self.zeros()
        for terms in self.terms:
            for j in np.flatnonzero(terms.rows == t % self.steps):
                total += terms.of(int(j))
        return total

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[t] for t in range(self.steps))

    def sample(self, t: int, b: int) -> np.ndarray:
        """What sample b says at step t, (*shape)."""
        total = self.zeros()
        for terms in self.terms:
            for j in np.flatnonzero(terms.rows == t % self.steps):
                total += terms.of_sample(int(j), b)
        return total

    # -- stacked -----------------------------------------------------------------------------------------

    @cached_property
    def by_step(self) -> np.ndarray:
        """(T, *shape): its sum and ``without_step`` are what arrives at the parameter."""
        return self._filled((self.steps,), self)

    @cached_property
    def by_sample(self) -> np.ndarray:
        """(B, *shape): its sum and ``without_sample`` are what arrives at the parameter."""
        self._room((self.samples,))
        found = self.zeros(self.samples)
        for terms in self.terms:
            if terms.has_samples:
                for b in range(self.samples):
                    found[b] += terms.all_of_sample(b)
        return found

    @cached_property
    def by_step_and_sample(self) -> np.ndarray:
        """(T, B, *shape)."""
        return self._filled((self.steps, self.samples), (self._samples_at(t) for t in range(self.steps)))

    @cached_property
    def without_step(self) -> np.ndarray:
        """What factors that have no step say, such as a penalty on the parameter, (*shape)."""
        total = self.zeros()
        for terms in self.terms:
            if terms.family.counts is None:
                total += terms.of(0)
        return total

    @cached_property
    def without_sample(self) -> np.ndarray:
        """What factors whose rows are of no sample say, (*shape)."""
        total = self.zeros()
        for terms in self.terms:
            for j in range(0 if terms.has_samples else len(terms)):
                total += terms.of(j)
        return total

    def norms(self, by: str = "step") -> np.ndarray:
        """Euclidean norms of the terms, (T,), (B,) or (T, B), without keeping more than one.

        Parameters
        ----------
        by : {"step", "sample", "step and sample"}
        """
        if by == "step":
            return np.array([np.linalg.norm(term) for term in self])
        if by == "sample":
            split = [t for t in self.terms if t.has_samples]
            sums = (sum(t.all_of_sample(b) for t in split) for b in range(self.samples))
            return np.array([np.linalg.norm(np.asarray(term)) for term in sums])
        if by == "step and sample":
            every = [np.linalg.norm(term) for t in range(self.steps) for term in self._samples_at(t)]
            return np.array(every).reshape(self.steps, self.samples)
        raise ShapeError(f'norms by "step", "sample" or "step and sample", got {by!r}')

    def _samples_at(self, t: int) -> Iterator[np.ndarray]:
        return (self.sample(t, b) for b in range(self.samples))

    def _room(self, axes: tuple[int, ...]) -> None:
        size = self.zeros().itemsize * int(np.prod(axes, dtype=float)) * int(np.prod(self.shape))
        if size > LIMIT:
            raise ShapeError(
                f"terms of {self.name!r} stacked to {(*axes, *self.shape)} take {size / 2**30:.1f} GiB; go "
                "through them one at a time (for term in contributions, .sample(t, b)) or read .norms(by)"
            )

    def _filled(self, axes: tuple[int, ...], rows) -> np.ndarray:
        self._room(axes)
        found = self.zeros(*axes)
        for place, row in enumerate(rows):
            if len(axes) == 1:
                found[place] = row
            else:
                for b, term in enumerate(row):
                    found[place, b] = term
        return found

    def __repr__(self) -> str:
        readers = ", ".join(dict.fromkeys(t.family.name for t in self.terms)) or "nothing"
        return f"<terms of {self.name!r}, shape {self.shape}, from {readers}: {self.steps} steps>"
