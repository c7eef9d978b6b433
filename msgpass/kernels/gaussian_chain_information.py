"""The backward information filter of a Gaussian chain, compiled for chains that are long enough.

A message exp(g + hᵀx − ½ xᵀΛx) at x′, the step's own evidence included, crosses x′ = F x + b + N(0, Q):

    M = I + Λ′Q,   Λ = Fᵀ M⁻¹ Λ′ F,   h = Fᵀ s  with  s = M⁻¹ (h′ − Λ′ b)
    g = g′ + h′ᵀb − ½ bᵀΛ′b + ½ sᵀQ (h′ − Λ′b) − ½ log|M|

No matrix but M is inverted, so Q, F and Λ′ may be singular. It is the Riccati recursion of optimal control.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.errors import NumericalError
from msgpass.kernels.gaussian_chain_types import GaussianChainArrays, at

COMPILED_FROM = 16
"""Pairs from which the compiled sweep runs: iterations of control problems sweep short chains many times."""


class InformationPass(NamedTuple):
    """exp(g + hᵀx − ½ xᵀΛx) at every row.

    Attributes
    ----------
    h : ndarray, shape (T, n)
    precision : ndarray, shape (T, n, n)
    log_scale : ndarray, shape (T,)
    """

    h: np.ndarray
    precision: np.ndarray
    log_scale: np.ndarray


def backward_information(arrays: GaussianChainArrays) -> InformationPass:
    """What later rows say of each row; nothing at the last one of a sequence.

    Raises
    ------
    NumericalError
        Where noise without variance sees something exactly, or |M| is not positive.
    """
    return information_against_time(arrays.F, arrays.Q, arrays.b, row_evidence(arrays), arrays.offsets)


def information_against_time(F, Q, b, own: InformationPass, offsets) -> InformationPass:
    """The same from what each row itself says, given in information form: precisions may be indefinite."""
    found = InformationPass(*(np.zeros_like(part) for part in own))
    pairs = len(own.h) - len(offsets) + 1
    sweep = _compiled() if pairs >= COMPILED_FROM else backward_reference
    failed = sweep(F, Q, b, *own, offsets, *found)
    if failed >= 0:
        raise NumericalError(
            f"the Gaussian message that goes back to row {failed} is not integrable: the precision behind "
            "the transition is not positive"
        )
    return found


def backward_reference(F, Q, b, own_h, own_precision, own_scale, offsets, h, precision, scale) -> int:
    """One crossing after another; the row of the first that is not integrable, or −1."""
    pair = len(h) - len(offsets) + 1
    for k in range(len(offsets) - 2, -1, -1):
        for t in range(offsets[k + 1] - 2, offsets[k] - 1, -1):
            pair -= 1
            A, noise, shift = at(F, pair), at(Q, pair), at(b, pair)
            h_next, P = h[t + 1] + own_h[t + 1], precision[t + 1] + own_precision[t + 1]
            M = np.eye(len(h_next)) + P @ noise
            sign, logdet = np.linalg.slogdet(M)
            if not sign > 0:
                return t
            rest = h_next - P @ shift
            carried, s = np.linalg.solve(M, P), np.linalg.solve(M, rest)
            h[t] = A.T @ s
            precision[t] = A.T @ (carried + carried.T) @ A / 2
            scale[t] = scale[t + 1] + own_scale[t + 1] + shift @ (h_next + rest) / 2
            scale[t] += (s @ noise @ rest - logdet) / 2
    return -1


def row_evidence(arrays: GaussianChainArrays) -> InformationPass:
    """What each row itself says of x_t; cells that are missing are left out."""
    H, R, y = arrays.H, arrays.R, arrays.y
    T, n = len(y), H.shape[-1]
    h, precision, scale = np.zeros((T, n)), np.zeros((T, n, n)), np.zeros(T)
    patterns, which = np.unique(np.isnan(y), axis=0, return_inverse=True)
    for k, gone in enumerate(patterns):
        seen, rows = np.flatnonzero(~gone), np.flatnonzero(which.reshape(-1) == k)
        if not seen.size:
            continue
        A, noise = H[:, seen], R[:, seen][:, :, seen]
        A, noise = (part[rows] if len(part) > 1 else part for part in (A, noise))
        try:
            half = np.linalg.inv(np.linalg.cholesky(noise))
        except np.linalg.LinAlgError:
            raise NumericalError(
                "an observation with singular noise R says something exactly, which has no information form; "
                "give R a small positive diagonal, or read beliefs, which need no R⁻¹"
            ) from None
        whitened = half @ A
        w = np.einsum("tij,tj->ti", np.broadcast_to(half, (len(rows), *half.shape[1:])), y[rows][:, seen])
        h[rows] = np.einsum("tji,tj->ti", np.broadcast_to(whitened, (len(rows), *whitened.shape[1:])), w)
        precision[rows] = np.swapaxes(whitened, 1, 2) @ whitened
        logdet = np.log(np.diagonal(half, axis1=1, axis2=2)).sum(axis=1)
        scale[rows] = logdet - 0.5 * seen.size * np.log(2 * np.pi) - 0.5 * (w * w).sum(axis=1)
    return InformationPass(h, precision, scale)


def _compiled():
    from msgpass.kernels.gaussian_chain_information_compiled import backward_compiled

    return backward_compiled
