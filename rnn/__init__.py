"""rnn: recurrent networks as factor graphs; back-propagation through time reads the messages at the weights.

A network lays out a :class:`msgpass.FactorGraph` whose factors are δ(h_t − f(h_{t−1}, x_t, θ)); a loss adds
factors exp(−loss). :func:`bptt` runs it and returns every message, :func:`fit` follows the gradients among
them downhill. Names, shapes, weight layouts and state-dict keys are torch's.
"""

from importlib import import_module

from rnn.attention import Attention, EncoderDecoder
from rnn.bptt import bptt, curvature
from rnn.crf import CRF, CRFTagger, TagChain
from rnn.diagnose import diagnose
from rnn.embedding import Embedding
from rnn.keeping import load, load_file, save_file
from rnn.losses import (
    CTC,
    BinaryCrossEntropy,
    CrossEntropy,
    GaussianNLL,
    PoissonNLL,
    Pooled,
    Several,
    SquaredError,
    collapse,
)
from rnn.memory import Memory
from rnn.networks import GRU, LSTM, MLP, RNN, Embedded, Recurrence
from rnn.neural_hmm import NeuralHMM
from rnn.readout import Linear
from rnn.streams import Stream, bptt_stream, rtrl
from rnn.training import History, Report, fit

__all__ = [
    "CRF",
    "CTC",
    "GRU",
    "LSTM",
    "MLP",
    "ODERNN",
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
    "IrregularClassifier",
    "IrregularRegressor",
    "Linear",
    "Memory",
    "NeuralHMM",
    "NeuralODE",
    "PoissonNLL",
    "Pooled",
    "Recurrence",
    "Report",
    "SequenceClassifier",
    "SequenceRegressor",
    "SequenceTagger",
    "Several",
    "SquaredError",
    "Stream",
    "TagChain",
    "as_dbn",
    "bptt",
    "bptt_stream",
    "collapse",
    "curvature",
    "diagnose",
    "fit",
    "load",
    "load_file",
    "rtrl",
    "save_file",
]

_LATER = {
    "IrregularClassifier": "rnn.ode.neural",
    "IrregularRegressor": "rnn.ode.neural",
    "NeuralODE": "rnn.ode.neural",
    "ODERNN": "rnn.ode.neural",
    "SequenceClassifier": "rnn.estimators",
    "SequenceRegressor": "rnn.estimators",
    "SequenceTagger": "rnn.estimators",
    "as_dbn": "rnn.dbn",
}
"""Names that few need or that bring scikit-learn with them, loaded when asked for, and from where."""


def __getattr__(name: str):
    if name not in _LATER:
        raise AttributeError(f"rnn has no {name!r}; it has {', '.join(__all__)}")
    found = getattr(import_module(_LATER[name]), name)
    globals()[name] = found
    return found
