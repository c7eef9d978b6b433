"""``bptt``: back-propagation through time (Werbos 1990) is one run of the network's graph under ``Adjoint``.

λ_t = ∂L/∂h_t = local_t + (∂h_{t+1}/∂h_t)ᵀ λ_{t+1},       ∂L/∂θ = Σ_t (∂h_t/∂θ)ᵀ λ_t
"""

from __future__ import annotations

from msgpass import Adjoint, Messages, OnEdges, Tangent, run
from msgpass.algebra.base import Algebra
from msgpass.errors import DataError, NumericalError
from msgpass.schedule.base import Schedule
from msgpass.second_order import Curvature
from rnn.losses import OutputLoss
from rnn.networks import Network


def bptt(
    net: Network,
    x,
    loss: OutputLoss,
    schedule: Schedule | None = None,
    h0=None,
    direction: dict | None = None,
    edges: dict | None = None,
    **data,
) -> Messages:
    """Loss, gradients and every other message of a network on data.

    Parameters
    ----------
    net : RNN, LSTM, GRU or another network
    x, h0
        As for a call of the network.
    loss : SquaredError or CrossEntropy
    schedule : schedule, optional
        Sequential by default; ``Truncated(k1, k2)`` cuts the backward messages, ``Checkpointed(slots)``
        saves memory.
    direction : dict, optional
        Key of a weight (or "x", "h0_l0") → array of its shape. Every message then comes as a Dual, (value,
        how it moves along the direction), and ``m.parameters[key]`` as (gradient, Hessian-vector product).
    edges : dict, optional
        Rules for the messages on edges, as :class:`msgpass.OnEdges` takes them: ``{TimeEdge("h_l0"):
        ClipNorm(1.0)}``. What arrives at a weight is then no longer the gradient.
    **data
        What else the network's ``graph`` takes: ``lengths`` of a ragged batch; ``random_state``, which draws
        the masks of dropout (without it nothing is dropped); ``gates=True`` for messages at the gates.

    Returns
    -------
    Messages
        ``m.total`` is the loss; ``m.parameters[key]`` the gradient of every weight by state-dict key, of
        the readout's by ``"readout.weight"`` and ``"readout.bias"``; ``m.gradient["h_l0"]``,
        ``["h_l0_reverse"]``, … are the adjoints λ_t, shape
        (T, B, H); ``m.gradient["x"]`` and ``["h0_l0"]`` those of the data. Messages have time first and
        always a batch.

    Raises
    ------
    ShapeError, DataError
        When x, h0, the loss's data or its readout do not fit the network.
    NumericalError
        When a state becomes NaN or infinite; it names the layer and the step.

    Notes
    -----
    The graph is kept with the network, one for each T, B and kind of loss, and is run with new values.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, SquaredError
    >>> net = RNN(2, 3, random_state=0)
    >>> m = bptt(net, np.ones((4, 1, 2)), SquaredError(np.zeros((4, 1, 3))))
    >>> m.parameters["weight_hh_l0"].shape, m.gradient["h_l0"].shape
    ((3, 3), (4, 1, 3))
    """
    graph, values = _problem("bptt", net, x, loss, h0, data)
    algebra: Algebra | None = None if edges is None else OnEdges(Adjoint(), edges)
    if direction is not None:
        algebra = Tangent(direction, over=algebra or Adjoint())
    try:
        return run(graph, algebra, schedule, values)
    except NumericalError as problem:
        raise net.explained(problem, values) from None


def curvature(
    net: Network, x, loss: OutputLoss, names: list[str] | None = None, h0=None, **data
) -> Curvature:
    """The Hessian of a network's loss on data, as a linear map: ``curvature(net, x, loss) @ vector``.

    Parameters
    ----------
    net, x, loss, h0, **data
        As in :func:`bptt`.
    names : list of str, optional
        Keys of the weights that move; all by default.

    Returns
    -------
    msgpass.second_order.Curvature
        Products, ``dense()``, ``labels``; ``slices`` say where each weight is in a vector.

    Examples
    --------
    >>> import numpy as np
    >>> from rnn import RNN, SquaredError
    >>> net = RNN(1, 2, random_state=0)
    >>> H = curvature(net, np.ones((4, 1)), SquaredError(np.zeros((4, 2))), ["weight_hh_l0"])
    >>> H.shape, (H @ np.ones(4)).shape
    ((4, 4), (4,))
    """
    graph, values = _problem("curvature", net, x, loss, h0, data)
    weights = [*net.weights, *loss.weights] if names is None else names
    return Curvature(graph, weights, values=values)


def _problem(what: str, net, x, loss, h0, data: dict):
    """The kept graph of a network with a loss on data, and the values of this run."""
    if not isinstance(net, Network):
        raise DataError(f"{what} takes a network such as RNN(inputs, hidden), got {type(net).__name__}")
    if loss is None:
        raise DataError(f"{what} needs a loss: SquaredError(target) or CrossEntropy(labels)")
    return net.problem(x, loss, **({} if h0 is None else {"h0": h0}), **data)
