"""Second derivatives of single factors: how what a step or a loss says to its inputs moves with them.

step   λ̇_k ← Σ_j ∂²(λ·f)/∂x_k∂x_j ẋ_j          loss   λ̇_k ← Σ_j ∂²ℓ/∂x_k∂x_j ẋ_j
"""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import NumericalError
from msgpass.interop.differentiators import autograd_hvp, autograd_vjp
from msgpass.plan import Family
from msgpass.sweeps.local import checked_cotangents, differentiable, guarded
from msgpass.sweeps.real import Store, deliver, moving, present_instances, spread_rows
from msgpass.sweeps.rows import per_instance, read, rows_of


def moves_of(family: Family, inputs, tangents) -> list:
    """Tangents of a family's real inputs, stacked like the inputs; None where nothing moves."""
    return [
        read(family, a, tangents) if np.asarray(v).dtype.kind == "f" and moving(tangents, a) else None
        for a, v in zip(family.args, inputs, strict=True)
    ]


def curve_steps(block, values, tangents, first: Store, store: Store, later: Store, checked: set) -> None:
    """What the curvature of every step of a block says to its inputs, given the cotangents ``first``."""
    for family in block.families:
        if not any(first.has(o.name) for o in family.outs):
            continue
        inputs = [read(family, a, values) for a in family.args]
        moves = moves_of(family, inputs, tangents)
        if all(m is None for m in moves):
            continue
        stacked = [per_instance(family, a) for a in family.args]
        cotangents = [first.complete(o.name) for o in family.outs]
        if family.counts is None and not any(stacked):
            own = [
                c if o.rows is None else c[o.rows][0] for o, c in zip(family.outs, cotangents, strict=True)
            ]
            found = step_hvp(family, inputs, own, moves, checked)
        else:
            own = [
                c[None] if o.rows is None else c[rows_of(family, o, None)]
                for o, c in zip(family.outs, cotangents, strict=True)
            ]
            found = step_hvps(family, inputs, stacked, own, moves, checked)
        for arg, message in zip(family.args, found, strict=True):
            deliver(family, arg, message, store, later)


def step_hvp(family: Family, inputs, cotangents, moves, checked: set) -> list:
    """One call, which may be vectorised: by the step's own ``hvp``, else by autograd through its ``vjp`` or
    f."""
    step = family.potential
    cotangent: Any = tuple(cotangents) if len(family.outs) > 1 else cotangents[0]
    if step.hvp is not None:
        full = tuple(np.zeros_like(x) if t is None else t for x, t in zip(inputs, moves, strict=True))
        found = guarded(family, step.hvp, (tuple(inputs), cotangent, full))
        return checked_cotangents(family, found, inputs, "hvp of step")
    wanted = differentiable(inputs)

    def gradient(*own):
        if step.vjp is not None:
            return step.vjp(tuple(own), cotangent)
        result: list = [None] * len(own)
        for k, g in zip(wanted, autograd_vjp(step.f, own, wanted)[1](cotangent), strict=True):
            result[k] = g
        return result

    if step.vjp is None:
        return autograd_hvp(gradient, inputs, moves, f"function of step {family.name!r}")
    return _traced(gradient, inputs, moves, f"vjp of step {family.name!r}", checked)


def _traced(gradient, inputs, moves, what: str, checked: set) -> list:
    """Through a user's gradients, whose derivative is verified to be symmetric, once a plan."""
    found = autograd_hvp(gradient, inputs, moves, what)
    if what in checked:
        return found
    rng, given = np.random.default_rng(0), [k for k, g in enumerate(found) if g is not None]
    one, other = (
        [rng.normal(size=np.shape(v)) if k in given else None for k, v in enumerate(inputs)] for _ in range(2)
    )
    sides = []
    for first, second in ((one, other), (other, one)):
        product: Any = autograd_hvp(gradient, inputs, first, what)
        sides.append(np.array([np.sum(product[k] * second[k]) for k in given]))
    size = float(sum(np.abs(side).sum() for side in sides))
    single = any(np.asarray(inputs[k]).dtype == np.float32 for k in given)
    if abs(float(sides[0].sum() - sides[1].sum())) > (1e-3 if single else 1e-8) * size:
        raise NumericalError(
            f"second derivatives: that of the {what} is not symmetric, as that of a gradient is. It keeps "
            "something between calls, takes something for constant, or is not a derivative; give its own hvp="
        )
    checked.add(what)
    return found


def step_hvps(family: Family, inputs, stacked, cotangents, moves, checked: set) -> list:
    """All instances: stacked inputs get a leading axis, shared inputs a sum."""
    n = len(cotangents[0])
    if n == 0:
        return [None] * len(inputs)
    if family.potential.vectorized:
        return step_hvp(family, inputs, cotangents, moves, checked)
    result: list = [None] * len(inputs)
    for j in range(n):
        one, along = (
            [v[j] if s and v is not None else v for v, s in zip(which, stacked, strict=True)]
            for which in (inputs, moves)
        )
        _gather(result, step_hvp(family, one, [c[j] for c in cotangents], along, checked), inputs, stacked, j)
    return result


def _gather(result: list, found, inputs, stacked, j: int) -> None:
    for k, g in enumerate(found):
        if g is None:
            continue
        if stacked[k]:
            if result[k] is None:
                result[k] = np.zeros(np.shape(inputs[k]), np.asarray(g).dtype)
            result[k][j] = g
        else:
            result[k] = g if result[k] is None else result[k] + g


def curve_loss(block, values, tangents, store: Store, later: Store, checked: set) -> None:
    """Hessian of a loss times the tangents of what it reads; missing instances contribute nothing."""
    family = block.families[0]
    stacked = [per_instance(family, a) for a in family.args]
    inputs = [read(family, a, values) for a in family.args]
    moves = moves_of(family, inputs, tangents)
    present = present_instances(family, inputs, stacked, values)
    if all(m is None for m in moves) or not np.any(present):
        return
    if not any(stacked):
        found = loss_hvp(family, inputs, moves, checked)
    elif family.potential.vectorized:
        own, along = (
            [v[present] if s and v is not None else v for v, s in zip(which, stacked, strict=True)]
            for which in (inputs, moves)
        )
        found = [
            spread_rows(g, present) if s and g is not None else g
            for g, s in zip(loss_hvp(family, own, along, checked), stacked, strict=True)
        ]
    else:
        found = [None] * len(inputs)
        for j in np.flatnonzero(present).tolist():
            own, along = (
                [v[j] if s and v is not None else v for v, s in zip(which, stacked, strict=True)]
                for which in (inputs, moves)
            )
            _gather(found, loss_hvp(family, own, along, checked), inputs, stacked, j)
    for arg, message in zip(family.args, found, strict=True):
        deliver(family, arg, message, store, later)


def loss_hvp(family: Family, inputs, moves, checked: set) -> list:
    """One call: by the loss's own ``hvp``, else by autograd through its gradients."""
    loss = family.potential
    if loss.hvp is not None:
        full = tuple(np.zeros_like(x) if t is None else t for x, t in zip(inputs, moves, strict=True))
        return checked_cotangents(family, loss.hvp(tuple(inputs), full), inputs, "hvp of loss")

    def gradient(*own):
        grads = loss.value_and_grad(*own)[1]
        return [grads] if len(own) == 1 and not isinstance(grads, tuple | list) else grads

    return _traced(gradient, inputs, moves, f"gradients of loss {family.name!r}", checked)
