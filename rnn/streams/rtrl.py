"""``rtrl``: real-time recurrent learning (Williams & Zipser 1989), gradients while the sequence runs.

    J_t = ∂h_t/∂θ = (∂h_t/∂h_{t−1}) J_{t−1} + ∂f_t/∂θ,        ∂L_t/∂θ = (∂L_t/∂h_t) J_t + what reads θ itself

J_t, the influence matrix, is the tangent of the states along a unit direction for every weight: a run of one
step under ``Tangent`` with as many columns carries it on. Nothing goes back in time, and nothing of the past
is kept. It costs H · |θ| numbers of memory and more time a step than a step of back-propagation: for small
nets.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from msgpass import Tangent, run
from msgpass.errors import DataError
from rnn.losses import OutputLoss
from rnn.networks.base import Call, Network
from rnn.streams.rows import checked_network, rows, starts

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class OnlineStep:
    """What is known after step t.

    Attributes
    ----------
    t : int
    loss : float
        L_t, the loss of this step.
    gradient : dict
        ∂L_t/∂θ by state-dict key, through all of the past.
    total : float
        Σ_{s ≤ t} L_s.
    parameters : dict
        ∂total/∂θ; after the last step what ``bptt`` finds.
    influence : dict
        State ("h_l0") → ∂h_t/∂θ of shape (B, H, P); ``columns`` says which of the P columns are whose.
    columns : dict
        State-dict key → slice of columns.
    """

    t: int
    loss: float
    gradient: Arrays
    total: float
    parameters: Arrays = field(repr=False)
    influence: Arrays = field(repr=False)
    columns: dict[str, slice] = field(repr=False)


def rtrl(net: Network, x, loss: OutputLoss, h0=None) -> Iterator[OnlineStep]:
    """Exact gradients forward in time, step by step.

    Parameters
    ----------
    net : RNN, LSTM, GRU, Recurrence or Embedded
        In one direction; small.
    x, loss, h0
        As for :func:`rnn.bptt`.

    Yields
    ------
    OnlineStep
        After every step. Weights may be changed in between: later steps use the new ones, and the influence
        matrix, which was carried under the old ones, is then the usual approximation of online learning.

    Examples
    --------
    >>> from rnn import RNN, SquaredError, bptt
    >>> rng, net = np.random.default_rng(0), RNN(1, 3, random_state=0)
    >>> x, loss = rng.normal(size=(20, 1)), SquaredError(rng.normal(size=(20, 3)))
    >>> *_, last = rtrl(net, x, loss)
    >>> wanted = bptt(net, x, loss).parameters["weight_hh_l0"]
    >>> bool(np.allclose(last.parameters["weight_hh_l0"], wanted))
    True
    """
    net = checked_network("rtrl", net)
    if not isinstance(loss, OutputLoss):
        raise DataError(f"rtrl needs a loss such as SquaredError(target), got {type(loss).__name__}")
    call = net.call(x, loss, **({} if h0 is None else {"h0": h0}))
    return _steps(net, loss, call, rows("rtrl", call))


def _steps(net, loss, call: Call, stepped: Arrays) -> Iterator[OnlineStep]:
    names = starts(net)
    given = {n: a for n, a in call.arrays.items() if n in names}
    shared = {n: a for n, a in call.arrays.items() if n not in names and n not in stepped}
    weights = {k: w for k, w in {**net.weights, **loss.weights}.items() if k not in given}
    columns, shapes = _columns(weights), {k: w.shape for k, w in weights.items()}
    count = max(s.stop for s in columns.values())
    layout = replace(call.layout, steps=1)
    before, total = given, 0.0
    influence: Arrays = {}
    sums: Arrays = {}
    for t in range(call.layout.steps):
        arrays = {n: a[t : t + 1] for n, a in stepped.items()} | shared | before
        now = Call(layout, arrays, loss, call.options)
        graph = net.kept(now)
        directions: dict[str, Any] = {k: s for k, s in columns.items() if k not in before} | influence
        values = {**net.weights, **loss.weights, **arrays}
        m = run(graph, Tangent(directions, columns=count), values=values)
        value, moved = m.total
        total += value
        gradient = {k: moved[s].reshape(shapes[k]) for k, s in columns.items()}
        sums = {k: g + sums[k] if k in sums else g for k, g in gradient.items()}
        after = {start: m.forward[name] for start, name in names.items()}
        before = {start: dual.value[0] for start, dual in after.items()}
        influence = {start: dual.tangent[0] for start, dual in after.items()}
        told = {names[start]: j for start, j in influence.items()}
        yield OnlineStep(t, value, gradient, total, sums, told, columns)


def _columns(weights: Arrays) -> dict[str, slice]:
    """A column for every number, in the order of the state dict."""
    ends = np.cumsum([0, *(w.size for w in weights.values())]).tolist()
    return {k: slice(a, b) for k, a, b in zip(weights, ends[:-1], ends[1:], strict=True)}
