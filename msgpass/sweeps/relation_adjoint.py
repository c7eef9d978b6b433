"""What a linear-Gaussian relation with a latent target says to its parts, without an inverse of Q.

The sources say x ~ N(m, P), so that the relation y = F x + b + N(0, Q) predicts y ~ N(a, S), a = F m + b,
S = F P Fᵀ + Q. Everything else says exp(hᵀy − ½ yᵀΛy). With A = (I + Λ S)⁻¹, r = A(h − Λ a) and N = A Λ:

    ∂log Z/∂b = r,   ∂log Z/∂Q = ½(r rᵀ − N),   ∂log Z/∂F = r (m + P Fᵀ r)ᵀ − N F P

which is the adjoint of the filter (:mod:`~msgpass.kernels.gaussian_chain_reference`) at one instance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.algebra.gaussian_forms import Information, Moments, symmetric, to_information
from msgpass.dual_array import plain, zeros


class Pull(NamedTuple):
    """∂log Z/∂(F, b, Q); F over all latent sources end to end, (n, 0) where there is none."""

    F: np.ndarray
    b: np.ndarray
    Q: np.ndarray


def relation_adjoint(
    F: np.ndarray, b: np.ndarray, Q: np.ndarray, sources: list[Moments], said
) -> Pull | None:
    """The adjoint of one instance; None where what is said of the target has no information form.

    Examples
    --------
    A known start x = 1 and one observation y = 3 of it with unit noise; ∂log N(3; 1, 1)/∂1 = 2:

    >>> pull = relation_adjoint(
    ...     np.zeros((1, 0)), np.ones(1), np.zeros((1, 1)), [], Information(3 * np.ones(1), np.eye(1), 0.0)
    ... )
    >>> pull.b.tolist(), pull.Q.tolist()
    ([2.0], [[1.5]])
    """
    if not isinstance(said, Information):
        if not invertible(said.cov):
            return None
        said = to_information(said)
    sizes = [known.mean.size for known in sources]
    P = zeros((sum(sizes), sum(sizes)), float, [known.cov for known in sources])
    start = 0
    for size, known in zip(sizes, sources, strict=True):
        P[start : start + size, start : start + size] = known.cov
        start += size
    m = np.concatenate([known.mean for known in sources]) if sources else np.zeros(0)
    ahead = P @ F.T
    S = symmetric(F @ ahead + Q)
    turned = np.eye(b.size) + said.precision @ S
    r = np.linalg.solve(turned, said.h - said.precision @ (F @ m + b))
    N = symmetric(np.linalg.solve(turned, said.precision))
    return Pull(np.outer(r, m + ahead @ r) - N @ ahead.T, r, 0.5 * (np.outer(r, r) - N))


def invertible(cov: np.ndarray) -> bool:
    """Whether a covariance keeps digits when it is inverted, in units of its own diagonal."""
    cov = plain(cov)
    scale = np.sqrt(np.diagonal(cov))
    if not cov.size:
        return True
    return bool((scale > 0).all()) and float(np.linalg.eigvalsh(cov / np.outer(scale, scale))[0]) > 1e-12
