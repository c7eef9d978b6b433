"""rnn.ode: differential equations as recurrences; a solver's steps are factors, and gradients are messages."""

from rnn.ode.methods import METHODS
from rnn.ode.steps import SolverStep, solver_step
from rnn.ode.tableau import Tableau

__all__ = ["METHODS", "SolverStep", "Tableau", "solver_step"]
