"""``RNN``: Elman's network."""

from __future__ import annotations

import numpy as np

from rnn.cells import Cell, elman
from rnn.cells.elman import FUNCTIONS
from rnn.networks.recurrent import RecurrentNetwork
from rnn.validation import flag, one_of


class RNN(RecurrentNetwork):
    """Elman's network, h_t = act(W_ih x_t + b_ih + W_hh h_{t−1} + b_hh), laid out as ``torch.nn.RNN``.

    Parameters
    ----------
    input_size, hidden_size, num_layers : int
    nonlinearity : {"tanh", "relu"}
    bias : bool
    batch_first : bool
        ``x`` and the output are (B, T, ·) instead of (T, B, ·); inside the graph, and among its messages,
        time is first.
    bidirectional : bool
        A second direction from the last step to the first; the output has both side by side.
    dropout : float
        Probability with which a number between layers is dropped, where ``bptt`` has a ``random_state``.
    initial : {"zero", "learned"}
        Where no ``h0`` is given: zeros, or weights ``h0_l0``, … (H,), one row for the whole batch.
    layer_norm : bool
        Both products are normalised (Ba, Kiros & Hinton 2016): z = g_ih ∘ norm(W_ih x) + b_ih + g_hh ∘
        norm(W_hh h) + b_hh, with gains ``norm_ih_l0`` and ``norm_hh_l0``; the biases are the shifts.
    dtype : {"float64", "float32"} or dtype
        Of the weights and of everything computed.
    random_state : int, Generator or None
        Weights are drawn uniform on (−1/√H, 1/√H).

    Examples
    --------
    >>> import numpy as np
    >>> net = RNN(3, 5, num_layers=2, bidirectional=True, random_state=0)
    >>> output, h_n = net(np.zeros((7, 2, 3)))
    >>> output.shape, h_n.shape
    ((7, 2, 10), (4, 2, 5))
    >>> list(net.state_dict())[:4]
    ['weight_ih_l0', 'weight_hh_l0', 'bias_ih_l0', 'bias_hh_l0']
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
        initial: str = "zero",
        layer_norm: bool = False,
        dtype=np.float64,
        random_state=None,
    ):
        self.nonlinearity = one_of("nonlinearity", nonlinearity, tuple(FUNCTIONS))
        self.layer_norm = flag("layer_norm", layer_norm)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            bidirectional=bidirectional,
            dropout=dropout,
            initial=initial,
            dtype=dtype,
            random_state=random_state,
        )

    def _cell(self) -> Cell:
        return elman(self.nonlinearity, self.bias, self.layer_norm)

    def _sizes(self):
        return *super()._sizes(), self.nonlinearity

    def _flags(self):
        return *super()._flags(), ("layer_norm", self.layer_norm, False)
