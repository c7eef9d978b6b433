"""rnn.ode: differential equations as recurrences: steps are factors, gradients are messages."""

from rnn.ode.controller import Controller
from rnn.ode.errors import BlowUpError, ImplicitStageError, IntegrationError, MaxStepsError, StepSizeError
from rnn.ode.gap import GradientGap, gradient_gap
from rnn.ode.gradient import odeint_gradient
from rnn.ode.integration import graph, odeint
from rnn.ode.methods import METHODS
from rnn.ode.result import OdeGradient
from rnn.ode.solution import Solution
from rnn.ode.steps import SolverStep, solver_step
from rnn.ode.tableau import Tableau

__all__ = [
    "METHODS",
    "BlowUpError",
    "Controller",
    "GradientGap",
    "ImplicitStageError",
    "IntegrationError",
    "MaxStepsError",
    "OdeGradient",
    "Solution",
    "SolverStep",
    "StepSizeError",
    "Tableau",
    "gradient_gap",
    "graph",
    "odeint",
    "odeint_gradient",
    "solver_step",
]
