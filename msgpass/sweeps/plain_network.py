"""A plain network: compiled recurrences that lie straight, maps, and losses that read whole sequences.

A network is run many times under other values, and a small one costs less than looking at its graph. What
follows from shapes alone is kept with the plan as a :class:`NetworkRecipe` after a first run; later runs of
the same shapes and precisions check their values in one pass each and go through the blocks. Bits are the
same. What a recipe was not made for (missing data, another precision) goes the general way, which also says
what is wrong.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import MessagePassingError
from msgpass.nodes import Observation, Parameter
from msgpass.plan import Losses, Map, Recurrence
from msgpass.sweeps import real
from msgpass.sweeps.local import check_states
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import Sweep
from msgpass.values import Values

LOOKED_AT_TOGETHER = 1 << 14
"""Numbers of an array up to which a copy, to look at all arrays at once, is quicker than a look at each."""


class Given(NamedTuple):
    """What a value has to be: shape, dtype, whether it is a parameter, and states of discrete data."""

    shape: tuple[int, ...]
    dtype: np.dtype
    parameter: bool
    states: int | None


class NetworkRecipe:
    """What later runs of a plain network need to know of their graph."""

    def __init__(self, execution):
        from msgpass.kernels.finite import all_finite
        from msgpass.kernels.runtime import recycled_copy

        self.all_finite, self.copy = all_finite, recycled_copy
        plan, values = execution.plan, execution.values
        self.given = {
            name: Given(v.shape, v.dtype, isinstance(n, Parameter), getattr(n, "states", None))
            for name, n in plan.graph.nodes.items()
            if isinstance(n, Parameter | Observation)
            for v in (values[name],)
        }
        self.defaults = {name: plan.graph.nodes[name].value for name in self.given}
        self.known = {n: True for n, g in self.given.items() if not g.parameter}
        # Blocks that something arrives at, against their order; the same ones in every run.
        store = execution.stores[None][0]
        latent = [k for k, b in enumerate(plan.blocks) if any(store.has(n) for n in b.nodes)]
        self.against = latent[::-1]
        empty = Values({})
        self.recurrences = {k: s.again(empty) for k, s in execution.sweeps.items()}
        self.losses = {
            k: (b.families[0], tuple(a.name for a in b.families[0].args))
            for k, b in enumerate(plan.blocks)
            if isinstance(b, Losses)
        }

    def resolve(self, values: dict | None) -> Values | None:
        """This run's arrays, or None where they are not what the recipe was made for."""
        arrays = Values(self.defaults, self.known.copy())
        wanted, real_valued = self.given, []
        for name, value in (values or {}).items():
            given = wanted.get(name)
            if given is None or type(value) is not np.ndarray:
                return None
            shape, dtype, parameter, states = given
            if value.dtype is not dtype or value.shape != shape:
                return None
            if states is None:
                real_valued.append(value)
            elif value.min() < 0 or value.max() >= states:
                return None
            arrays[name] = self.copy(value) if parameter or states is not None else value
        return arrays if self.finite(real_valued) else None

    def run(self, x) -> None:
        """Fill an execution: values, losses and stores."""
        values, blocks = x.values, x.plan.blocks
        store, later = Store(values), Store(values)
        x.stores = {None: (store, later)}
        # Overflow is told by checks, with the variable and the step; NumPy would only repeat it.
        with np.errstate(over="ignore", invalid="ignore"):
            for k, block in enumerate(blocks):
                if k in self.recurrences:
                    sweep = x.sweeps[k] = self.recurrences[k].again(values)
                    sweep.sweep_forward()
                elif k in self.losses:
                    self.evaluate(x, k, store)
                else:
                    real.forward_map(block, values)
            for k in self.against:
                if k in self.recurrences:
                    x.sweeps[k].backward(store, later)
                else:
                    real.backward_map(blocks[k], values, store, later)
        given = self.given
        if not self.finite([v for n, v in dict.items(store) if n in given]):
            self.check_states(x)
            x.check_gradients(store)

    def evaluate(self, x, k: int, store: Store) -> None:
        """A loss, and what it says to its inputs."""
        family, names = self.losses[k]
        inputs = [x.values[n] for n in names]
        try:
            made = real.checked_loss(family, family.potential.value_and_grad(*inputs), inputs)
        except MessagePassingError:
            self.check_states(x)
            raise
        x.losses[k] = made
        for name, gradient in zip(names, made[1], strict=True):
            if gradient is not None and name in store and not store.lend(name, gradient):
                store[name] += gradient

    def finite(self, arrays: list[np.ndarray]) -> bool:
        """No NaN and no infinity in any of them."""
        small = []
        for array in arrays:
            if array.size <= LOOKED_AT_TOGETHER:
                small.append(array)
            elif not self.all_finite(array):
                return False
        return not small or self.all_finite(np.concatenate(small, axis=None))

    def check_states(self, x) -> None:
        """Name the state that is not finite; NaN in a state reaches the loss or some gradient."""
        for k in self.recurrences:
            check_states(x.plan.blocks[k], x.values)


def keep_recipe(x) -> None:
    """Keep the recipe of a finished run with the plan, if it was one of a plain network."""
    plan, sweeps = x.plan, x.sweeps
    if not sweeps or any(type(s) is Sweep for s in sweeps.values()):
        return  # the reference still runs
    from msgpass.sweeps.straight_recurrence import StraightSweep

    if not all(x.values.complete(n) for n, v in plan.graph.nodes.items() if isinstance(v, Observation)):
        return
    whole = (
        not (x.clamp or plan.graph.conditions or x.runs)
        and x.tasks == [None]
        and all(type(s) is StraightSweep and s.roles.mask is None for s in sweeps.values())
        and all(isinstance(b, Map | Recurrence) or _reads_all(b, x.values) for b in plan.blocks)
    )
    plan.cache["network recipe"] = NetworkRecipe(x) if whole else None


def _reads_all(block, values) -> bool:
    """The loss is one function of whole sequences."""
    family = block.families[0]
    return family.potential.vectorized and all(
        a.rows is None or (a.slice.kind == "range" and len(values[a.name]) == family.factor.n)
        for a in family.args
    )
