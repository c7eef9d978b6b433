"""How far back a share of the credit reaches: the bridge from λ to a window of truncated back-propagation.

The λ-return weighs the n-step returns by (1 − λ) λⁿ⁻¹, so that those of at most K steps have 1 − λᴷ together.
A window of K steps, ``Truncated(1, K)``, over the traces' recurrence keeps that share."""

from __future__ import annotations

import math

import numpy as np

from msgpass.errors import DataError
from rnn.validation import whole

EPSILON = float(np.finfo(float).eps)


def kept_weight(lambda_: float, window: int, discount: float = 1.0) -> float:
    """1 − (γλ)ᴷ: the share that a window of K steps keeps.

    Parameters
    ----------
    lambda_ : float in [0, 1]
    window : int
        K ≥ 1.
    discount : float in [0, 1]
        γ; see :func:`truncation_for`.

    Examples
    --------
    >>> kept_weight(0.5, 3)
    0.875
    """
    decay = _share("lambda_", lambda_) * _share("discount", discount)
    window = whole("window", window)
    return -math.expm1(window * math.log(decay)) if decay else 1.0


def truncation_for(lambda_: float, keep: float, discount: float = 1.0) -> int:
    """The smallest window K that keeps a share of the λ-return's weight: 1 − λᴷ ≥ keep.

    Parameters
    ----------
    lambda_ : float in [0, 1)
        1 is Monte Carlo: no n-step return but the last has a weight, and no window short of the episode keeps
        any of it.
    keep : float in (0, 1)
        Equal up to the rounding of the arguments counts as kept: 0.19 of λ = 0.9 takes two steps.
    discount : float in [0, 1]
        With γ the share meant is one of TD errors: the advantage Σ_k (γλ)^k δ_{t+k} gives its first K terms
        1 − (γλ)ᴷ of all weight, as if λ were γλ. The weights of the n-step returns do not depend on γ, so the
        default is 1. With γ < 1, λ may be 1.

    Returns
    -------
    int
        K, for ``Truncated(1, K)``, ``FixedLag(K - 1)`` or :func:`semi_gradient`.

    Examples
    --------
    >>> truncation_for(0.5, 0.75), truncation_for(0.9, 0.95), truncation_for(0.0, 0.999)
    (2, 29, 1)
    >>> truncation_for(1.0, 0.9, discount=0.9)
    22
    """
    lam, gamma = _share("lambda_", lambda_), _share("discount", discount)
    if isinstance(keep, bool) or not isinstance(keep, int | float | np.number) or not 0 < keep < 1:
        raise DataError(f"keep must be a share between 0 and 1, both excluded, got {keep!r}")
    decay = lam * gamma
    if decay == 1:
        raise DataError(
            "with λ = 1 (Monte Carlo) 1 − λᴷ is 0 for every K: the weight is all on the return of the "
            "whole episode, and no window keeps a part of it. Take λ below 1, discount= below 1, or do not "
            "truncate"
        )
    if decay == 0:
        return 1
    keep = float(keep)
    # 1 - keep is exact from 0.5 on; below, and for decay, half a last digit is the arguments' own.
    dropped = (1 - keep) + EPSILON / 2 * keep

    def kept(window: int) -> bool:
        return decay**window * (1 - 2 * EPSILON) <= dropped

    window = max(1, math.ceil(math.log1p(-keep) / math.log(decay)))
    while window > 1 and kept(window - 1):
        window -= 1
    while not kept(window):
        window += 1
    return window


def _share(what: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
        raise DataError(f"{what} must be a number from 0 to 1, got {value!r}")
    return float(value)
