"""What goes into and comes out of the sweeps over a linear-Gaussian chain.

    x_0 = N(mean, cov) + flat δ,    x_{t+1} = F x_t + b + N(0, Q),    y_t = H x_t + N(0, R)

Many sequences of unequal length lie end to end: N sequences, T rows, S = T − N pairs. An array with a leading
axis of 1 is shared by all rows, pairs or sequences.
"""

from typing import NamedTuple

import numpy as np


class GaussianChainArrays(NamedTuple):
    """A chain's arrays, all float64.

    Attributes
    ----------
    mean : ndarray, shape (1 | N, n)
        Mean of the first state of each sequence.
    cov : ndarray, shape (1 | N, n, n)
        Its covariance; may be singular.
    flat : ndarray, shape (n, d)
        Directions in which the first state has a flat density of 1 (exact diffuse start): distinct unit
        vectors, d = 0 for none.
    F, Q, b : ndarrays, shapes (1 | S, n, n), (1 | S, n, n), (1 | S, n)
        Pair j of sequence k leads from row ``offsets[k] + j`` to the next; Q may be singular.
    H, R, y : ndarrays, shapes (1 | T, p, n), (1 | T, p, p), (T, p)
        NaN in y is a missing cell; R may be singular.
    offsets : ndarray of int64, shape (N + 1,)
        Sequence k is ``offsets[k]:offsets[k + 1]``; every length is at least 1.
    """

    mean: np.ndarray
    cov: np.ndarray
    flat: np.ndarray
    F: np.ndarray
    Q: np.ndarray
    b: np.ndarray
    H: np.ndarray
    R: np.ndarray
    y: np.ndarray
    offsets: np.ndarray

    @property
    def sources(self) -> np.ndarray:
        """Row that each pair starts from, (S,); pair j leads to ``sources[j] + 1``."""
        return np.delete(np.arange(self.offsets[-1]), self.offsets[1:] - 1)

    @property
    def owner(self) -> np.ndarray:
        """Sequence of each row, (T,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def at(array: np.ndarray, k: int) -> np.ndarray:
    """Entry k of an array that may be shared."""
    return array[0] if len(array) == 1 else array[k]


class FilterPass(NamedTuple):
    """What the forward pass leaves behind, for δ = 0; zero at missing cells in everything over cells.

    Attributes
    ----------
    predicted_mean, predicted_cov : ndarrays, shapes (T, n), (T, n, n)
        a, P: moments of x_t given earlier rows.
    filtered_mean, filtered_cov : ndarrays, shapes (T, n), (T, n, n)
        m, U: moments of x_t given rows up to t.
    innovation : ndarray, shape (T, p)
        v = y − H a.
    precision : ndarray, shape (T, p, p)
        S⁻¹ over the cells that are there, S = H P Hᵀ + R.
    gain : ndarray, shape (T, n, p)
        C = P Hᵀ S⁻¹, so that m = a + C v.
    terms : ndarray, shape (T,)
        log N(v; 0, S).
    suspicious : ndarray of bool, shape (N,)
        Sequences in which digits cancelled (see ``CANCELLED``), to be redone in square-root form.
    singular : ndarray of int64, shape (N,)
        Row within the sequence whose innovation covariance is singular or whose predicted covariance is not
        finite, or −1. Later rows are not filled.
    """

    predicted_mean: np.ndarray
    predicted_cov: np.ndarray
    filtered_mean: np.ndarray
    filtered_cov: np.ndarray
    innovation: np.ndarray
    precision: np.ndarray
    gain: np.ndarray
    terms: np.ndarray
    suspicious: np.ndarray
    singular: np.ndarray


class AdjointPass(NamedTuple):
    """What the backward pass leaves behind.

    Attributes
    ----------
    r : ndarray, shape (T, n, 1 + d)
        ∂ log Z/∂a_t for δ = 0, then its derivatives by δ.
    N : ndarray, shape (T, n, n)
        So that ∂ log Z/∂P_t = ½(r rᵀ − N).
    """

    r: np.ndarray
    N: np.ndarray


class Sums(NamedTuple):
    """Expected first and second moments of some vector z, summed over its instances.

    About the average, for raw second moments of a level far from zero lose the digits of its variance.

    Attributes
    ----------
    count : int, or float where instances are weighted
    mean : ndarray, shape (k,)
        Σ E[z] / count; zero where there is no instance.
    scatter : ndarray, shape (k, k)
        Σ E[(z − mean)(z − mean)ᵀ].
    """

    count: float
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def raw(self) -> np.ndarray:
        """Σ E[(1, z)(1, z)ᵀ], (1 + k, 1 + k)."""
        first = self.count * self.mean
        second = self.scatter + np.outer(first, self.mean)
        return np.block([[np.array([[float(self.count)]]), first[None]], [first[:, None], second]])


class Statistics(NamedTuple):
    """Expected sufficient statistics given all rows.

    Attributes
    ----------
    pairs : Sums of (x_t, x_{t+1}), 2n numbers, over all pairs.
    rows : Sums of (x_t, y_t), n + p numbers, over the rows with an observed cell.
        A missing cell of such a row is an unknown with moments given all rows, E[y] = H E[x] + E[ε]: its
        noise hangs together with that of the cells that are there.
    starts : Sums of x_0, over all sequences.
    """

    pairs: Sums
    rows: Sums
    starts: Sums


CANCELLED = 1e-7
"""A variance below this share of the terms that it is a difference of has lost half of its digits."""
