"""What the instances of one factor say to a parameter, whole or by sample: one local VJP each."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.plan import Losses, Map, Recurrence
from msgpass.sweeps.instance_vjps import instance_vjp
from msgpass.sweeps.local import vjp_many
from msgpass.sweeps.readings import gradient
from msgpass.sweeps.rows import edges_of, per_instance, read, rows_of
from msgpass.sweeps.single_messages import at_parameter


def positions(family, name: str) -> list[int | None]:
    """Where a family reads a parameter: among its inputs, as a start of one, or (None) in its potential."""
    found: list[int | None] = [
        k for k, a in enumerate(family.args) if a.name == name or (a.edge is not None and a.edge.name == name)
    ]
    inside = {getattr(p, "name", None) for p in family.potential.parts.values()}
    return found or ([None] if name in inside else [])


class Terms:
    """The terms of one factor at one of its inputs."""

    def __init__(self, whole, k: int, block, family, position):
        self.whole, self.x, self.k = whole, whole.x, k
        self.block, self.family, self.position = block, family, position
        self.step = isinstance(block, Map | Recurrence)

    def __len__(self) -> int:
        return self.family.factor.n if self.family.counts is not None else 1

    @cached_property
    def sequences(self) -> np.ndarray:
        """Sequence of each instance."""
        counts = self.family.counts
        return np.zeros(1, int) if counts is None else np.repeat(np.arange(len(counts)), counts)

    @cached_property
    def rows(self) -> np.ndarray:
        """Row of each instance on the clock; −1 where it has no step."""
        if self.family.counts is None:
            return np.array([-1])
        return np.asarray(self.family.clock.offsets)[self.sequences] + self.family.times

    @property
    def batch(self) -> int | None:
        """Samples in a row of what a step computes."""
        shapes = [o.slice.shape for o in self.family.outs] if self.step else []
        return shapes[0][0] if shapes and all(len(s) > 1 and s[0] == shapes[0][0] for s in shapes) else None

    @property
    def has_samples(self) -> bool:
        """Its terms split by sample: by the rows' own axis, or by sequence."""
        if self.batch is not None:
            return True
        if self.whole.terms and any(t.batch is not None for t in self.whole.terms):
            return False
        return self.family.counts is not None

    @cached_property
    def inputs(self) -> tuple[list, list[bool]]:
        """Values of all inputs, stacked over instances, and which of them are."""
        stacked = [per_instance(self.family, a) for a in self.family.args]
        return [read(self.family, a, self.x.values) for a in self.family.args], stacked

    @cached_property
    def cotangents(self) -> list[np.ndarray]:
        """What arrives at each output, stacked over instances."""
        found = []
        for o in self.family.outs:
            if self.whole.task is None:
                at = gradient(self.x, o.name)
            else:
                at = self.x.stores[self.whole.task][0].complete(o.name)
            found.append(at[None] if o.rows is None else at[rows_of(self.family, o)])
        return found

    def of(self, j: int) -> np.ndarray:
        """What instance j says, (*shape)."""
        if not self.step:
            losses = isinstance(self.block, Losses)
            own = self.family.potential.task if losses else self.x.task_of(self.k)
            if self.whole.task not in (None, own):
                return self.whole.zeros()
            where = self.x, self.k, self.block, self.family, j, self.whole.name
            return at_parameter(*where, position=self.position)
        return self._placed(j, self._pull(j, self.cotangents))

    def of_sample(self, j: int, b: int) -> np.ndarray:
        """Its part in sample b."""
        if not self.has_samples:
            return self.whole.zeros()
        if self.batch is None:
            return self.of(j) if self.sequences[j] == b else self.whole.zeros()
        self._linear_rule()
        return self._placed(j, self._pull(j, self._part(b)))

    def all_of_sample(self, b: int) -> np.ndarray:
        """What sample b says over all steps."""
        if self.batch is None:
            return sum((self.of(int(j)) for j in np.flatnonzero(self.sequences == b)), self.whole.zeros())
        arg = self.family.args[self.position]
        inputs, stacked = self.inputs
        once = arg.name == self.whole.name and not self._ruled and self.family.counts is not None
        if not once:
            return sum((self.of_sample(j, b) for j in range(len(self))), self.whole.zeros())
        found = vjp_many(self.family, inputs, stacked, self._part(b), len(self))[self.position]
        return self.whole.zeros() if found is None else found

    def _part(self, b: int) -> list[np.ndarray]:
        found = [np.zeros_like(c) for c in self.cotangents]
        for part, c in zip(found, self.cotangents, strict=True):
            part[:, b] = c[:, b]
        return found

    def _pull(self, j: int, cotangents):
        inputs, stacked = self.inputs
        found = instance_vjp(self.family, inputs, stacked, cotangents, j)
        message = found[self.position]
        if message is None:
            return np.zeros_like(
                np.asarray(inputs[self.position][j] if stacked[self.position] else inputs[self.position])
            )
        if self._ruled:
            message = self.x.rules.of_instance(self.family, j, found, self.x.values)[self.position]
        return np.asarray(message)

    @property
    def _ruled(self) -> bool:
        return self.x.rules is not None and (self.family.name, self.position) in self.x.rules.edges

    def _linear_rule(self) -> None:
        if self._ruled and not self.x.rules.edges[self.family.name, self.position].linear:
            raise UnsupportedError(
                f"a rule on the edge ({self.family.name!r}, {self.whole.name!r}) acts on a step's message as "
                "a whole and is not linear, so the message has no parts by sample; read by_step"
            )

    def _placed(self, j: int, message: np.ndarray) -> np.ndarray:
        """A message at the parameter itself, or at a start: nothing from instances that read no start."""
        arg = self.family.args[self.position]
        if arg.name == self.whole.name:
            return message
        instances, ends = edges_of(self.family, arg)
        found = self.whole.zeros()
        if j in instances:
            if found.shape == message.shape:
                return message
            found[ends[np.searchsorted(instances, j)] if len(found) > 1 else 0] = message
        return found
