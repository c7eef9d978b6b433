"""Statistical linear regression on sigma points, which unscented, cubature and Gauss-Hermite share.

With unit points ξ_i and weights (w_i for means, v_i for covariances), x_i = mean + L ξ_i, L Lᵀ = cov, z_i =
f(x_i):

    z̄ = Σ w_i z_i,  B = Σ v_i (z_i − z̄) ξ_iᵀ,  F = B L⁻¹,  b = z̄ − F mean,
    Ω = Σ v_i (z_i − z̄)(z_i − z̄)ᵀ − B Bᵀ

F is the least-squares slope and Ω what it leaves unexplained. (Särkkä & Svensson, Bayesian Filtering and
Smoothing, 2nd ed. 2023, §9; Arasaratnam & Haykin 2009.)
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from msgpass.errors import NumericalError
from msgpass.linearisation.base import Affine, Linearisation


class SigmaPoints(Linearisation, ABC):
    """Base of the rules that only choose points; they implement ``points(n)`` → ξ (S, n), w (S,), v (S,)."""

    @abstractmethod
    def points(self, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit points, weights of the mean, weights of the covariance."""

    def linearise(self, f, mean, cov) -> Affine:
        """See :mod:`msgpass.linearisation.base`."""
        xi, w, v = self.points(mean.shape[1])
        L, inverse, _ = root(cov)
        _, centre, deviations, B = self._moments(f, mean, L, xi, w, v)
        F = B @ inverse
        spread = np.einsum("s,ksi,ksj->kij", v, deviations, deviations)
        extra = spread - B @ np.swapaxes(B, 1, 2)
        if (v < 0).any():
            _check_positive(self, extra, np.abs(spread).max(initial=0) + (B * B).max(initial=0))
        return Affine(F, centre - np.einsum("kij,kj->ki", F, mean), (extra + np.swapaxes(extra, 1, 2)) / 2)

    def _moments(self, f, mean, L, xi, w, v):
        x = mean[:, None] + np.einsum("kij,sj->ksi", L, xi)
        z = f(x)
        centre = np.einsum("s,ksi->ki", w, z)
        deviations = z - centre[:, None]
        return x, centre, deviations, np.einsum("s,ksi,sj->kij", v, deviations, xi)

    def pull(self, f, mean, cov, cotangent: Affine):
        """See :mod:`msgpass.linearisation.base`."""
        xi, w, v = self.points(mean.shape[1])
        L, inverse, exact = root(cov)
        if not exact:
            raise NumericalError(
                f"{type(self).__name__}: ∂total/∂parameters do not exist where a covariance is singular; "
                "give the prior and the noise positive definite covariances"
            )
        x, _, deviations, B = self._moments(f, mean, L, xi, w, v)
        F = B @ inverse
        slope = cotangent.F - np.einsum("ki,kj->kij", cotangent.b, mean)
        extra = np.zeros((len(mean), *B.shape[1:2] * 2)) if cotangent.extra is None else cotangent.extra
        extra = (extra + np.swapaxes(extra, 1, 2)) / 2
        at_B = slope @ np.swapaxes(inverse, 1, 2) - 2 * extra @ B
        at_L = -np.swapaxes(F, 1, 2) @ slope @ np.swapaxes(inverse, 1, 2)
        at_deviations = v[:, None] * (xi @ np.swapaxes(at_B, 1, 2) + 2 * deviations @ extra)
        at_centre = cotangent.b - at_deviations.sum(axis=1)
        at_x = f.pull(x, at_deviations + w[:, None] * at_centre[:, None])
        at_L = at_L + np.einsum("ksi,sj->kij", at_x, xi)
        at_mean = at_x.sum(axis=1) - np.einsum("kij,ki->kj", F, cotangent.b)
        return at_mean, pull_root(L, inverse, at_L)


def root(cov: np.ndarray) -> tuple[np.ndarray, np.ndarray, bool]:
    """(L with L Lᵀ = cov, its inverse, whether L is the Cholesky factor). A singular cov gets a root by its
    eigenvectors and a pseudo-inverse: along directions that are known there is no slope."""
    n = cov.shape[-1]
    try:
        L = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh((cov + np.swapaxes(cov, 1, 2)) / 2)
        scales = np.sqrt(np.maximum(values, 0))
        kept = values > 1e-14 * np.maximum(values[:, -1:], 1e-300)
        scales = np.where(kept, scales, 0.0)
        inverse = np.divide(1.0, scales, out=np.zeros_like(scales), where=kept)
        return vectors * scales[:, None], inverse[:, :, None] * np.swapaxes(vectors, 1, 2), False
    return L, np.linalg.solve(L, np.broadcast_to(np.eye(n), cov.shape)), True


def pull_root(L, inverse, at_L) -> np.ndarray:
    """∂/∂cov from ∂/∂L of a Cholesky factor: ½ L⁻ᵀ(Φ + Φᵀ)L⁻¹, Φ the lower half of LᵀL̄ (Smith 1995)."""
    phi = np.tril(np.swapaxes(L, 1, 2) @ at_L)
    phi = phi + np.swapaxes(phi, 1, 2)
    n = L.shape[-1]
    phi[:, range(n), range(n)] /= 2
    return np.swapaxes(inverse, 1, 2) @ phi @ inverse / 2


def _check_positive(rule, extra, scale: float) -> None:
    lowest = np.linalg.eigvalsh(extra).min(initial=0)
    if lowest < -1e-8 * scale:
        raise NumericalError(
            f"{rule!r} has a negative weight, and left a covariance with the eigenvalue {lowest:.3g}; use "
            "Cubature(), GaussHermite(order), or an Unscented(...) whose weights are positive"
        )
