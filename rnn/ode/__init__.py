"""rnn.ode: differential equations as recurrences: steps are factors, gradients are messages."""

from rnn.ode.controller import Controller
from rnn.ode.errors import BlowUpError, IntegrationError, MaxStepsError, StepSizeError
from rnn.ode.integration import graph, odeint
from rnn.ode.methods import METHODS
from rnn.ode.solution import Solution
from rnn.ode.steps import SolverStep, solver_step
from rnn.ode.tableau import Tableau

__all__ = [
    "METHODS",
    "BlowUpError",
    "Controller",
    "IntegrationError",
    "MaxStepsError",
    "Solution",
    "SolverStep",
    "StepSizeError",
    "Tableau",
    "graph",
    "odeint",
    "solver_step",
]
