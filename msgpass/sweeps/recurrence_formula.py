"""What a compiled recurrence has to say of itself, and which input of a user's step plays which of its roles.

A `Formula` is a recurrence that has kernels. Which input is which, and whether a weight is transposed, is
found by evaluating the step's own function on random inputs: a step that computes something else is an error
and never a wrong number.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any, NamedTuple

import numpy as np

from msgpass.errors import UnsupportedError
from msgpass.plan import Family, Recurrence

Arrays = tuple[np.ndarray, ...]


class Found(NamedTuple):
    """What a backward sweep returns.

    Attributes
    ----------
    weights : tuple of ndarray
        Gradients in the order of `Formula.weights`.
    starts : tuple of ndarray, shapes (B, H)
        Gradients with respect to the states before the first step.
    inputs : ndarray, shape (T, B, I), or None
        Gradients of the inputs, if they were asked for.
    carried : tuple of ndarray, shapes (T, B, H), or None
        What each step's states hear from the steps after it, if it was asked for; with the local cotangents
        it makes the adjoints.
    """

    weights: Arrays
    starts: Arrays
    inputs: np.ndarray | None = None
    carried: Arrays | None = None


class Formula(ABC):
    """A recurrence with compiled sweeps. Arrays are (T, B, ·), weights as torch lays them out.

    Attributes
    ----------
    kernel : str
        Its name in ``Step(kernel=…)``.
    text : str
        The formula, for messages.
    states : int
        How many states it carries; the step returns as many outputs, of one shape.
    gates : int
        Rows of its weights in units of H, which the patience with the reference depends on.
    masked : bool
        Its kernels take a mask.
    resumes : bool
        `backward` needs values alone: ``kept`` may be None.
    """

    kernel: str
    text: str
    states: int = 1
    gates: int = 1
    masked: bool = False
    resumes: bool = False

    @abstractmethod
    def weights(self, count: int, inputs: int, hidden: int) -> tuple[tuple[int, ...], ...] | None:
        """Shapes of ``count`` weights by role, or None where the formula does not have so many."""

    @abstractmethod
    def step(self, states: Arrays, x: np.ndarray, weights: Arrays) -> Arrays:
        """New states of one step, (B, H) each, in plain NumPy."""

    @abstractmethod
    def forward(self, x, weights: Arrays, starts: Arrays, mask, *, reverse: bool, keep: bool) -> tuple:
        """``(states, kept)``: all states, (T, B, H) each, and what `backward` wants to have back.

        With ``keep`` false nobody will go backward.
        """

    @abstractmethod
    def backward(
        self, cotangents, x, states: Arrays, weights: Arrays, starts: Arrays, mask, kept,
        *, reverse: bool, inputs: bool, carried: bool,
    ) -> Found:  # fmt: skip
        """Gradients from local cotangents, one array a state or None where a state has none."""

    tangent: Any = None
    """``tangent(sweep, tangents)`` if there is a quicker way than the reference's."""


@dataclass(frozen=True)
class Roles:
    """Inputs of a step by their part in the formula."""

    states: tuple[Any, ...]  # Arg of each state before, in the formula's order
    outs: tuple[Any, ...]  # Arg of each state after
    x: Any
    mask: Any  # Arg, or None
    weights: tuple[tuple[str, bool], ...]  # (name, transposed), in the formula's order
    batch: bool


def find_roles(formula: Formula, block: Recurrence, values) -> Roles:
    """Match the family's inputs with the formula by shapes, then by value."""
    family = block.families[0]
    for roles in _candidates(formula, block, family):
        found = _match(formula, family, roles, values)
        if found is not None:
            return found
    names = ("h", "c")[: formula.states]
    before = ", ".join(f"{s}.after(start)" for s in names)
    out = ", ".join(f"{s}[:]" for s in names)
    mask = " (and a mask of zeros and ones)" if formula.masked else ""
    raise UnsupportedError(
        f"step {family.name!r} asks for the compiled sweep {formula.kernel!r}, which runs {formula.text} "
        f"with inputs {before} or .before(end), x[:]{mask}, its weights, and out={out}; its function does "
        "not compute that. Leave kernel= out to run it as it is"
    )


def _candidates(formula: Formula, block: Recurrence, family: Family) -> Iterator[Roles]:
    """Roles of what has rows, as far as structure tells; weights are still open."""
    states = [a for a in family.args if a.name in block.nodes]
    inputs = [a for a in family.args if a.name not in block.nodes and a.rows is not None]
    whole = (
        len(family.outs) == formula.states == len(states)
        and {a.name for a in states} == {o.name for o in family.outs}
        and all(a.edge is not None for a in states)
        and all(a.slice.kind == "range" for a in (*inputs, *family.outs))
        and len({o.slice.shape for o in family.outs}) == 1
        and 1 <= len(inputs) <= 1 + formula.masked
        and block.order == 1
        and family.factor.n == family.outs[0].slice.node.clock.total
    )
    if not whole or not 1 <= len(family.outs[0].slice.shape) <= 2:
        return
    batch = len(family.outs[0].slice.shape) == 2
    rows = family.outs[0].slice.shape[0] if batch else 1
    before = {a.name: a for a in states}
    for outs in permutations(family.outs):
        for x, *mask in permutations(inputs):
            if not mask or int(np.prod(mask[0].slice.shape)) == rows:
                held = mask[0] if mask else None
                yield Roles(tuple(before[o.name] for o in outs), outs, x, held, (), batch)


def _match(formula: Formula, family: Family, roles: Roles, values) -> Roles | None:
    shape, x_shape = roles.outs[0].slice.shape, roles.x.slice.shape
    hidden, rows = shape[-1], shape[0] if roles.batch else 1
    width = int(np.prod(x_shape)) // rows
    shared = [a.name for a in family.args if a.rows is None]
    wanted = formula.weights(len(shared), width, hidden)
    if wanted is None:
        return None
    generator = np.random.default_rng(0)
    dtype = np.asarray(values[shared[0]]).dtype
    # Positive weights and several inputs of either sign: no relu is dead in all of them, and none hides a
    # weight's place. Large sums would saturate a gate, where all weights look alike.
    largest = min(0.5, 4 / (width + hidden))
    trial = {n: generator.uniform(largest / 5, largest, np.shape(values[n])).astype(dtype) for n in shared}
    tries, expected = [], []
    for _ in range(8):
        before = [generator.uniform(-1, 1, shape).astype(dtype) for _ in roles.states]
        x = generator.uniform(-1, 1, x_shape).astype(dtype)
        mask = generator.integers(0, 2, rows).astype(dtype)
        given = {a.name: v for a, v in zip(roles.states, before, strict=True)}
        given |= {roles.x.name: x, **trial}
        if roles.mask is not None:
            given[roles.mask.name] = mask.reshape(roles.mask.slice.shape)
        own = [given[a.name] for a in family.args]
        if family.potential.vectorized:
            own = [v[None] if a.rows is not None else v for v, a in zip(own, family.args, strict=True)]
        try:
            result = family.potential.f(*own)
            result = result if isinstance(result, tuple | list) else (result,)
            places = [family.outs.index(o) for o in roles.outs]
            expected.append([np.asarray(result[k]).reshape(rows, hidden) for k in places])
        except (ValueError, TypeError, IndexError):
            return None
        tries.append(([b.reshape(rows, hidden) for b in before], x.reshape(rows, width), mask))
    states = tuple(np.concatenate([t[0][k] for t in tries]) for k in range(formula.states))
    x = np.concatenate([t[1] for t in tries])
    held: Any = np.concatenate([t[2] for t in tries])[:, None] if roles.mask is not None else None
    targets = [np.concatenate([e[k] for e in expected]) for k in range(formula.states)]
    for names in permutations(shared):
        choices = [_oriented(trial[n], s) for n, s in zip(names, wanted, strict=True)]
        for picked in product(*choices):
            new = formula.step(states, x, tuple(w for w, _ in picked))
            if held is not None:
                new = tuple(held * n + (1 - held) * s for n, s in zip(new, states, strict=True))
            if all(np.allclose(n, t, rtol=1e-4, atol=1e-5) for n, t in zip(new, targets, strict=True)):
                weights = tuple((n, flip) for n, (_, flip) in zip(names, picked, strict=True))
                return Roles(roles.states, roles.outs, roles.x, roles.mask, weights, roles.batch)
    return None


def _oriented(weight: np.ndarray, shape: tuple[int, ...]) -> list[tuple[np.ndarray, bool]]:
    """The weight in the shape of its role, as it is and transposed, where it fits."""
    if weight.ndim == 1 and len(shape) == 2:
        return [(weight.reshape(shape), False)] if weight.size == shape[0] * shape[1] else []
    found = [(weight, False)] if weight.shape == shape else []
    if weight.ndim == 2 and weight.shape == shape[::-1]:
        found.append((weight.T, True))
    return found
