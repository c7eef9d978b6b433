"""The noise of the observations given all rows, ε_t = y_t − H x_t, without an inverse of R.

    e = S⁻¹ v − Cᵀ r⁺,  D = S⁻¹ + Cᵀ N⁺ C,  X = Cᵀ (I − N⁺ U)
    E[ε] = R e,  Cov(ε) = R − R D R,  Cov(ε, x) = −R X

and ∂ log Z/∂y = −e, ∂/∂R = ½(e eᵀ − D), ∂/∂H = e E[x]ᵀ − X. With a regular R,
D = R⁻¹ − R⁻¹ Cov(ε) R⁻¹ and X = R⁻¹ H Cov(x).
"""

from typing import NamedTuple

import numpy as np

from msgpass.kernels.gaussian_chain_types import AdjointPass, FilterPass


class Noise(NamedTuple):
    """e as columns (T, p, 1 + d), one of means and d of spread; D (T, p, p) and X (T, p, n) for any δ."""

    e: np.ndarray
    D: np.ndarray
    X: np.ndarray


def observation_noise(done: FilterPass, innovations, behind: AdjointPass, columns) -> Noise:
    """From turned columns of innovations (T, p, 1 + d) and of smoothed states (T, n, 1 + d)."""
    Ct = np.swapaxes(done.gain, -1, -2)
    e = done.precision @ innovations - Ct @ behind.r
    D = done.precision + Ct @ behind.N @ done.gain
    X = Ct - Ct @ behind.N @ done.filtered_cov
    spread = e[..., 1:]
    return Noise(
        e,
        D - spread @ np.swapaxes(spread, -1, -2),
        X - spread @ np.swapaxes(columns[..., 1:], -1, -2),
    )
