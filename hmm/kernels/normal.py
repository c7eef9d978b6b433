"""Normal densities and moments by compiled passes: arrays in, arrays out.

Importing this loads Numba; :mod:`~hmm.kernels.policy` says when that pays. Large work is cut into two halves
that go to two threads; as size alone decides, the same shapes give the same bits.
"""

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from msgpass.errors import ShapeError
from msgpass.kernels.runtime import aligned_empty, compiling, run_pair

THREADED = 1_000_000
"""Operations, some 50 µs of them, from which on two threads are used."""

_BLOCK = 64
_NOTHING = np.empty(0)


@cache
def _kernels() -> Any:
    """The compiled passes, which load Numba."""
    from hmm.kernels import normal_density, normal_moments

    kernels = {
        "diagonal": normal_density.diagonal,
        "matrices": normal_density.matrices,
        "weighted_sums": normal_moments.weighted_sums,
        "diagonal_scatter": normal_moments.diagonal_scatter,
        "matrix_scatter": normal_moments.matrix_scatter,
    }
    with compiling("the densities and moments of normal emissions", *kernels.values()):
        return SimpleNamespace(**kernels)


def diagonal_density(
    filled: np.ndarray,
    observed: np.ndarray | None,
    constants: np.ndarray,
    means: np.ndarray,
    precisions: np.ndarray,
) -> np.ndarray:
    """Σ_d [c_kd − (x_td − μ_kd)² p_kd] over observed cells, (T, K).

    Parameters
    ----------
    filled : array, (D, T)
        0 where missing.
    observed : array, (D, T), optional
        1.0 where observed, 0.0 where missing.
    constants, means, precisions : array, (K, D)
    """
    (D, T), K = filled.shape, len(means)
    out = np.empty((T, K))
    data = _flat(filled), _NOTHING if observed is None else _flat(observed), T
    tables = _flat(constants), _flat(means), _flat(precisions)
    _halves(_kernels().diagonal, (*data, *tables), T, K * (3 * D + 4), 2 * D + K, out.ravel(), out.ravel())
    return out


def matrix_density(
    filled: np.ndarray, constant: np.ndarray, means: np.ndarray, whitening: np.ndarray
) -> np.ndarray:
    """c_k − ½ |W_k (x_t − μ_k)|² with lower triangular W, (T, K).

    Parameters
    ----------
    filled : array, (D, T)
    constant : array, (K,)
    means : array, (K, D)
    whitening : array, (K, D, D)
    """
    (D, T), K = filled.shape, len(means)
    out = np.empty((T, K))
    before = _flat(filled), T, _flat(constant), _flat(means), _flat(whitening)
    _halves(_kernels().matrices, before, T, K * (D * (D + 5) + 4), 2 * D + K, out.ravel(), out.ravel())
    return out


def weighted_sums(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Σ_t w_tk x_ct of weights (T, K) and columns (C, T), (K, C)."""
    (C, T), K = columns.shape, weights.shape[1]
    before = _weights(weights, T), _flat(columns), T
    return _sums(_kernels().weighted_sums, before, T, K * (2 * C + 4), K + C + K * C, (K, C))


def diagonal_scatter(
    weights: np.ndarray, filled: np.ndarray, observed: np.ndarray | None, centres: np.ndarray
) -> np.ndarray:
    """Σ_t w_tk (x_td − c_kd)² over observed cells, (K, D); shapes as above."""
    (D, T), K = filled.shape, len(centres)
    shown = _NOTHING if observed is None else _flat(observed)
    before = _weights(weights, T), _flat(filled), shown, T, _flat(centres)
    return _sums(_kernels().diagonal_scatter, before, T, K * (4 * D + 4), K + 2 * D + K * D, (K, D))


def matrix_scatter(weights: np.ndarray, filled: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Σ_t w_tk (x_t − c_k)(x_t − c_k)ᵀ, (K, D, D)."""
    (D, T), K = filled.shape, len(centres)
    before = _weights(weights, T), _flat(filled), T, _flat(centres)
    rows = K + 3 * D + K * D * D
    return _sums(_kernels().matrix_scatter, before, T, K * (D * (D + 4) + 4), rows, (K, D, D))


def _flat(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, np.float64).ravel()


def _weights(weights: np.ndarray, n_steps: int) -> np.ndarray:
    if len(weights) != n_steps:
        raise ShapeError(f"{len(weights)} rows of weights for {n_steps} rows of data; there is one for each")
    return _flat(weights)


def _sums(
    kernel: Callable, before: tuple, n_steps: int, work: int, rows: int, shape: tuple[int, ...]
) -> np.ndarray:
    first, second = np.zeros((2, *shape))
    _halves(kernel, before, n_steps, work, rows, first.ravel(), second.ravel())
    first += second
    return first


def _halves(
    kernel: Callable,
    before: tuple[Any, ...],
    n_steps: int,
    work: int,
    rows: int,
    out: np.ndarray,
    out_second: np.ndarray,
) -> None:
    """``kernel(*before, first, last, memory, out)`` over all steps, in halves where both threads have work.

    ``work`` is operations a step; memory has ``rows`` of `_BLOCK` numbers.
    """
    if n_steps * work < THREADED:
        kernel(*before, 0, n_steps, aligned_empty(_BLOCK * rows), out)
        return
    middle = n_steps // (2 * _BLOCK) * _BLOCK
    first = (*before, 0, middle, aligned_empty(_BLOCK * rows), out)
    second = (*before, middle, n_steps, aligned_empty(_BLOCK * rows), out_second)
    run_pair(kernel, first, kernel, second)
