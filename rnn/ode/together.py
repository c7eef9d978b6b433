"""Many steps in one call of f.

After the forward pass all steps of a chain are linearised; where f takes them together that is a few calls
rather than a few a step. Most functions do, in one of two layouts: instances as a last axis, for what picks
numbers out of y (``y[0]``, ``A @ y``), or as a first axis, for what treats the last one (``y @ W``). Whether
one does is seen by trying: a few instances together must give what each gives alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

INSTANCES = range(3, 1000)
AGREE = {8: 1e-11, 4: 1e-4}  # relative, by bytes of a number


def at_once(function: Callable, like: np.ndarray, arrays, numbers: int) -> Callable | None:
    """``function(y, *numbers, *arrays)`` with a leading axis of instances on y and the numbers, or None where
    f does not allow it.

    Parameters
    ----------
    function : callable
    like : ndarray
        A state, such as y0.
    arrays : list of arrays
        Shared by all instances.
    numbers : int
        How many numbers (t, h, …) follow y.
    """
    rng = np.random.default_rng(0)
    like = np.asarray(like)
    sizes = {n for a in (like, *arrays) for n in np.shape(a)}
    count = next(n for n in INSTANCES if n not in sizes)  # else an axis of y passes for that of instances
    spread = 0.1 * (1 + np.abs(like))
    y = (like + spread * rng.normal(size=(count, *like.shape))).astype(like.dtype)
    times = [rng.uniform(0.01, 0.1, count).astype(like.dtype) for _ in range(numbers)]
    with np.errstate(all="ignore"):
        try:
            alone = np.stack([function(y[k], *(v[k] for v in times), *arrays) for k in range(count)])
        except Exception:  # whatever it is, the integration itself will tell
            return None
        for layout in (_last, _first):
            many = layout(function, numbers)
            try:
                together = np.asarray(many(y, *times, *arrays))
            except Exception:  # f was written for one state, and may fail in any way on several
                continue
            if _same(together, alone):
                return many
    return None


def _same(together: np.ndarray, alone: np.ndarray) -> bool:
    if together.shape != alone.shape or not np.isfinite(alone).all():
        return False
    size = np.abs(alone).max(initial=0.0)
    return bool(np.abs(together - alone).max(initial=0.0) <= AGREE[alone.dtype.itemsize] * size)


def _last(function: Callable, numbers: int) -> Callable:
    """Instances as the last axis."""

    def many(y, *rest):
        if len(y) == 1:
            return function(y[0], *(v[0] for v in rest[:numbers]), *rest[numbers:])[None]
        return np.moveaxis(function(np.moveaxis(y, 0, -1), *rest), -1, 0)

    many.__name__ = function.__name__
    return many


def _first(function: Callable, numbers: int) -> Callable:
    """Instances as the first axis."""

    def many(y, *rest):
        if len(y) == 1:
            return function(y[0], *(v[0] for v in rest[:numbers]), *rest[numbers:])[None]
        ones = (1,) * (np.ndim(y) - 1)
        times = [np.reshape(v, (-1, *ones)) for v in rest[:numbers]]
        return function(y, *times, *rest[numbers:])

    many.__name__ = function.__name__
    return many
