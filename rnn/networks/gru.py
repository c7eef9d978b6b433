"""``GRU``: gated recurrent units."""

from __future__ import annotations

import numpy as np

from rnn.cells import Cell, gru
from rnn.networks.recurrent import RecurrentNetwork
from rnn.validation import flag


class GRU(RecurrentNetwork):
    """Gated recurrent units, laid out as ``torch.nn.GRU``.

    With both products apart, z^x = W_ih x_t + b_ih and z^h = W_hh h_{t−1} + b_hh in the order r, z, n:
    r = σ(z^x_r + z^h_r),  u = σ(z^x_z + z^h_z),  n = tanh(z^x_n + r ∘ z^h_n),
    h_t = (1 − u) ∘ n + u ∘ h_{t−1}.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, bidirectional, dropout, initial
        As for :class:`RNN`.
    layer_norm : bool
        As for :class:`RNN`; each product is normalised over its 3 H rows.
    dtype, random_state
        As for :class:`RNN`.

    Examples
    --------
    >>> import numpy as np
    >>> net = GRU(3, 5, random_state=0)
    >>> output, h_n = net(np.zeros((7, 2, 3)))
    >>> output.shape, h_n.shape, net.weights["weight_hh_l0"].shape
    ((7, 2, 5), (1, 2, 5), (15, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
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
        return gru(self.bias, self.layer_norm)

    def _flags(self):
        return *super()._flags(), ("layer_norm", self.layer_norm, False)
