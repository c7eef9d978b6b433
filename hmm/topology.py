"""Which states may follow which, before anything is learned: masks that a fit keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array, diags_array, issparse

from msgpass.errors import DataError

NAMES = ("ergodic", "left-right", "linear", "cyclic")

MANY = 512
"""States from which on a narrow band is kept as a sparse matrix."""

NARROW = 8
"""A band is narrow where it takes at most one in so many of the states."""


def allowed_transitions(topology, n_components: int) -> np.ndarray:
    """Mask (K, K) of what may follow what.

    Parameters
    ----------
    topology : None, str, int or array
        None and "ergodic": anything. "left-right": the same state or a later one. "linear": the same or the
        next one; "cyclic": the first is next to the last. A whole number b: states at most b apart (banded).
        An array (K, K), dense or of scipy.sparse: what is not zero or False.
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
    if issparse(topology):
        return topology.toarray() != 0
    gap = np.arange(K) - np.arange(K)[:, None]
    if isinstance(topology, str):
        return {
            "ergodic": np.ones((K, K), bool),
            "left-right": gap >= 0,
            "linear": (gap == 0) | (gap == 1),
            "cyclic": (gap == 0) | (gap % K == 1),
        }[topology]
    return abs(gap) <= topology if isinstance(topology, int | np.integer) else np.asarray(topology) != 0


def sparse_transitions(topology, n_components: int) -> Any:
    """The same mask as a sparse array of bools.

    >>> sparse_transitions(1, 1000).nnz
    2998
    """
    check_topology(topology, n_components)
    K = n_components
    if issparse(topology):
        return csr_array(topology != 0)
    if topology == "linear":
        offsets = [0, 1]
    elif topology == "cyclic":
        offsets = [0, 1, 1 - K]
    elif isinstance(topology, int | np.integer):
        offsets = list(range(-min(int(topology), K - 1), min(int(topology), K - 1) + 1))
    else:
        return csr_array(allowed_transitions(topology, K))
    offsets = [d for d in dict.fromkeys(offsets) if abs(d) < K]
    bands = [np.ones(K - abs(d)) for d in offsets]
    return csr_array(diags_array(bands, offsets=offsets, shape=(K, K)) != 0)


def is_sparse(topology, n_components: int) -> bool:
    """Whether transitions are to be kept as a sparse matrix: masks that are, and narrow bands of many
    states."""
    if issparse(topology):
        return True
    if isinstance(topology, int | np.integer) and not isinstance(topology, bool | np.bool_):
        width = 2 * int(topology) + 1
    elif isinstance(topology, str) and topology in ("linear", "cyclic"):
        width = 2
    else:
        return False
    return n_components >= MANY and width * NARROW <= n_components


def check_topology(topology, n_components: int) -> None:
    """Raise a :class:`DataError` where it is none."""
    K = n_components
    if topology is None or (isinstance(topology, str) and topology in NAMES):
        return
    if isinstance(topology, int | np.integer) and not isinstance(topology, bool | np.bool_) and topology >= 0:
        return
    mask = topology if issparse(topology) else _mask(topology)
    if mask is None or mask.shape != (K, K):
        shown = f"a sparse array {topology.shape}" if issparse(topology) else repr(topology)
        raise DataError(
            f"topology is one of {', '.join(map(repr, NAMES))}, a whole number of states that neighbours "
            f"may be apart, or a mask of shape ({K}, {K}), dense or sparse; got {shown}"
        )
    somewhere = np.asarray((mask != 0).sum(axis=1)).ravel() > 0
    if not somewhere.all():
        raise DataError(f"topology lets state {int(somewhere.argmin())} go nowhere, not even to itself")


def starts_at_first(topology: Any) -> bool:
    """Whether sequences begin in state 0."""
    return isinstance(topology, str) and topology in ("left-right", "linear")


def _mask(topology) -> np.ndarray | None:
    try:
        array = np.asarray(topology)
    except (TypeError, ValueError):
        return None
    return array != 0 if array.dtype.kind in "biuf" else None
