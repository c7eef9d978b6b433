"""Cotangents of a recurrence by a scan: the forward pass is not affine in the state, the backward pass is.

    λ_t = local_t + J_{t+1}ᵀ λ_{t+1}

Once all Jacobians are known, λ is the suffixes of affine maps in a logarithmic number of batched products,
each of matrices where the sweep multiplies vectors.
"""

from __future__ import annotations

import numpy as np

from msgpass.kernels.scan import Element, affine, blocked_prefixes, suffixes

SCANNED_STATE = 16
"""Numbers in a state up to which it pays. A step backward takes 0.45 µs instead of 5.6 for 2 numbers, 0.8
instead of 5.7 for 4, 2.2 instead of 6.1 for 8, 4 to 6 instead of 7.2 for 16 and 15 instead of 11 for 32."""


def fits(block, family) -> bool:
    """Every row of a small state is an instance's output, and reads the state one step before it."""
    inner = [a for a in family.args if a.name in block.nodes]
    first, clock = family.outs[0].first, family.outs[0].clock
    return (
        family.factor.n == clock.total
        and sum(int(np.prod(o.slice.shape)) for o in family.outs) <= SCANNED_STATE
        and all(o.first == first for o in family.outs)
        and all(a.slice.kind != "index" and a.first - first == -block.direction for a in inner)
    )


def scan_cotangents(block, family, jacobians, flat: dict[str, np.ndarray]) -> bool:
    """Turn local cotangents, (T, size) by name, into all that arrives, in place.

    ``jacobians[k][a]`` is ∂out_k/∂inner_a of every instance, (T, size of out, size of in). False, and nothing
    changed, where products of Jacobians overflow, which the vectors of the sweep need not do.
    """
    names = [o.name for o in family.outs]
    sizes = [flat[name].shape[1] for name in names]
    place = {n: slice(e - s, e) for n, s, e in zip(names, sizes, np.cumsum(sizes), strict=True)}
    clock = family.outs[0].clock
    T, S, offsets = clock.total, sum(sizes), np.asarray(clock.offsets)
    local = np.concatenate([flat[name] for name in names], axis=1)
    maps = np.zeros((T, S, S), local.dtype)
    inner = [a for a in family.args if a.name in block.nodes]
    for name, row in zip(names, jacobians, strict=True):
        for arg, jacobian in zip(inner, row, strict=True):
            maps[:, place[arg.name], place[name]] += np.swapaxes(jacobian, 1, 2)
    # The map from a row's successor to the row; what has none starts anew.
    steps = np.zeros_like(maps)
    if block.direction > 0:
        steps[:-1] = maps[1:]
        steps[offsets[1:] - 1] = 0
    else:
        steps[1:] = maps[:-1]
        steps[offsets[:-1]] = 0
    start: Element = (steps, local[..., None])
    if block.direction > 0:
        _, found = suffixes(start, lambda early, late: affine(late, early))
    else:
        _, found = blocked_prefixes(start, affine)
    if not np.isfinite(found).all():
        return False
    for name in names:
        flat[name][:] = found[:, place[name], 0]
    return True
