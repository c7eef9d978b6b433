"""``Extended``: the first-order Taylor expansion at the mean (extended Kalman filter and smoother).

    F = f′(mean),  b = f(mean) − F mean,  Ω = 0

Its transpose is first-order in b and second-order in F: with A = F̄ − b̄ meanᵀ,

    ∂L/∂mean = ∇ₓ (A · f′(x)) at the mean        (the terms f′ᵀb̄ and −Fᵀb̄ cancel)
"""

from __future__ import annotations

import numpy as np

from msgpass.linearisation.base import Affine, Linearisation


class Extended(Linearisation):
    """First-order Taylor expansion at the mean of what is known when the step is reached.

    The run is the extended Kalman filter with its Rauch-Tung-Striebel smoother, and ``total`` the filter's
    prediction-error likelihood. Errors grow with the curvature of f over the spread of x.

    Examples
    --------
    >>> Extended()
    Extended()
    """

    @property
    def spread(self) -> bool:
        """The mean alone."""
        return False

    def linearise(self, f, mean, cov) -> Affine:
        """See :mod:`msgpass.linearisation.base`."""
        F = f.jacobian(mean)
        return Affine(F, f(mean[:, None])[:, 0] - np.einsum("kij,kj->ki", F, mean))

    def pull(self, f, mean, cov, cotangent: Affine):
        """See :mod:`msgpass.linearisation.base`."""
        A = cotangent.F - np.einsum("ki,kj->kij", cotangent.b, mean)
        f.pull(mean[:, None], cotangent.b[:, None])
        return f.pull_jacobian(mean, A), None
