"""Learning rates over time, one file each."""

from rnn.learning_rates.base import LearningRate
from rnn.learning_rates.constant import Constant
from rnn.learning_rates.cosine import Cosine
from rnn.learning_rates.exponential import Exponential
from rnn.learning_rates.plateau import Plateau
from rnn.learning_rates.step import StepDecay
from rnn.learning_rates.warmup import Warmup

__all__ = ["Constant", "Cosine", "Exponential", "LearningRate", "Plateau", "StepDecay", "Warmup"]
