"""How far the discrete gradient and the continuous adjoint are apart."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from msgpass.errors import UnsupportedError
from rnn.ode.gradient import odeint_gradient
from rnn.ode.result import OdeGradient


@dataclass(frozen=True)
class GradientGap:
    """What :func:`gradient_gap` returns: for y0, t and each parameter the largest absolute gap, and relative
    to the largest entry of the discrete gradient.

    Attributes
    ----------
    absolute, relative, cosine : dict from name to float
    discrete, adjoint : OdeGradient
    """

    absolute: dict[str, float]
    relative: dict[str, float]
    cosine: dict[str, float]
    discrete: OdeGradient = field(repr=False)
    adjoint: OdeGradient = field(repr=False)

    @property
    def worst(self) -> float:
        """The largest relative gap."""
        return max(self.relative.values())

    def __repr__(self) -> str:
        rows = [f"{n}: {self.relative[n]:.2g} (cosine {self.cosine[n]:.9f})" for n in self.relative]
        return f"GradientGap(relative {', '.join(rows)})"


def gradient_gap(
    f, y0, t, params=None, method="dopri5", *, loss, gradient: str = "adjoint", **options
) -> GradientGap:
    """The discrete gradient beside the continuous adjoint's, at the same tolerance.

    Parameters
    ----------
    f, y0, t, params, method, loss, **options
        As for :func:`~rnn.ode.odeint_gradient`.
    gradient : {"adjoint", "backsolve"}
        What to compare with the discrete gradient.

    Notes
    -----
    Neither is "right": the discrete gradient is exact for the numbers that were computed, the adjoint
    approximates the gradient of the solution. Both meet as the tolerance tightens.

    Examples
    --------
    >>> field = lambda t, y, k: -k * y * y
    >>> gaps = [
    ...     gradient_gap(field, 1.0, [0, 2], 1.0, loss=lambda y: y[-1], rtol=r, atol=r).worst
    ...     for r in (1e-3, 1e-8)
    ... ]
    >>> gaps[0] > 100 * gaps[1]
    True
    """
    if gradient not in ("adjoint", "backsolve"):
        raise UnsupportedError(f"gradient is 'adjoint' or 'backsolve', got {gradient!r}")
    given = f, y0, t, params, method
    schedule = options.pop("schedule", None)
    discrete = odeint_gradient(*given, loss=loss, gradient="discrete", schedule=schedule, **options)
    adjoint = odeint_gradient(*given, loss=loss, gradient=gradient, **options)
    pairs = {"y0": (discrete.y0, adjoint.y0), "t": (discrete.t, adjoint.t)}
    packing = discrete.solution.problem.packing
    both = zip(packing.values(discrete.params), packing.values(adjoint.params), strict=True)
    pairs |= dict(zip(packing.names, both, strict=True))
    absolute, relative, cosine = {}, {}, {}
    for name, (a, b) in pairs.items():
        a, b = np.asarray(a, float), np.asarray(b, float)
        absolute[name] = float(np.abs(a - b).max())
        size = float(np.abs(a).max())
        relative[name] = absolute[name] / size if size else absolute[name]
        lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
        cosine[name] = float((a * b).sum()) / lengths if lengths else 1.0
    return GradientGap(absolute, relative, cosine, discrete, adjoint)
