"""The tables of a component as a clique program reads them: those that no value of a run touches are kept."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass.kernels.clique_inputs import mask, prepare
from msgpass.kernels.clique_program import CliqueProgram
from msgpass.nodes import Slice
from msgpass.plan import latent
from msgpass.sweeps.expanded import table_instances
from msgpass.sweeps.structured_chain import whole
from msgpass.values import Values

ARRAYS = ("logs", "values", "shifts", "lows")


class Inputs:
    """Log tables, and the same as numbers with what the sweep on numbers needs.

    Attributes
    ----------
    logs, values : arrays (B or 1, inputs)
    shifts, lows : arrays (B or 1, instances)
    labels : (variables, their states (B, variables)), or None
    """

    def __init__(self, program: CliqueProgram, rows: int):
        self.program = program
        self.labels: Any = None
        self.logs = np.zeros((rows, int(program.input_starts[-1])))
        self.values = np.ones_like(self.logs)
        n = int(program.instance_starts[-1])
        self.shifts, self.lows = np.zeros((rows, n)), np.zeros((rows, n), np.int64)

    def copy(self, rows: int, names: tuple[str, ...] = ARRAYS) -> Inputs:
        """The same for as many members; arrays other than ``names`` are shared."""
        made = object.__new__(Inputs)
        made.program, made.labels = self.program, None
        for name in ARRAYS:
            own = getattr(self, name)
            if name in names:
                own = np.repeat(own, rows, axis=0) if rows > len(own) else own.copy()
            setattr(made, name, own)
        return made

    def fill(self, numbers: list[int], tables: list[np.ndarray], exponentiate: bool) -> None:
        """New log tables (B or 1, instances, states…) of some families."""
        program = self.program
        for k, logs in zip(numbers, tables, strict=True):
            start, end = program.input_starts[k : k + 2]
            self.logs[:, start:end] = logs.reshape(len(logs), -1)
        if exponentiate and numbers:
            chosen = np.array(numbers)
            starts, firsts = program.input_starts[chosen], program.instance_starts[chosen]
            prepare(
                self.logs,
                self.values,
                starts,
                program.counts[chosen],
                program.table_sizes[chosen],
                firsts,
                self.shifts,
                self.lows,
            )
            for first, last in _stretches(numbers):
                own = self.values[:, program.input_starts[first] : program.input_starts[last + 1]]
                np.exp(own, out=own)

    def mask(self, inputs: np.ndarray, zero: float) -> None:
        """Leave labelled variables their labels."""
        mask(inputs, *self.labels, self.program.label_places, self.program.tree.sizes, zero)

    def labelled_logs(self) -> np.ndarray:
        """Log tables with labels in, of inputs that were made as numbers."""
        if self.labels is None:
            return self.logs
        labels = self.labels[1]
        logs = np.repeat(self.logs, len(labels), axis=0) if len(self.logs) == 1 else self.logs.copy()
        self.mask(logs, -np.inf)
        return logs

    @cached_property
    def part_shifts(self) -> np.ndarray:
        """Σ of what was taken off, (B or 1, trees)."""
        parts, trees = self.program.parts, len(self.program.tree.roots)
        if trees == 1:
            return self.shifts.sum(axis=1, keepdims=True)
        return np.stack([np.bincount(parts, row, trees) for row in self.shifts])


def _stretches(numbers: list[int]):
    """(first, last) of each run of consecutive numbers."""
    first = last = numbers[0]
    for k in numbers[1:]:
        if k != last + 1:
            yield first, last
            first = k
        last = k
    yield first, last


class Tables:
    """What the families of a block say, run after run."""

    def __init__(self, plan, block, program: CliqueProgram):
        self.plan, self.block, self.program = plan, block, program
        self.names = [_depends(f, plan) for f in block.families]
        self.of: dict[str, list[int]] = {}
        for k, names in enumerate(self.names):
            for name in names:
                self.of.setdefault(name, []).append(k)
        self.always = self.of.pop("*", [])
        self.base: Inputs | None = None

    def read(self, k: int, values) -> np.ndarray:
        """Log tables of family k, (B or 1, instances, states…)."""
        made = table_instances(self.block.families[k], values)
        return logs_of(made, self.block.families[k].table_layout[1])

    def inputs(self, values, overridden, labels, exponentiate: bool) -> Inputs:
        """Of one run; labels is (variables, states (B, variables)) or None."""
        if self.base is None:
            fixed = [k for k in range(len(self.block.families)) if k not in self.always]
            base = Inputs(self.program, 1)
            defaults = Values(self.plan.cache["defaults"])
            found = {k: self.read(k, defaults) for k in fixed}
            # What members of a batch have of their own is not kept.
            self.always = sorted({*self.always, *(k for k in fixed if len(found[k]) > 1)})
            fixed = [k for k in fixed if len(found[k]) == 1]
            base.fill(fixed, [found[k] for k in fixed], True)
            self.base = base
        changed = sorted({*self.always, *(k for name in overridden for k in self.of.get(name, ()))})
        if not changed and labels is None:
            return self.base
        tables = [self.read(k, values) for k in changed]
        rows = max([1, *(len(t) for t in tables), *([] if labels is None else [len(labels[1])])])
        touched = ("values" if exponentiate else "logs",)
        made = self.base.copy(rows, ARRAYS if changed else touched)
        made.fill(changed, tables, exponentiate)
        if labels is not None:
            made.labels = labels
            if exponentiate:
                made.mask(made.values, 0.0)
            else:
                made.mask(made.logs, -np.inf)
        return made


def _depends(family, plan) -> set[str]:
    """Names whose values its tables depend on ("*": something that every run computes)."""
    names = {a.name for a in whole(family).args if not latent(a)}
    for part in family.potential.parts.values():
        name = part.node.name if isinstance(part, Slice) else getattr(part, "name", None)
        if name is not None:
            names.add("*" if name in plan.owner else name)
    return names


def logs_of(made, shape: tuple[int, ...]) -> np.ndarray:
    """Log tables of a family, (B, n, states…) or (1, n, states…) where members share them."""
    stacked = made.stacked()
    axes = len(made.states) - len(made.observed)
    states = stacked.shape[stacked.ndim - axes :]
    if stacked.ndim - 1 - axes < len(shape):
        return stacked[None]
    return np.moveaxis(stacked.reshape(len(stacked), -1, *states), 1, 0)
