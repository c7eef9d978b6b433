"""``as_dbn``: a recurrent network as a two-slice dynamic Bayesian network."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from msgpass import FactorGraph, ForwardOnly, Messages, run
from msgpass.errors import DataError
from rnn.dbn.discretized import Discretized, discretized
from rnn.dbn.disturbed import disturbance, disturbed_graph
from rnn.dbn.slices import Slices
from rnn.dbn.template import Arrow, Place, template_of
from rnn.networks import Network


class DBN:
    """A two-slice network read off a graph of steps and losses, made by :func:`as_dbn`.

    Attributes
    ----------
    graph : FactorGraph
        What it was read off, with the weights and data of that time.
    template : Template
        ``places`` (variables with their kinds), ``prior`` and ``transition`` (arrows with their lags).
    """

    def __init__(self, graph: FactorGraph, data: bool = True):
        self.graph, self.data, self.template = graph, data, template_of(graph)

    # -- structure -----------------------------------------------------------------------------------

    @property
    def places(self) -> tuple[Place, ...]:
        """Variables of a slice, and shared ones."""
        return self.template.places

    @property
    def prior(self) -> tuple[Arrow, ...]:
        """Arrows into the first slice."""
        return self.template.prior

    @property
    def transition(self) -> tuple[Arrow, ...]:
        """Arrows into any later slice."""
        return self.template.transition

    @property
    def interface(self) -> tuple[str, ...]:
        """Variables from which an arrow leaves for the next slice."""
        return self.template.interface

    def to_networkx(self, shared: bool = False):
        """Both slices as a ``networkx.DiGraph``: nodes (name, 0), (name, 1), with ``kind`` and ``factor``.

        Parameters
        ----------
        shared : bool
            Also parameters and starts, as nodes (name, None).
        """
        return self.unroll(2, shared)

    def unroll(self, length: int | None = None, shared: bool = False):
        """All slices as a ``networkx.DiGraph`` with nodes (name, slice).

        Parameters
        ----------
        length : int, optional
            Slices; as many as the data have by default.
        shared : bool
            Also parameters and starts, as nodes (name, None).
        """
        from rnn.dbn.views import unrolled

        return unrolled(self.template, length, shared)

    def moralize(self, length: int = 2, shared: bool = False):
        """The moral graph: parents of a common child married, arrows without heads; a ``networkx.Graph``."""
        from rnn.dbn.views import moral

        return moral(self.unroll(length, shared))

    def plot(self, shared: bool = False, ax=None, view: str = "slices", length: int | None = None):
        """Draw slices side by side; returns matplotlib axes.

        Parameters
        ----------
        shared : bool
            Also parameters and starts.
        ax : matplotlib axes, optional
        view : {"slices", "unrolled", "moral"}
            Two slices, all of them, or the moral graph of two.
        length : int, optional
            How many slices.
        """
        from rnn.dbn.plot import plot_slices

        return plot_slices(self.template, shared, ax, view, length)

    def to_dot(self, view: str = "slices", length: int | None = None, shared: bool = False, path=None) -> str:
        """The same in the language DOT, for Graphviz; ``path``: where to write it, too.

        Examples
        --------
        >>> from rnn import RNN
        >>> print(as_dbn(RNN(1, 1)).to_dot(length=1))
        digraph {
          node [fontname="Helvetica", fontsize=10];
          edge [color="#6b6b6b"];
          rankdir=LR;
          subgraph cluster_0 {
            label="t = 0"; color="#6b6b6b"; fontsize=9;
            "x[0]" [shape=ellipse, style=filled, fillcolor="#d9d9d9"];
            "h_l0[0]" [shape=ellipse, peripheries=2];
          }
          "x[0]" -> "h_l0[0]";
        }
        """
        from rnn.dbn.dot import dot_text

        return dot_text(self.template, view, length, shared, path)

    # -- numbers -------------------------------------------------------------------------------------

    @cached_property
    def slices(self) -> Slices:
        """F_t and ℓ_t as functions of the interface."""
        if not self.data:
            raise DataError("this network has no data: as_dbn(net, x, loss) has slices that can be evaluated")
        return Slices(self.graph, self.template)

    @cached_property
    def visited(self) -> np.ndarray:
        """Interface states without noise, (T, D)."""
        m = run(self.graph, schedule=ForwardOnly())
        return self.slices.join({name: m.forward[name] for name in self.interface})

    @cached_property
    def disturbed(self) -> FactorGraph:
        """The graph with an additive disturbance of every state, an observation of zeros: see
        :mod:`rnn.dbn.disturbed`. Run with noise as its value it is the noisy network."""
        return disturbed_graph(self.slices)

    @cached_property
    def messages(self) -> Messages:
        """The run of ``disturbed`` under ``Adjoint``."""
        return run(self.disturbed)

    @property
    def cotangents(self) -> np.ndarray:
        """∂L/∂s_t with all of the slice's other states held, (T, D): λ_t, of a network of one layer."""
        return self.slices.join({n: self.messages.gradient[disturbance(n)] for n in self.interface})

    def discretize(self, sigma=0.05, grid=None, cells=None) -> Discretized:
        """A hidden Markov model over a grid of the interface's states.

        Parameters
        ----------
        sigma : float or one for each number of the state
            Standard deviation of the noise that is added to the state at every step.
        grid : list of arrays, optional
            Points along each number of the state.
        cells : int or one for each number, optional
            How many points to lay over what the state reaches; by default as many as the noise needs.

        Returns
        -------
        Discretized

        Raises
        ------
        UnsupportedError
            When the tables would be too large; when a loss reads more than its own slice's states.

        Examples
        --------
        >>> import numpy as np
        >>> from rnn import RNN, SquaredError
        >>> net = RNN(1, 1, random_state=0)
        >>> x, y = np.array([[0.5], [-0.3], [0.8]]), np.array([[0.1], [0.0], [0.4]])
        >>> hmm = as_dbn(net, x, SquaredError(y)).discretize(sigma=0.02)
        >>> bool(np.abs(hmm.slopes - as_dbn(net, x, SquaredError(y)).cotangents).max() < 1e-3)
        True
        """
        return discretized(self.slices, self.visited, sigma, grid, cells)

    def __repr__(self) -> str:
        kinds: dict[str, list[str]] = {}
        for place in self.places:
            kinds.setdefault(place.kind, []).append(place.name)
        lines = [f"  {kind}: {', '.join(names)}" for kind, names in kinds.items()]
        lagged = [f"{a.parent}[t−1] → {a.child}[t]" for a in self.transition if a.lag == 1]
        return "\n".join(["DBN", *lines, f"  across slices: {', '.join(lagged) or 'nothing'}"])


def as_dbn(net: Network | FactorGraph, x=None, loss=None, **data: Any) -> DBN:
    """The two-slice dynamic Bayesian network of a recurrent network.

    A network's cell is the deterministic factor δ(h_t − f(h_{t−1}, x_t, θ)), a loss the evidence exp(−loss).

    Parameters
    ----------
    net : RNN, LSTM, GRU, Recurrence or another network; or a FactorGraph of steps and losses
        In one direction.
    x : array, optional
        Data, one sequence where it is to be discretised; without them there is the structure alone.
    loss : SquaredError, CrossEntropy, …, optional
        Evidence.
    **data
        What else the network's ``graph`` takes, such as ``h0`` or ``gates=True``.

    Returns
    -------
    DBN

    Raises
    ------
    UnsupportedError
        Where arrows would run against time, span more than a slice, or come from a whole sequence; where
        the graph holds tables or quadratics.

    Examples
    --------
    >>> from rnn import LSTM
    >>> as_dbn(LSTM(1, 2)).interface
    ('h_l0', 'c_l0')
    """
    if isinstance(net, FactorGraph):
        if x is not None or loss is not None or data:
            raise DataError(
                "a FactorGraph has its data and losses; give it alone, or a network with x and loss"
            )
        return DBN(net)
    if not isinstance(net, Network):
        raise DataError(
            f"as_dbn takes a network such as RNN(inputs, hidden), or a FactorGraph, got {type(net).__name__}"
        )
    if x is None:
        if loss is not None or "h0" in data:
            raise DataError("a loss and an h0 come with data: as_dbn(net, x, loss)")
        return DBN(net.build(net.call(np.zeros((2, net.input_size), net.dtype), **data)), data=False)
    return DBN(net.build(net.call(x, loss, **data)))
