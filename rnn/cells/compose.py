"""A cell from its halves: step = combine ∘ affine, with the derivatives of the composition.

VJP   (z̄, s̄, θ̄_late) = combineᵀ(cotangent),   then affineᵀ(z̄), the cotangents of the states added up
HVP   affine's HVP at z̄, and its VJP of z̄'s tangent
"""

from __future__ import annotations

from functools import partial
from typing import Any

from msgpass import Step
from rnn.cells.rules import plus, rules


def compose(
    first_half: Step,
    second_half: Step,
    states: int,
    roles: tuple[str, ...],
    late: tuple[str, ...],
    kernel: str | None = None,
) -> Step:
    """``step(*states, x, *weights)`` of ``affine(*states, x, *early)`` and ``combine(z, *states, *late)``.

    Parameters
    ----------
    first_half, second_half : Step
        ``affine`` and ``combine``, vectorised, with ``vjp``, ``jvp`` and ``hvp``.
    states : int
    roles : tuple of str
        All weights in the order of the step's inputs.
    late : tuple of str
        Those that ``combine`` reads.
    kernel : str, optional
        The compiled sweep that computes the same.
    """
    affine, combine = rules(first_half), rules(second_half)
    head = states + 1
    early_at = [*range(head), *(head + k for k, role in enumerate(roles) if role not in late)]
    late_at = [*range(states), *(head + k for k, role in enumerate(roles) if role in late)]

    def early(arrays):
        return tuple(arrays[k] for k in early_at)

    def after(gates, arrays):
        return gates, *(arrays[k] for k in late_at)

    def gathered(inputs, at_affine, at_combine):
        found: list[Any] = [None] * len(inputs)
        for places, messages in ((early_at, at_affine), (late_at, at_combine)):
            for k, message in zip(places, messages, strict=True):
                found[k] = plus(found[k], message)
        return tuple(found)

    def step(*inputs):
        return combine.f(*after(affine.f(*early(inputs)), inputs))

    def vjp(inputs, cotangent):
        at_gates, *rest = combine.vjp(after(affine.f(*early(inputs)), inputs), cotangent)
        return gathered(inputs, affine.vjp(early(inputs), at_gates), rest)

    def jvp(inputs, tangents):
        gates = affine.f(*early(inputs))
        moved = affine.jvp(early(inputs), early(tangents))
        return combine.jvp(after(gates, inputs), after(moved, tangents))

    def hvp(inputs, cotangent, tangents):
        inside = after(affine.f(*early(inputs)), inputs)
        moves = after(affine.jvp(early(inputs), early(tangents)), tangents)
        at_gates = combine.vjp(inside, cotangent)[0]
        at_gates_dot, *rest = combine.hvp(inside, cotangent, moves)
        at_affine = [
            plus(a, b)
            for a, b in zip(
                affine.hvp(early(inputs), at_gates, early(tangents)),
                affine.vjp(early(inputs), at_gates_dot),
                strict=True,
            )
        ]
        return gathered(inputs, at_affine, rest)

    def part(inputs, cotangent, which: int):
        """Of the VJP what goes on (which = 0: states and x), or what can wait (1: weights)."""
        at_gates, *rest = combine.vjp(after(affine.f(*early(inputs)), inputs), cotangent)
        keep = [(k < states) == (which == 0) for k in range(len(rest))]
        rest = [message if kept else None for message, kept in zip(rest, keep, strict=True)]
        return gathered(inputs, halves[which](early(inputs), at_gates), rest)

    halves = first_half.split or ()
    split = (partial(part, which=0), partial(part, which=1)) if halves else None
    return Step(step, vjp=vjp, jvp=jvp, vectorized=True, kernel=kernel, hvp=hvp, split=split)
