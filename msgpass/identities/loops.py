"""Identity 10: cotangents that go around a loop until they settle are the implicit gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass.algebra import Adjoint
from msgpass.errors import DataError, ShapeError
from msgpass.graph import FactorGraph
from msgpass.identities.record import Identity
from msgpass.potentials import Loss, Step
from msgpass.run import run
from msgpass.schedule import Sequential, Truncated

SETTLED = 1e-17
"""What the messages that are left out may be worth, relative to those that are not."""

LONGEST = 5000


class Loop(NamedTuple):
    """x = tanh(W x + b) at rest, and the loss ½ ‖x − y‖²."""

    W: np.ndarray
    b: np.ndarray
    y: np.ndarray


def random_loop(seed=0, size: int = 4, norm: float = 0.8) -> Loop:
    """A loop whose weights have the spectral norm ``norm``."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(size, size))
    return Loop(W * norm / np.linalg.norm(W, 2), rng.normal(size=size), rng.normal(size=size))


def around(x, W, b):
    """Once around the loop."""
    return np.tanh(x @ W.T + b)


def loss() -> Loss:
    """½ ‖x − y‖²."""
    return Loss(lambda x, y: (0.5 * float(((x - y) ** 2).sum()), (x - y, None)))


def rest(loop: Loop) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(x at rest, gradients of the loss) by :meth:`Step.fixed_point`."""
    g = FactorGraph()
    start, W, b = (g.parameter(n, v) for n, v in (("start", 0 * loop.b), ("W", loop.W), ("b", loop.b)))
    x = g.variable("x", shape=loop.b.shape)
    g.factor(Step.fixed_point(around, tol=1e-15, max_iter=LONGEST), start, W, b, out=x)
    g.factor(loss(), x, g.observe("y", loop.y))
    m = run(g, Adjoint())
    return m.forward["x"], {n: m.parameters[n] for n in ("W", "b")}


def written_out(loop: Loop, x: np.ndarray, rounds: int) -> FactorGraph:
    """The loop at rest as a recurrence of ``rounds`` steps, its loss at the last."""
    g = FactorGraph()
    start, W, b = (g.parameter(n, v) for n, v in (("start", x), ("W", loop.W), ("b", loop.b)))
    h = g.sequence("h", length=rounds, shape=x.shape)
    g.factor(Step(around, vectorized=True), h.after(start), W, b, out=h[:])
    g.factor(loss(), h[-1], g.observe("y", loop.y))
    return g


def fixed_point_is_implicit(loop: Loop | None = None, *, seed=0, terms=(1, 2, 4, 8, 16)) -> Identity:
    """10. At the fixed point of a loop, converged VJP messages are the implicit function's gradient.

    With x = f(x, θ) at rest and J = ∂f/∂x there, the cotangent that goes around is λ ← x̄ + Jᵀλ, whose limit
    is (I − Jᵀ)⁻¹ x̄. The loop is written out as a recurrence that rests, and what arrives at its shared
    parameters is compared with a dense solve. A window of K steps keeps the first K terms of the series; it
    lacks (Jᵀ)^K λ.

    Parameters
    ----------
    loop : Loop, optional
        A random one by default.
    seed : int or numpy.random.Generator
    terms : sequence of int
        Windows K for the curve in ``details``: ``"K terms"`` → relative gap, beside ``"spectral radius"`` and
        the gap of ``"Step.fixed_point"``.

    Examples
    --------
    >>> one = fixed_point_is_implicit(seed=1)
    >>> one.holds, one.details["16 terms"] < one.details["4 terms"] < one.details["1 terms"]
    (True, True)
    """
    loop = random_loop(seed) if loop is None else loop
    if not isinstance(loop, Loop):
        raise ShapeError(f"fixed_point_is_implicit takes a Loop (W, b, y), got {type(loop).__name__}")
    x, by_step = rest(loop)
    slope = 1 - x**2
    J = slope[:, None] * loop.W
    adjoint = np.linalg.solve(np.eye(len(x)) - J.T, x - loop.y)
    implicit = np.concatenate([np.outer(slope * adjoint, x).ravel(), slope * adjoint])
    graph = written_out(loop, x, _rounds(J))

    def arrived(schedule) -> np.ndarray:
        m = run(graph, Adjoint(), schedule)
        return np.concatenate([m.parameters["W"].ravel(), m.parameters["b"]])

    size = float(np.abs(implicit).max(initial=0.0)) or 1.0
    gap = lambda found: float(np.abs(found - implicit).max(initial=0.0)) / size  # noqa: E731
    details = {f"{k} terms": gap(arrived(Truncated(1, k))) for k in terms}
    details["Step.fixed_point"] = gap(np.concatenate([by_step["W"].ravel(), by_step["b"]]))
    details["spectral radius"] = float(np.abs(np.linalg.eigvals(J)).max())
    return Identity(
        10,
        "fixed_point_is_implicit",
        "fixed point of a loop: converged VJP messages = implicit gradient",
        "cotangents around the loop until they settle (Adjoint)",
        "(∂f/∂θ)ᵀ (I − Jᵀ)⁻¹ x̄, a dense solve",
        arrived(Sequential()),
        implicit,
        "Almeida 1987; Pineda 1987; Bai, Kolter & Koltun 2019",
        details=details,
    )


def _rounds(J: np.ndarray) -> int:
    """Steps after which ‖J^n‖ is nothing."""
    power, n = J, 1
    while np.linalg.norm(power, 2) > SETTLED:
        power, n = power @ power, 2 * n
        if n > LONGEST:
            raise DataError(
                "fixed_point_is_implicit: this loop does not settle, or hardly; its ∂f/∂x at rest has the "
                f"spectral radius {np.abs(np.linalg.eigvals(J)).max():.4g}"
            )
    return n
