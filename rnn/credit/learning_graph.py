"""The graph of TD(λ): weights and traces are messages that run forward through all steps of all episodes.

Episodes lie end to end in one recurrence, for the weights go on from one to the next; the trace's decay is 0
where an episode starts. Step size, λ and the first weights are parameters, so that a loss of the weights has
gradients there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from msgpass import FactorGraph
from rnn.credit import steps
from rnn.credit.affine import step

TRACES = {"accumulating": "accumulating", "replacing": "replacing", "dutch": "true_online"}
UPDATES = ("online", "episode", "batch")


class Experience(NamedTuple):
    """What the recurrence reads, a row a step: arrays (N, …, d) and (N, …, 1)."""

    x: np.ndarray
    y: np.ndarray
    r: np.ndarray
    gamma: np.ndarray
    before: np.ndarray
    now: np.ndarray


def learning_graph(
    data: Experience, lam, alpha, start: np.ndarray, trace: str, update: str, limit: float | None = None
) -> FactorGraph:
    """Sequences w, e and delta; parameters w0, lambda and step_size (observations where they change with
    time).

    Parameters
    ----------
    data : Experience
    lam, alpha : array
        With as many axes as a row of r, or one more in front, the steps.
    start : (…, d) array
        First weights.
    trace, update : str
        Of ``TRACES`` and ``UPDATES``.
    limit : float, optional
        Where weights are held that grow beyond all bounds, so that others in the same run go on.
    """
    N, shape = len(data.x), start.shape
    number = (*shape[:-1], 1)
    g = FactorGraph()
    w, e = g.sequence("w", length=N, shape=shape), g.sequence("e", length=N, shape=shape)
    delta = g.sequence("delta", length=N, shape=number)
    w0, e0 = g.parameter("w0", start), g.parameter("e0", np.zeros(shape))
    states = [w.after(w0), e.after(e0)]
    out = [w[:], e[:]]
    if trace == "dutch" or update != "online":
        third, size = ("v", number) if trace == "dutch" else ("pending", shape)
        p = g.sequence(third, length=N, shape=size)
        states.append(p.after(g.parameter(third + "0", np.zeros(size))))
        out.append(p[:])
    given = [g.observe(name, getattr(data, name))[:] for name in ("x", "y", "r", "gamma", "before")]
    settings = [_setting(g, "lambda", lam, number), _setting(g, "step_size", alpha, number)]
    if update != "online":
        settings.append(g.observe("now", data.now)[:])
    f = getattr(steps, TRACES[trace] + ("" if update == "online" else "_later"))
    g.factor(
        step(f if limit is None else held(f, limit)),
        *states,
        *given,
        *settings,
        out=(*out, delta[:]),
        name="td",
    )
    return g


def held(f, limit: float):
    """f, with its first output kept within ±limit."""

    def within(*inputs):
        w, *others = f(*inputs)
        return (np.clip(w, -limit, limit), *others)

    return within


def _setting(g: FactorGraph, name: str, value: np.ndarray, number: tuple[int, ...]):
    if np.ndim(value) > len(number):
        return g.observe(name, value)[:]
    return g.parameter(name, value)
