"""``Gaussian``: messages are Gaussian functions; crossing a quadratic is a Schur complement. Gradients of log
Z are moments.

A message is kept in one of two forms of the same function of x:

    information  exp(g + hᵀx − ½ xᵀΛx)      Λ may be singular ("says nothing about some direction")
    moments      exp(g) N(x; m, P)           P may be singular ("knows some direction exactly")

Priors enter as moments and stay so forward; evidence and everything backward is information. Crossing N(x′; F
x + b, Q):

    forward   m′ = F m + b,  P′ = F P Fᵀ + Q
    backward  Λ = FᵀΛ′(I + QΛ′)⁻¹F,  h = Fᵀ(I + Λ′Q)⁻¹(h′ − Λ′b)        (right for singular Q)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from msgpass.algebra.base import Algebra
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
    """An instance log N(x′; F x + b, Q) over (x, x′); ``flipped`` when the chain is oriented x′ → x."""

    F: np.ndarray
    Q: np.ndarray
    b: np.ndarray
    flipped: bool


class Gaussian(Algebra):
    """Gaussian messages; ``total`` is log Z; what arrives at a parameter are expected sufficient
    statistics.
    """

    potentials = frozenset({"quadratic"})

    def unit(self, size, dtype):
        """The constant 1."""
        return Information(np.zeros(size, dtype), np.zeros((size, size), dtype), 0.0)

    def add(self, a, b):
        """Product of two messages; a known (moments) message stays in moments."""
        if isinstance(a, Information) and isinstance(b, Information):
            return Information(a.h + b.h, a.precision + b.precision, a.log_scale + b.log_scale)
        if isinstance(a, Information):
            a, b = b, a
        return condition(a, b if isinstance(b, Information) else to_information(b))

    def forward(self, potential, ins):
        """Integrate the ins out."""
        if not ins:
            return _as_message(potential)
        if isinstance(potential, Linear) and not potential.flipped:
            known = _try_moments(ins[0])
            if known is not None:
                F, Q, b = potential.F, potential.Q, potential.b
                return Moments(F @ known.mean + b, symmetric(F @ known.cov @ F.T + Q), known.log_scale)
        if isinstance(potential, Linear) and potential.flipped:
            return cross_back(potential, to_information(ins[0]))
        joint = _joint_information(potential, ins, None)
        return marginal(joint, slice(joint.h.size - potential_sizes(potential)[-1], None))

    def backward(self, potential, ins, at_out):
        """Integrate everything but one in."""
        if isinstance(potential, Linear):
            if not potential.flipped:
                return [cross_back(potential, to_information(at_out))]
            known = _try_moments(at_out)
            if known is not None:
                F, Q, b = potential.F, potential.Q, potential.b
                return [Moments(F @ known.mean + b, symmetric(F @ known.cov @ F.T + Q), known.log_scale)]
        result, sizes = [], potential_sizes(potential)
        ends = np.cumsum(sizes)
        for k in range(len(ins)):
            others = [self.unit(m_size(m), float) if j == k else m for j, m in enumerate(ins)]
            joint = _joint_information(potential, others, at_out)
            result.append(marginal(joint, slice(ends[k] - sizes[k], ends[k])))
        return result

    def joint(self, potential, ins, at_out):
        """Moments of the instance's posterior over its variables end to end."""
        if isinstance(potential, Linear):
            source, target = (ins[0], at_out) if not potential.flipped else (at_out, ins[0])
            known = _try_moments(source)
            if known is not None:
                F, Q, b = potential.F, potential.Q, potential.b
                cross = known.cov @ F.T
                mean = np.concatenate([known.mean, F @ known.mean + b])
                cov = np.block([[known.cov, cross], [cross.T, symmetric(F @ cross + Q)]])
                said = to_information(target)
                n = known.mean.size
                lifted = self.unit(mean.size, float)
                lifted.h[n:], lifted.precision[n:, n:] = said.h, said.precision
                joint = condition(Moments(mean, cov, 0.0), lifted)
                if not potential.flipped:
                    return joint
                order = np.r_[np.arange(n, mean.size), np.arange(n)]
                return Moments(joint.mean[order], joint.cov[np.ix_(order, order)], 0.0)
        return to_moments(_joint_information(potential, ins, at_out))

    def close(self, message):
        """log of the integral."""
        return float(to_moments(message).log_scale)


def m_size(message) -> int:
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
            "a Gaussian message has no mean: its precision is singular or not positive, so some "
            "direction of the variable is not "
            "determined; add a prior (Quadratic.prior) or evidence about it"
        ) from None
    half = np.linalg.inv(L)
    cov = half.T @ half
    mean = cov @ message.h
    n = message.h.size
    scale = message.log_scale + 0.5 * n * LOG_2PI - np.log(np.diag(L)).sum() + 0.5 * message.h @ mean
    return Moments(mean, cov, float(scale))


def _try_moments(message) -> Moments | None:
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
    return Information(h, precision, float(scale))


def cross_back(potential: Linear, said: Information) -> Information:
    """∫ N(x′; Fx + b, Q) exp(g + hᵀx′ − ½x′ᵀΛx′) dx′ as a function of x."""
    F, Q, b = potential.F, potential.Q, potential.b
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
    return Information(F.T @ shifted, symmetric(F.T @ carried @ F), float(scale))


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
    return Information(joint.h[a] - cross @ joint.h[o], symmetric(precision), float(scale))


def potential_sizes(potential) -> tuple[int, ...]:
    """Sizes of the instance's variables, ins first."""
    if isinstance(potential, Canonical):
        return potential.sizes
    p, n = potential.F.shape
    return (n, p) if not potential.flipped else (p, n)


def canonical(potential) -> Canonical:
    """A linear-Gaussian instance in canonical form (Q must be invertible), variables ins first."""
    if isinstance(potential, Canonical):
        return potential
    F, Q, b = potential.F, potential.Q, potential.b
    try:
        L = np.linalg.cholesky(Q)
    except np.linalg.LinAlgError:
        raise NumericalError(
            "a transition with singular noise meets a state that nothing determines yet; give the "
            "first state a prior"
        ) from None
    half = np.linalg.inv(L)
    W = half.T @ half
    joint = np.block([[F.T @ W @ F, -F.T @ W], [-W @ F, W]])
    h = np.concatenate([-F.T @ W @ b, W @ b])
    scale = -0.5 * b.size * LOG_2PI - np.log(np.diag(L)).sum() - 0.5 * b @ W @ b
    n = F.shape[1]
    if potential.flipped:
        order = np.r_[np.arange(n, h.size), np.arange(n)]
        joint, h = joint[np.ix_(order, order)], h[order]
    return Canonical(h, joint, float(scale), potential_sizes(potential))


def _as_message(potential):
    if isinstance(potential, Moments | Information):
        return potential
    return Information(potential.h, potential.precision, potential.log_scale)


def _joint_information(potential, ins, at_out) -> Information:
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
    return Information(h, precision, float(scale))
