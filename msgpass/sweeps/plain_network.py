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

from msgpass.nodes import Observation, Parameter
from msgpass.plan import Losses, Map, Recurrence
from msgpass.sweeps import real
from msgpass.sweeps.real import Store
from msgpass.sweeps.recurrence import Sweep
from msgpass.sweeps.straight_recurrence import StraightSweep
from msgpass.values import Values


class Given(NamedTuple):
    """What a value has to be: shape, dtype, whether it is a parameter, and states of discrete data."""

    shape: tuple[int, ...]
    dtype: np.dtype
    parameter: bool
    states: int | None


class NetworkRecipe:
    """What later runs of a plain network need to know of their graph."""

    def __init__(self, execution):
        plan, values = execution.plan, execution.values
        self.given = {
            name: Given(v.shape, v.dtype, isinstance(n, Parameter), getattr(n, "states", None))
            for name, n in plan.graph.nodes.items()
            if isinstance(n, Parameter | Observation)
            for v in (values[name],)
        }
        self.defaults = {name: plan.graph.nodes[name].value for name in self.given}
        self.known = {n: True for n, g in self.given.items() if not g.parameter}
        self.recurrences = {k: (s.formula, s.roles) for k, s in execution.sweeps.items()}
        self.losses = {
            k: (b.families[0], tuple(a.name for a in b.families[0].args))
            for k, b in enumerate(plan.blocks)
            if isinstance(b, Losses)
        }

    def resolve(self, values: dict | None) -> Values | None:
        """This run's arrays, or None where they are not what the recipe was made for."""
        from msgpass.kernels.finite import all_finite

        arrays = Values(self.defaults, self.known.copy())
        names, parts = [], []
        for name, value in (values or {}).items():
            given = self.given.get(name)
            if given is None or type(value) is not np.ndarray:
                return None
            if value.dtype is not given.dtype or value.shape != given.shape:
                return None
            if given.parameter:
                names.append(name)
                parts.append(value.reshape(-1))
                continue
            if given.states is not None:
                if value.min() < 0 or value.max() >= given.states:
                    return None
            elif not all_finite(value):
                return None
            arrays[name] = value
        if parts:
            # Copies of all parameters side by side: one look tells whether all of them are finite.
            flat = np.concatenate(parts)
            if not all_finite(flat):
                return None
            start = 0
            for name in names:
                shape = self.given[name].shape
                end = start + values[name].size
                arrays[name] = flat[start:end].reshape(shape)
                start = end
        return arrays

    def run(self, x) -> None:
        """Fill an execution: values, losses and stores."""
        values, blocks = x.values, x.plan.blocks
        store, later = Store(values), Store(values)
        x.stores = {None: (store, later)}
        # Overflow is told by checks, with the variable and the step; NumPy would only repeat it.
        with np.errstate(over="ignore", invalid="ignore"):
            for k, block in enumerate(blocks):
                if k in self.recurrences:
                    formula, roles = self.recurrences[k]
                    sweep = x.sweeps[k] = StraightSweep(formula, block, roles, values, True)
                    sweep.forward()
                elif k in self.losses:
                    family, names = self.losses[k]
                    inputs = [values[n] for n in names]
                    x.losses[k] = real.checked_loss(family, family.potential.value_and_grad(*inputs), inputs)
                else:
                    real.forward_map(block, values)
            for k, (_, names) in self.losses.items():
                for name, gradient in zip(names, x.losses[k][1], strict=True):
                    if gradient is not None and name in store and not store.lend(name, gradient):
                        store[name] += gradient
            x.pull_back(store, later)
        self.check(x, store)

    def check(self, x, store: Store) -> None:
        """No NaN leaves in a gradient."""
        from msgpass.kernels.finite import all_finite

        if not all(all_finite(store.peek(n)) for n in self.given if store.has(n)):
            x.check_gradients(store)


def keep_recipe(x) -> None:
    """Keep the recipe of a finished run with the plan, if it was one of a plain network."""
    plan, sweeps = x.plan, x.sweeps
    if not sweeps or any(type(s) is Sweep for s in sweeps.values()):
        return  # the reference still runs
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
