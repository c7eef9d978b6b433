"""The two recurrences of credit assignment, as graphs: against time for returns, in time for traces.

G_t = b_t + a_t G_{t+1}, G.before(end)          e_t = b_t + a_t e_{t−1}, e.after(start)
"""

from __future__ import annotations

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages, Step, run
from rnn.credit.rows import Rows


def affine(y, a, b):
    """b + a y."""
    return b + a * y


def affine_vjp(inputs, cotangent):
    """Its transpose."""
    y, a, _ = inputs
    return a * cotangent, y * cotangent, cotangent


def step(f, vjp=None, vectorized: bool = True) -> Step:
    """How the engine takes the steps of this room."""
    return Step(f, vjp, vectorized=vectorized, kernel="auto")


def affine_graph(rows: Rows, name: str, a: np.ndarray, b: np.ndarray, edge, against: bool) -> FactorGraph:
    """One affine recurrence over all episodes.

    Parameters
    ----------
    rows : Rows
    name : str
        Of the sequence.
    a, b : (steps, *batch) arrays
    edge : array
        What stands behind the last step of an episode (against time) or before its first.
    against : bool
        Against time.
    """
    g = FactorGraph()
    y = g.sequence(name, length=rows.length, shape=b.shape[1:])
    decay, gain = g.observe("decay", a), g.observe("gain", b)
    outer = g.parameter("end" if against else "start", edge)
    state = y.before(outer) if against else y.after(outer)
    g.factor(step(affine, affine_vjp), state, decay[:], gain[:], out=y[:], name="step")
    return g


def swept(rows: Rows, name: str, a: np.ndarray, b: np.ndarray, edge, against: bool) -> Messages:
    """Its forward messages, at the sequence."""
    return run(affine_graph(rows, name, a, b, edge, against), schedule=ForwardOnly())
