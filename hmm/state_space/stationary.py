"""The stationary start as a function of the transition, differentiated.

x̄ = (I − F)⁻¹ b and P = F P Fᵀ + Q. With the adjoint A = Fᵀ A F + ∂P of the Lyapunov equation, ∂Q = A and
∂F = 2 A F P; with w = (I − F)⁻ᵀ ∂x̄, ∂b = w and ∂F = w x̄ᵀ.
"""

from __future__ import annotations

import numpy as np

from hmm.state_space.space import StateSpace


def through_stationary(space: StateSpace, slopes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Slopes of the transition with what arrives at the start passed on to them."""
    from scipy.linalg import solve_discrete_lyapunov

    F, mean, cov = space.transition_matrix, space.initial_mean, space.initial_covariance
    arrived = slopes.pop("initial_covariance")
    A = solve_discrete_lyapunov(F.T, (arrived + arrived.T) / 2)
    w = np.linalg.solve((np.eye(len(F)) - F).T, slopes.pop("initial_mean"))
    return slopes | {
        "transition_matrix": slopes["transition_matrix"] + 2 * A @ F @ cov + np.outer(w, mean),
        "transition_covariance": slopes["transition_covariance"] + A,
        "transition_offset": slopes["transition_offset"] + w,
    }
