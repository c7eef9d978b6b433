"""Identity 13: how far each model looks back. Forgetting and vanishing are one inequality, ‖P₁ P₂ … P_k‖ ≤ Π
‖P_s‖.

An HMM's message crosses P_s(i, j) = p(z_{s+1} = j | z_s = i, y), and its size is the range max − min, which a
factor s shrinks by at most the Dobrushin coefficient τ(P) = ½ max_{i,i′} Σ_j |P(i, j) − P(i′, j)|. An adjoint
crosses the Jacobian ∂h_{s+1}/∂h_s, and its size is the Euclidean norm, which a factor s changes by at most
the spectral norm.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import ShapeError


class Influence(NamedTuple):
    """By lag k = 0, 1, …, averaged over all steps that have one so far ahead.

    Attributes
    ----------
    lag : (L,) int array
    actual : (L,) array
        Size of the message that leaves step s for step s − k, relative to its size at s.
    worst : (L,) array
        The same for the worst message: the coefficient of the product of k factors.
    bound : (L,) array
        The product of the k factors' coefficients; never below ``worst``.
    """

    lag: np.ndarray
    actual: np.ndarray
    worst: np.ndarray
    bound: np.ndarray


def message_influence(log_transition, log_evidence, log_backward, lags: int = 20) -> Influence:
    """The forgetting curve of a hidden Markov chain.

    Parameters
    ----------
    log_transition : (K, K) or (T − 1, K, K) array
    log_evidence : (T, K) array
        The local messages that are followed backwards. A step whose evidence is the same in all states that
        it allows sends nothing and is left out.
    log_backward : (T, K) array
        ``m.backward``: P_s(i, j) ∝ A(i, j) b_{s+1}(j) β_{s+1}(j).
    lags : int
        Largest lag.

    Examples
    --------
    >>> sure = np.log(np.full((2, 2), 0.5))
    >>> message_influence(sure, np.zeros((4, 2)) + [0.0, 1.0], np.zeros((4, 2)), lags=2).worst
    array([1., 0., 0.])
    """
    transition, evidence, later = (np.asarray(a, float) for a in (log_transition, log_evidence, log_backward))
    square = evidence.shape[-1:] * 2
    shapes = (square, (len(evidence) - 1, *square)) if evidence.ndim == 2 else ()
    if later.shape != evidence.shape or transition.shape not in shapes:
        raise ShapeError(
            "message_influence takes a (K, K) or (T − 1, K, K) log_transition and (T, K) log_evidence and "
            f"log_backward, got {transition.shape}, {evidence.shape} and {later.shape}"
        )
    # From β, not from pair beliefs: the kernel of a state that is all but excluded is as exact as any other.
    joint = transition + (evidence + later)[1:, None, :]
    top = joint.max(axis=2, keepdims=True, initial=-np.inf)
    weight = np.exp(joint - np.where(np.isfinite(top), top, 0.0))
    mass = weight.sum(axis=2, keepdims=True)
    # A state from which the rest is impossible has no kernel; any will do, as no message about it remains.
    kernels = np.where(mass > 0, weight / np.where(mass > 0, mass, 1.0), 1.0 / square[0])
    allowed = np.isfinite(evidence)
    low = np.where(allowed, evidence, np.inf).min(axis=1, keepdims=True)
    return _curves(
        kernels, np.where(allowed, evidence, np.where(np.isfinite(low), low, 0.0)), np.ptp, dobrushin, lags
    )


def adjoint_influence(jacobians, local_cotangents, lags: int = 20) -> Influence:
    """The vanishing (or exploding) curve of a recurrent net.

    Parameters
    ----------
    jacobians : (T − 1, H, H) array
        ∂h_{t+1}/∂h_t.
    local_cotangents : (T, H) array
        Gradients of the local losses, which are followed backwards.
    lags : int
        Largest lag.

    Examples
    --------
    >>> adjoint_influence(np.full((3, 1, 1), 0.5), np.ones((4, 1)), lags=2).actual
    array([1.  , 0.5 , 0.25])
    """
    jacobians, local = np.asarray(jacobians, float), np.asarray(local_cotangents, float)
    if jacobians.ndim != 3 or local.shape != (len(jacobians) + 1, jacobians.shape[1]):
        raise ShapeError(
            f"adjoint_influence takes (T−1, H, H) Jacobians and (T, H) cotangents, got {jacobians.shape} and "
            f"{local.shape}"
        )
    return _curves(np.swapaxes(jacobians, 1, 2), local, np.linalg.norm, _spectral, lags)


def dobrushin(kernels: np.ndarray) -> np.ndarray:
    """τ(P) = ½ max_{i,i′} Σ_j |P(i, j) − P(i′, j)| of stacked stochastic matrices.

    Examples
    --------
    >>> dobrushin(np.array([[0.9, 0.1], [0.2, 0.8]])).round(3)
    np.float64(0.7)
    """
    largest = np.zeros(kernels.shape[:-2])
    for i in range(1, kernels.shape[-2]):  # one row against all before: all pairs at once would be K³ numbers
        apart = np.abs(kernels[..., i : i + 1, :] - kernels[..., :i, :]).sum(axis=-1).max(axis=-1)
        largest = np.maximum(largest, apart)
    return 0.5 * largest


def _spectral(matrices: np.ndarray) -> np.ndarray:
    return np.linalg.norm(matrices, ord=2, axis=(-2, -1))


def _curves(factors: np.ndarray, sent: np.ndarray, size, coefficient, lags: int) -> Influence:
    """``factors[s]`` carries a message at s + 1 to s; ``sent[s]`` is what step s sends."""
    lags = min(int(lags), len(factors))
    start = np.array([size(row) for row in sent])
    # Averages are over the steps that send something, in all three curves alike.
    heard = start > 0 if (start > 0).any() else np.ones(len(start), bool)
    single = coefficient(factors) if len(factors) else np.zeros(0)
    message, product = sent, np.broadcast_to(np.eye(sent.shape[1]), (len(sent), *factors.shape[1:]))
    actual, worst, bound = [1.0], [1.0], [1.0]
    products = np.ones(len(sent))
    for lag in range(1, lags + 1):
        # Row n now belongs to the message that step n + lag sent and that has arrived at step n.
        n = len(sent) - lag
        message = np.einsum("nij,nj->ni", factors[:n], message[1:])
        product = factors[:n] @ product[1:]
        products = single[:n] * products[1:]
        chosen = heard[lag:]
        if not chosen.any():
            lags = lag - 1
            break
        left = np.array([size(row) for row in message[chosen]])
        actual.append(float((left / np.where(start[lag:] > 0, start[lag:], 1.0)[chosen]).mean()))
        worst.append(float(coefficient(product[chosen]).mean()))
        bound.append(float(products[chosen].mean()))
    return Influence(np.arange(lags + 1), np.array(actual), np.array(worst), np.array(bound))
