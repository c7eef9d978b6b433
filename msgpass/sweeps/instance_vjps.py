"""Local VJPs one instance at a time, where the vectorised one would hand back their sum."""

from __future__ import annotations

import numpy as np

from msgpass.sweeps.local import vjp_one


def instance_vjp(family, inputs, stacked, cotangents, j: int) -> list:
    """Cotangents of every input of instance j alone, without a leading axis; None where there is none.

    ``inputs`` and ``cotangents`` are stacked over instances, as in :func:`msgpass.sweeps.local.vjp_many`.
    """
    if not family.potential.vectorized or not any(stacked):
        own = [v[j] if s else v for v, s in zip(inputs, stacked, strict=True)]
        return vjp_one(family, own, [c[j] for c in cotangents])
    part = [v[j : j + 1] if s else v for v, s in zip(inputs, stacked, strict=True)]
    found = vjp_one(family, part, [c[j : j + 1] for c in cotangents])
    return [g if g is None or not s else g[0] for g, s in zip(found, stacked, strict=True)]


def shared_messages(family, inputs, stacked, cotangents, n: int, k: int) -> np.ndarray:
    """What each of n instances says to input k, which they share: (n, *shape)."""
    found = [instance_vjp(family, inputs, stacked, cotangents, j)[k] for j in range(n)]
    like = np.asarray(inputs[k])
    return np.stack([np.zeros_like(like) if g is None else np.asarray(g) for g in found])
