"""What goes into and comes out of the sweeps over a switching linear-Gaussian chain.

    s_t a chain of K states,   x_{t+1} = F[s_{t+1}] x_t + b[s_{t+1}] + N(0, Q[s_{t+1}]),
    y_t = H[s_t] x_t + d[s_t] + N(0, R[s_t])

N sequences end to end, T rows, S = T − N pairs. A leading axis of 1 is shared by all rows, pairs or
sequences."""

from typing import NamedTuple

import numpy as np


class SwitchingChainArrays(NamedTuple):
    """A switching chain's arrays.

    Attributes
    ----------
    log_init, log_transition, log_evidence : ndarrays, shapes (K,), (1 | S, K, K), (T, K)
        Log tables of the states; ``log_evidence`` is what tables alone say of each row.
    mean, cov : ndarrays, shapes (1 | N, K, n), (1 | N, K, n, n)
    F, Q, b : ndarrays, shapes (1 | S, K, n, n), (1 | S, K, n, n), (1 | S, K, n)
        By the state that a pair arrives in.
    H, R, d : ndarrays, shapes (1 | T, K, p, n), (1 | T, K, p, p), (1 | T, K, p)
    y : ndarray, shape (T, p)
        NaN is a missing cell.
    offsets : ndarray of int64, shape (N + 1,)
    """

    log_init: np.ndarray
    log_transition: np.ndarray
    log_evidence: np.ndarray
    mean: np.ndarray
    cov: np.ndarray
    F: np.ndarray
    Q: np.ndarray
    b: np.ndarray
    H: np.ndarray
    R: np.ndarray
    d: np.ndarray
    y: np.ndarray
    offsets: np.ndarray


class Mixtures(NamedTuple):
    """A mixture of K Gaussians a row.

    Attributes
    ----------
    log_weights : ndarray, shape (T, K)
        Normalised.
    means, covs : ndarrays, shapes (T, K, n), (T, K, n, n)
    """

    log_weights: np.ndarray
    means: np.ndarray
    covs: np.ndarray


class Filtered(NamedTuple):
    """What a filter leaves behind.

    Attributes
    ----------
    mixtures : Mixtures
        Given rows up to and including each.
    log_z : ndarray, shape (N,)
    trouble : tuple of int, or None
        (``SINGULAR`` or ``OVERFLOW``, sequence, step within it) of the first innovation covariance that is
        singular or state covariance that is not finite; what comes later is not filled.
    """

    mixtures: Mixtures
    log_z: np.ndarray
    trouble: tuple[int, int, int] | None


SINGULAR, OVERFLOW = 1, 2


class PairMixtures(NamedTuple):
    """Of every pair of rows, P(s_t, s_{t+1}), and a mixture over s_{t+1} of Gaussians over (x_t, x_{t+1}).

    Attributes
    ----------
    weights : ndarray, shape (S, K, K)
        P(s_t = j, s_{t+1} = k).
    means : ndarray, shape (S, K, 2n)
        By the state that the pair arrives in.
    covs : ndarray, shape (S, K, 2n, 2n)
    """

    weights: np.ndarray
    means: np.ndarray
    covs: np.ndarray
