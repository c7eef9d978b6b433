"""The theory as measurements: each identity computes one quantity by two routes through the engine and
reports the gap.

Every function draws a random model from ``seed`` or takes the caller's own, and returns an `Identity`. `all`
runs them on random models; what it returns prints as a table.

    1  β_t(i) = ∂Z/∂α_t(i)                                 backward_is_adjoint
    2  γ_t, Σ_t ξ_t = ∂log Z/∂log b_t, ∂log Z/∂log A       expected_counts_are_gradients
    3  ∂log p(y)/∂θ = E[∂log p(y, z)/∂θ | y]               fisher
    4  λ_t = −∇(log β_t + local evidence)                  adjoint_is_slope
    5  λ_t = Λ_t x_t − h_t = P_t x_t − p_t                 costate_is_message
    6  smoothed mean = MAP path, ∂log Z/∂h = mean          smoothing_is_optimising
    7  fixed-lag smoothing = truncated BPTT                fixed_lag_is_truncation
    8  schedules and unrolling change nothing              schedules_agree
    9  T log Z(θ/T) → best score                           max_is_cold_sum
    10 Σ_k (Jᵀ)^k x̄ = (I − Jᵀ)⁻¹ x̄                        fixed_point_is_implicit
    11 Σ δ_t e_t = Σ (G_t − V) x_t; K steps keep 1 − λ^K   td_views_agree

`message_influence` and `adjoint_influence` are the two curves of the thirteenth: how fast an HMM forgets and
how fast the adjoints of a recurrent net vanish, each under its bound.
"""

from __future__ import annotations

from msgpass.identities.credit import Episode, td_views_agree
from msgpass.identities.discrete import (
    backward_is_adjoint,
    expected_counts_are_gradients,
    fisher,
    max_is_cold_sum,
)
from msgpass.identities.influence import Influence, adjoint_influence, message_influence
from msgpass.identities.linear import Control, LinearChain, costate_is_message, smoothing_is_optimising
from msgpass.identities.loops import Loop, fixed_point_is_implicit
from msgpass.identities.networks import Network, adjoint_is_slope
from msgpass.identities.record import Identity, IdentityTable
from msgpass.identities.schedules import fixed_lag_is_truncation, schedules_agree

__all__ = [
    "Control",
    "Episode",
    "Identity",
    "IdentityTable",
    "Influence",
    "LinearChain",
    "Loop",
    "Network",
    "adjoint_influence",
    "adjoint_is_slope",
    "all",
    "backward_is_adjoint",
    "costate_is_message",
    "expected_counts_are_gradients",
    "fisher",
    "fixed_lag_is_truncation",
    "fixed_point_is_implicit",
    "max_is_cold_sum",
    "message_influence",
    "schedules_agree",
    "smoothing_is_optimising",
    "table",
    "td_views_agree",
]

FUNCTIONS = (
    backward_is_adjoint,
    expected_counts_are_gradients,
    fisher,
    adjoint_is_slope,
    costate_is_message,
    smoothing_is_optimising,
    fixed_lag_is_truncation,
    schedules_agree,
    max_is_cold_sum,
    fixed_point_is_implicit,
    td_views_agree,
)


def all(seed: int = 0) -> IdentityTable:
    """Every identity on random models.

    Parameters
    ----------
    seed : int

    Returns
    -------
    IdentityTable
        A tuple of `Identity` that prints as a table; ``.to_frame()`` makes it a pandas frame.

    Examples
    --------
    >>> [one.number for one in all(seed=3) if one.holds]
    [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    """
    return IdentityTable(function(seed=seed) for function in FUNCTIONS)


def table(
    log_init, log_transition, log_evidence, network: Network | None = None, *, seed: int = 0
) -> IdentityTable:
    """Every identity on the caller's chain and network; those of linear-Gaussian chains and of an episode
    stay random.

    Parameters
    ----------
    log_init, log_transition, log_evidence : (K,), (K, K), (T, K) arrays
        A hidden Markov chain.
    network : Network, optional
        A random one by default.
    seed : int
        For the random models.

    Returns
    -------
    IdentityTable

    Examples
    --------
    >>> import numpy as np
    >>> A = np.log([[0.9, 0.1], [0.2, 0.8]])
    >>> table(np.log([0.5, 0.5]), A, np.log([[0.3, 0.6], [0.1, 0.7], [0.5, 0.2]])).holds
    True
    """
    chain = (log_init, log_transition, log_evidence)
    return IdentityTable(
        (
            backward_is_adjoint(*chain),
            expected_counts_are_gradients(*chain),
            fisher(*chain),
            adjoint_is_slope(network, seed=seed),
            costate_is_message(seed=seed),
            smoothing_is_optimising(seed=seed),
            fixed_lag_is_truncation(*chain),
            schedules_agree(*chain, network=network, seed=seed),
            max_is_cold_sum(*chain),
            fixed_point_is_implicit(seed=seed),
            td_views_agree(seed=seed),
        )
    )
