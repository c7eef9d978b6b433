"""rnn: recurrent networks as factor graphs; back-propagation through time reads the messages at the weights.

A network lays out a :class:`msgpass.FactorGraph` whose factors are δ(h_t − f(h_{t−1}, x_t, θ)); a loss adds
factors exp(−loss). :func:`bptt` runs it and returns every message, :func:`fit` follows the gradients among
them downhill. Names, shapes, weight layouts and state-dict keys are torch's.
"""

from rnn.attention import Attention, EncoderDecoder
from rnn.bptt import bptt, curvature
from rnn.crf import CRF, CRFTagger, TagChain
from rnn.embedding import Embedding
from rnn.keeping import load, load_file, save_file
from rnn.losses import (
    CTC,
    BinaryCrossEntropy,
    CrossEntropy,
    GaussianNLL,
    PoissonNLL,
    Several,
    SquaredError,
    collapse,
)
from rnn.memory import Memory
from rnn.networks import GRU, LSTM, RNN, Embedded, Recurrence
from rnn.readout import Linear
from rnn.training import History, fit

__all__ = [
    "CRF",
    "CTC",
    "GRU",
    "LSTM",
    "RNN",
    "Attention",
    "BinaryCrossEntropy",
    "CRFTagger",
    "CrossEntropy",
    "Embedded",
    "Embedding",
    "EncoderDecoder",
    "GaussianNLL",
    "History",
    "Linear",
    "Memory",
    "PoissonNLL",
    "Recurrence",
    "Several",
    "SquaredError",
    "TagChain",
    "bptt",
    "collapse",
    "curvature",
    "fit",
    "load",
    "load_file",
    "save_file",
]
