"""Networks: weights and the graph that they go into, one file a cell."""

from rnn.networks.base import Call, Network
from rnn.networks.composite import Composite
from rnn.networks.embedded import Embedded
from rnn.networks.gru import GRU
from rnn.networks.lstm import LSTM
from rnn.networks.mlp import MLP
from rnn.networks.recurrence import Recurrence
from rnn.networks.recurrent import RecurrentNetwork
from rnn.networks.rnn import RNN

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "RNN",
    "Call",
    "Composite",
    "Embedded",
    "Network",
    "Recurrence",
    "RecurrentNetwork",
]
