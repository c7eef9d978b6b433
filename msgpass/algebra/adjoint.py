"""``Adjoint``: forward the value x̂, backward a cotangent λ = ∂total/∂x; as a log-function of x, −λ·(x − x̂).

Crossing a step forward is f itself; crossing it backward is the local VJP. ``total`` is the loss, and what
arrives at a
parameter is its gradient: back-propagation through time. The linearisation point is the visited value, which
is why Adjoint,
unlike the other rows, has to run forward first.
"""

from __future__ import annotations

from msgpass.algebra.base import Algebra


class Adjoint(Algebra):
    """Reverse-mode sensitivities: values forward, cotangents backward."""

    potentials = frozenset({"step"})
