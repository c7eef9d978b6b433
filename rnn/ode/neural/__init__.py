"""rnn.ode.neural: differential equations that are trained, as networks."""

from rnn.ode.neural.neural_ode import NeuralODE

__all__ = ["NeuralODE"]
