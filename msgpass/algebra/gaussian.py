"""``Gaussian``: messages are Gaussian functions; crossing a quadratic is a Schur complement. Gradients of log
Z are moments.

Priors enter as moments and stay so forward; evidence and everything backward is information
(:mod:`~msgpass.algebra.gaussian_forms`). Crossing N(x′; F x + b, Q):

    forward   m′ = F m + b,  P′ = F P Fᵀ + Q
    backward  Λ = FᵀΛ′(I + QΛ′)⁻¹F,  h = Fᵀ(I + Λ′Q)⁻¹(h′ − Λ′b)        (right for singular Q)

Where x′ has several sources, the others widen Q and shift b: they are integrated out first.
"""

from __future__ import annotations

import numpy as np

from msgpass.algebra.base import Algebra
from msgpass.algebra.gaussian_forms import (
    Information,
    Linear,
    Moments,
    as_message,
    condition,
    cross_back,
    joint_information,
    marginal,
    message_size,
    symmetric,
    to_information,
    to_moments,
    try_moments,
)
from msgpass.dual_array import number, zeros
from msgpass.errors import UnsupportedError
from msgpass.linearisation import Extended
from msgpass.linearisation.base import Linearisation


class Gaussian(Algebra):
    """Gaussian messages; ``total`` is log Z; what arrives at a parameter are expected sufficient
    statistics.

    Parameters
    ----------
    linearisation : Linearisation, optional
        How steps with Gaussian noise are crossed: :class:`~msgpass.linearisation.Extended` by default, or
        ``Iterated()``, ``Unscented()``, ``Cubature()``, ``GaussHermite(order)``. Messages and ``total`` are
        then those of the linearised model.
    """

    potentials = frozenset({"quadratic"})

    def __init__(self, linearisation: Linearisation | type | None = None):
        if isinstance(linearisation, type) and issubclass(linearisation, Linearisation):
            linearisation = linearisation()
        if linearisation is not None and not isinstance(linearisation, Linearisation):
            raise UnsupportedError(
                "Gaussian(linearisation=…) takes Extended(), Iterated(), Unscented(), Cubature() or "
                f"GaussHermite(order) of msgpass.linearisation, got {linearisation!r}"
            )
        self.linearisation: Linearisation = Extended() if linearisation is None else linearisation

    def __repr__(self) -> str:
        return "Gaussian()" if self.linearisation == Extended() else f"Gaussian({self.linearisation!r})"

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
            return as_message(potential)
        place = len(ins)
        if isinstance(potential, Linear):
            found = _cross(potential, place, [*ins, None])
            if found is not None:
                return found
        joint = joint_information(potential, ins, None)
        return marginal(joint, slice(joint.h.size - potential.sizes[-1], None))

    def backward(self, potential, ins, at_out):
        """Integrate everything but one in."""
        result, ends = [], np.cumsum(potential.sizes)
        messages = [*ins, at_out]
        for k in range(len(ins)):
            found = _cross(potential, k, messages) if isinstance(potential, Linear) else None
            if found is None:
                others = [self.unit(message_size(m), float) if j == k else m for j, m in enumerate(ins)]
                joint = joint_information(potential, others, at_out)
                found = marginal(joint, slice(ends[k] - potential.sizes[k], ends[k]))
            result.append(found)
        return result

    def joint(self, potential, ins, at_out):
        """Moments of the instance's posterior over its variables end to end."""
        messages = [*ins, at_out]
        if isinstance(potential, Linear):
            known = _moments(m for k, m in enumerate(messages) if k != potential.target)
            if known is not None:
                return _linear_joint(potential, known, messages[potential.target])
        return to_moments(joint_information(potential, ins, at_out))

    def close(self, message):
        """log of the integral."""
        return number(to_moments(message).log_scale)


def _cross(potential: Linear, k: int, messages: list):
    """Message at variable k from all others; None where the canonical form is needed: other sources have no
    moments."""
    sources = [j for j in range(len(potential.F)) if j not in (potential.target, k)]
    known = _moments(messages[j] for j in sources)
    if known is None:
        return None
    if k == potential.target:
        return potential.predicted(known)
    said = to_information(messages[potential.target])
    if not known:
        return cross_back(Linear((potential.F[k], None), potential.Q, potential.b, 1), said)
    found = cross_back(potential.without(k, known), said)
    return found._replace(log_scale=found.log_scale + sum(m.log_scale for m in known))


def _moments(messages) -> list[Moments] | None:
    """All as moments; None where one of them has none."""
    found = []
    for message in messages:
        moments = try_moments(message)
        if moments is None:
            return None
        found.append(moments)
    return found


def _linear_joint(potential: Linear, known: list[Moments], at_target) -> Moments:
    """Joint posterior over the variables, in their order, from the moments of the sources."""
    sizes = [m.mean.size for m in known]
    places = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    P = zeros((sum(sizes), sum(sizes)), float, [m.cov for m in known])
    for place, m in zip(places, known, strict=True):
        P[np.ix_(place, place)] = m.cov
    F = np.hstack([matrix for matrix in potential.F if matrix is not None])
    x = np.concatenate([m.mean for m in known])
    cross, n = P @ F.T, x.size
    mean = np.concatenate([x, F @ x + potential.b])
    cov = np.block([[P, cross], [cross.T, symmetric(F @ cross + potential.Q)]])
    said = to_information(at_target)
    n_all = mean.size
    h, precision = (zeros(shape, float, [said.h, said.precision]) for shape in (n_all, (n_all, n_all)))
    h[n:], precision[n:, n:] = said.h, said.precision
    joint = condition(Moments(mean, cov, 0.0), Information(h, precision, 0.0))
    blocks = [*places]
    blocks.insert(potential.target, np.arange(n, mean.size))
    order = np.concatenate(blocks)
    return Moments(joint.mean[order], joint.cov[np.ix_(order, order)], 0.0)
