"""The contract of a linearisation, and how to add one.

Where x is N(mean, cov), y = f(x) + e with e ~ N(0, Q) is replaced by y = F x + b + e + w, w ~ N(0, Ω). A rule
is a pure function of (f, mean, cov), for N instances of a step at once:

``linearise(f, mean, cov)``
    mean (N, n) and cov (N, n, n) → :class:`Affine`;
``pull(f, mean, cov, cotangent)``
    the transpose of its derivative: from ∂L/∂(F, b, Ω) to (∂L/∂mean, ∂L/∂cov); what arrives at the other
    inputs of f (parameters, observed inputs) is added up behind ``f``.

``f`` is called by four verbs. S points an instance, m numbers out:

    f(points (N, S, n)) → (N, S, m)                 f.pull(points, cotangents (N, S, m)) → (N, S, n)
    f.jacobian(points (N, n)) → (N, m, n)           f.pull_jacobian(points (N, n), A (N, m, n)) → (N, n)

``pull`` and ``pull_jacobian`` are the gradients of Σ cotangents·f(points) and Σ A·f′(points). One new file
and a line in ``msgpass/linearisation/__init__.py`` is a new rule.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Affine(NamedTuple):
    """y = F x + b + w, w ~ N(0, extra); ``extra`` None is zero."""

    F: Any  # (N, m, n)
    b: Any  # (N, m)
    extra: Any = None  # (N, m, m)


class Linearisation:
    """Base of the rules: equal when of one kind and settings, printed as they are written."""

    @property
    def spread(self) -> bool:
        """Uses the covariance, not the mean alone."""
        return True

    def __eq__(self, other) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in vars(self).items())})"
