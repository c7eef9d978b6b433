"""The factor graph of a structural time series: states "x", the series "y".

Factors are "transition" over x[:-1], x[1:], "observation" over x[:], y[:], and "start" over x[0], unless all
states start flat.
"""

from __future__ import annotations

import numpy as np

from hmm.state_space.components import Blocks
from msgpass import FactorGraph, Quadratic


def make_graph(y: np.ndarray, own: Blocks, offsets: bool = False) -> FactorGraph:
    """The graph over a series (T,) with the matrices as its parameters "F", "Q", "R", "P".

    ``own.Q`` (T − 1, n, n) and ``own.R`` (T,) may have a row for each step; ``offsets`` adds the parameter
    "b" (T − 1, n) of zeros to the transitions.
    """
    T, n = len(y), len(own.F)
    g = FactorGraph()
    x = g.sequence("x", length=T, shape=(n,))
    seen = g.observe("y", y[:, None])
    known = {n: g.parameter(n, value) for n, value in values(own).items() if T > 1 or n not in ("F", "Q")}
    flat = np.isposinf(np.diagonal(own.cov))
    if not flat.all():
        g.factor(Quadratic.prior(own.mean, known["P"], flat), x[0], name="start")
    if T > 1:
        b = g.parameter("b", np.zeros((T - 1, n))) if offsets else 0.0
        g.factor(Quadratic.linear_gaussian(known["F"], known["Q"], b), x[:-1], x[1:], name="transition")
    H = own.H if len(own.H) == 1 else own.H[:, None, :]
    g.factor(Quadratic.observation(H, known["R"]), x[:], seen[:], name="observation")
    return g


def values(own: Blocks) -> dict[str, np.ndarray]:
    """Parameters of the graph."""
    R = np.reshape(own.R, (-1, 1, 1)) if np.ndim(own.R) else np.reshape(own.R, (1, 1))
    found = {"F": own.F, "Q": own.Q, "R": R}
    if not np.isposinf(np.diagonal(own.cov)).all():
        found["P"] = np.where(np.isposinf(own.cov), 0.0, own.cov)
    return found


def slopes(parameters, own: Blocks) -> Blocks:
    """∂total/∂matrices from what arrived at the parameters."""
    n = len(own.F)
    proper = not np.isposinf(np.diagonal(own.cov)).all()
    cov = parameters["P"] if proper else np.zeros((n, n))
    F, Q = (parameters["F"], parameters["Q"]) if "F" in parameters else np.zeros((2, n, n))
    R = np.reshape(parameters["R"], ())
    return Blocks(F, Q, np.zeros(own.H.shape), R, np.zeros(n), cov)
