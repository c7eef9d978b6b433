"""Neural hidden Markov models: a network says how states follow each other and what they emit."""

from rnn.neural_hmm.emissions import Categorical, Emission, Gaussian, Poisson
from rnn.neural_hmm.loss import HiddenStates
from rnn.neural_hmm.model import NeuralHMM

__all__ = ["Categorical", "Emission", "Gaussian", "HiddenStates", "NeuralHMM", "Poisson"]
