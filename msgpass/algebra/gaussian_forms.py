"""The forms of a Gaussian message and of a quadratic instance, and the moves between them.

A message is kept in one of two forms of the same function of x:

    information  exp(g + hᵀx − ½ xᵀΛx)      Λ may be singular ("says nothing about some direction")
    moments      exp(g) N(x; m, P)           P may be singular ("knows some direction exactly")
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msgpass.dual_array import number
from msgpass.errors import NumericalError

LOG_2PI = math.log(2 * math.pi)


class Information(NamedTuple):
    """exp(g + hᵀx − ½ xᵀΛx)."""

    h: np.ndarray
    precision: np.ndarray
    log_scale: float


class Moments(NamedTuple):
    """exp(g) N(x; m, P)."""

    mean: np.ndarray
    cov: np.ndarray
    log_scale: float


class Canonical(NamedTuple):
    """An instance g + hᵀx − ½ xᵀΛx over variables of the given sizes end to end."""

    h: np.ndarray
    precision: np.ndarray
    log_scale: float
    sizes: tuple[int, ...]


class Linear(NamedTuple):
    """An instance log N(x′; Σ_k F_k x_k + b, Q) over its variables in the order ins, out.

    ``F`` has one matrix a variable, and None at ``target``, the place of x′.
    """

    F: tuple
    Q: np.ndarray
    b: np.ndarray
    target: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of the variables, ins first."""
        return tuple(self.b.size if matrix is None else matrix.shape[1] for matrix in self.F)

    def predicted(self, sources: list[Moments]) -> Moments:
        """What the sources say of x′; ``sources`` in the order of the variables."""
        mean, cov, scale = self.b, self.Q, 0.0
        matrices = [matrix for matrix in self.F if matrix is not None]
        for matrix, known in zip(matrices, sources, strict=True):
            mean = mean + matrix @ known.mean
            cov = cov + matrix @ known.cov @ matrix.T
            scale += known.log_scale
        return Moments(mean, symmetric(cov), scale)

    def without(self, k: int, others: list[Moments]) -> Linear:
        """The relation between variable k and x′ once the other sources are integrated out."""
        rest = Linear(tuple(m for i, m in enumerate(self.F) if i != k), self.Q, self.b, 0)
        spread = rest.predicted(others)
        return Linear((self.F[k], None), spread.cov, spread.mean, 1)


def message_size(message) -> int:
    """Dimension of a message."""
    return (message.mean if isinstance(message, Moments) else message.h).size


def symmetric(matrix: np.ndarray) -> np.ndarray:
    """(M + Mᵀ)/2."""
    return (matrix + matrix.T) / 2


def condition(known: Moments, said: Information) -> Moments:
    """N(m, P) times exp(hᵀx − ½xᵀΛx): P′ = P(I + ΛP)⁻¹, m′ = m + P′(h − Λm). Neither P nor Λ need be
    invertible.
    """
    m, P = known.mean, known.cov
    S = np.eye(m.size) + said.precision @ P
    sign, logdet = np.linalg.slogdet(S)
    if not sign > 0:
        raise NumericalError(
            "a product of Gaussian messages is not normalisable: the precisions add up to a matrix "
            "that is not positive"
        )
    cov = symmetric(np.linalg.solve(S.T, P.T).T)
    residual = said.h - said.precision @ m
    scale = said.h @ m - 0.5 * m @ said.precision @ m + 0.5 * residual @ cov @ residual - 0.5 * logdet
    return Moments(m + cov @ residual, cov, known.log_scale + said.log_scale + scale)


def to_moments(message) -> Moments:
    """Normalise an information message."""
    if isinstance(message, Moments):
        return message
    try:
        L = np.linalg.cholesky(message.precision)
    except np.linalg.LinAlgError:
        raise NumericalError(
            "a Gaussian message has no mean: its precision is singular or not positive, so some direction of "
            "the variable is not determined; add a prior (Quadratic.prior) or evidence about it"
        ) from None
    half = np.linalg.inv(L)
    cov = half.T @ half
    mean = cov @ message.h
    n = message.h.size
    scale = message.log_scale + 0.5 * n * LOG_2PI - np.log(np.diag(L)).sum() + 0.5 * message.h @ mean
    return Moments(mean, cov, number(scale))


def try_moments(message) -> Moments | None:
    if isinstance(message, Moments):
        return message
    eigenvalues = np.linalg.eigvalsh(message.precision)
    return to_moments(message) if eigenvalues[0] > 1e-10 * max(eigenvalues[-1], 1e-300) else None


def to_information(message) -> Information:
    """The same function by its information vector and precision."""
    if isinstance(message, Information):
        return message
    try:
        L = np.linalg.cholesky(message.cov)
    except np.linalg.LinAlgError:
        raise NumericalError(
            "a Gaussian message with a singular covariance has no information form; ask for its mean and cov"
        ) from None
    half = np.linalg.inv(L)
    precision = half.T @ half
    h = precision @ message.mean
    scale = (
        message.log_scale
        - 0.5 * message.mean.size * LOG_2PI
        - np.log(np.diag(L)).sum()
        - 0.5 * message.mean @ h
    )
    return Information(h, precision, number(scale))


def cross_back(potential: Linear, said: Information) -> Information:
    """∫ N(x′; Fx + b, Q) exp(g + hᵀx′ − ½x′ᵀΛx′) dx′ as a function of x."""
    F, Q, b = potential.F[0], potential.Q, potential.b
    S = np.eye(b.size) + Q @ said.precision
    sign, logdet = np.linalg.slogdet(S)
    if not sign > 0:
        raise NumericalError(
            "a backward Gaussian message is not integrable: the precision behind a transition is not positive"
        )
    carried = symmetric(said.precision @ np.linalg.inv(S))
    shifted = np.linalg.solve(S.T, said.h - said.precision @ b)
    # At x = 0, x′ ~ N(b, Q): the value of the integral is the scale.
    spread = np.linalg.solve(S, Q)
    r = said.h - said.precision @ b
    scale = (
        said.log_scale
        + said.h @ b
        - 0.5 * b @ said.precision @ b
        + 0.5 * r @ symmetric(spread) @ r
        - 0.5 * logdet
    )
    return Information(F.T @ shifted, symmetric(F.T @ carried @ F), number(scale))


def marginal(joint: Information, keep: slice | np.ndarray) -> Information:
    """Schur complement onto ``keep``."""
    inside = np.zeros(joint.h.size, bool)
    inside[keep] = True
    if inside.all():
        return joint
    a, o = np.flatnonzero(inside), np.flatnonzero(~inside)
    block = joint.precision[np.ix_(o, o)]
    try:
        L = np.linalg.cholesky(block)
    except np.linalg.LinAlgError:
        raise NumericalError(
            "a variable cannot be integrated out: its precision is singular or not positive; add a "
            "prior or evidence about it"
        ) from None
    half = np.linalg.inv(L)
    inverse = half.T @ half
    cross = joint.precision[np.ix_(a, o)] @ inverse
    scale = (
        joint.log_scale
        + 0.5 * o.size * LOG_2PI
        - np.log(np.diag(L)).sum()
        + 0.5 * joint.h[o] @ inverse @ joint.h[o]
    )
    precision = joint.precision[np.ix_(a, a)] - cross @ joint.precision[np.ix_(o, a)]
    return Information(joint.h[a] - cross @ joint.h[o], symmetric(precision), number(scale))


def canonical(potential) -> Canonical:
    """A linear-Gaussian instance in canonical form (Q must be invertible), variables ins first."""
    if isinstance(potential, Canonical):
        return potential
    Q, b = potential.Q, potential.b
    try:
        L = np.linalg.cholesky(Q)
    except np.linalg.LinAlgError:
        raise NumericalError(
            "a transition with singular noise meets a state that nothing determines yet; give the "
            "first state a prior"
        ) from None
    half = np.linalg.inv(L)
    W = half.T @ half
    # x′ − Σ F_k x_k = residual @ (all variables end to end)
    residual = np.hstack([np.eye(b.size) if matrix is None else -matrix for matrix in potential.F])
    scale = -0.5 * b.size * LOG_2PI - np.log(np.diag(L)).sum() - 0.5 * b @ W @ b
    precision = symmetric(residual.T @ W @ residual)
    return Canonical(residual.T @ W @ b, precision, number(scale), potential.sizes)


def as_message(potential):
    if isinstance(potential, Moments | Information):
        return potential
    return Information(potential.h, potential.precision, potential.log_scale)


def joint_information(potential, ins, at_out) -> Information:
    base = canonical(potential)
    h, precision, scale, start = base.h.copy(), base.precision.copy(), base.log_scale, 0
    for size, message in zip(base.sizes, [*ins, at_out], strict=True):
        if message is not None:
            said = to_information(message)
            block = slice(start, start + size)
            h[block] += said.h
            precision[block, block] += said.precision
            scale += said.log_scale
        start += size
    return Information(h, precision, number(scale))
