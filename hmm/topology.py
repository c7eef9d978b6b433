"""Which states may follow which, before anything is learned: masks that a fit keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from msgpass.errors import DataError

NAMES = ("ergodic", "left-right", "linear", "cyclic")


def allowed_transitions(topology, n_components: int) -> np.ndarray:
    """Mask (K, K) of what may follow what.

    Parameters
    ----------
    topology : None, str, int or array
        None and "ergodic": anything. "left-right": the same state or a later one. "linear": the same or the
        next one; "cyclic": the first is next to the last. A whole number b: states at most b apart (banded).
        An array (K, K): what is not zero or False.
    n_components : int

    Raises
    ------
    DataError

    Examples
    --------
    >>> allowed_transitions("linear", 3).astype(int)
    array([[1, 1, 0],
           [0, 1, 1],
           [0, 0, 1]])
    """
    check_topology(topology, n_components)
    K = n_components
    if topology is None:
        return np.ones((K, K), bool)
    gap = np.arange(K) - np.arange(K)[:, None]
    if isinstance(topology, str):
        return {
            "ergodic": np.ones((K, K), bool),
            "left-right": gap >= 0,
            "linear": (gap == 0) | (gap == 1),
            "cyclic": (gap == 0) | (gap % K == 1),
        }[topology]
    return abs(gap) <= topology if isinstance(topology, int | np.integer) else np.asarray(topology) != 0


def check_topology(topology, n_components: int) -> None:
    """Raise a :class:`DataError` where it is none."""
    K = n_components
    if topology is None or (isinstance(topology, str) and topology in NAMES):
        return
    if isinstance(topology, int | np.integer) and not isinstance(topology, bool | np.bool_) and topology >= 0:
        return
    mask = _mask(topology)
    if mask is None or mask.shape != (K, K):
        raise DataError(
            f"topology is one of {', '.join(map(repr, NAMES))}, a whole number of states that neighbours "
            "may be "
            f"apart, or a mask of shape ({K}, {K}); got {topology!r}"
        )
    if not mask.any(axis=1).all():
        raise DataError(
            f"topology lets state {int(mask.any(axis=1).argmin())} go nowhere, not even to itself"
        )


def starts_at_first(topology: Any) -> bool:
    """Whether sequences begin in state 0."""
    return isinstance(topology, str) and topology in ("left-right", "linear")


def _mask(topology) -> np.ndarray | None:
    try:
        array = np.asarray(topology)
    except (TypeError, ValueError):
        return None
    return array != 0 if array.dtype.kind in "biuf" else None
