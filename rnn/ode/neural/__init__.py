"""rnn.ode.neural: differential equations that are trained, as networks."""

from rnn.ode.neural.neural_ode import NeuralODE
from rnn.ode.neural.ode_rnn import ODERNN

__all__ = ["ODERNN", "NeuralODE"]
