"""``LSTM``: long short-term memory."""

from __future__ import annotations

import numpy as np

from msgpass.errors import ShapeError
from rnn.cells import Cell, lstm
from rnn.networks.recurrent import RecurrentNetwork
from rnn.validation import flag, whole


class LSTM(RecurrentNetwork):
    """Long short-term memory, laid out as ``torch.nn.LSTM``.

    With z = W_ih x_t + b_ih + W_hh h_{t−1} + b_hh in the order i, f, g, o:
    c_t = σ(z_f) ∘ c_{t−1} + σ(z_i) ∘ tanh(z_g),  h_t = σ(z_o) ∘ tanh(c_t).

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, batch_first, bidirectional, dropout
        As for :class:`RNN`.
    initial : {"zero", "learned"}
        Where no ``h0`` is given: zeros, or weights ``h0_l0``, ``c0_l0``, …
    proj_size : int
        P > 0: h_t is projected to P numbers by ``weight_hr`` (Sak, Senior & Beaufays 2014).
    peepholes : bool
        Gates see the cell state (Gers, Schraudolph & Schmidhuber 2002): z_i += w_ci ∘ c_{t−1}, z_f += w_cf ∘
        c_{t−1}, z_o += w_co ∘ c_t, with weights ``weight_ci_l0``, ``weight_cf_l0``, ``weight_co_l0`` (H,).
    layer_norm : bool
        As for :class:`RNN`; each product is normalised over its 4 H rows.
    dtype, random_state
        As for :class:`RNN`.

    Examples
    --------
    >>> import numpy as np
    >>> net = LSTM(3, 5, num_layers=2, bidirectional=True, random_state=0)
    >>> output, (h_n, c_n) = net(np.zeros((7, 2, 3)), lengths=[7, 4])
    >>> output.shape, h_n.shape, c_n.shape
    ((7, 2, 10), (4, 2, 5), (4, 2, 5))
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
        proj_size: int = 0,
        peepholes: bool = False,
        initial: str = "zero",
        layer_norm: bool = False,
        dtype=np.float64,
        random_state=None,
    ):
        self.proj_size = whole("proj_size", proj_size, least=0)
        if self.proj_size and self.proj_size >= whole("hidden_size", hidden_size):
            raise ShapeError(f"proj_size must be less than hidden_size, got {proj_size} ≥ {hidden_size}")
        self.peepholes = flag("peepholes", peepholes)
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
        return lstm(self.bias, self.proj_size, self.peepholes, self.layer_norm)

    def _flags(self):
        return (
            *super()._flags(),
            ("proj_size", self.proj_size, 0),
            ("peepholes", self.peepholes, False),
            ("layer_norm", self.layer_norm, False),
        )
