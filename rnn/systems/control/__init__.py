"""rnn.systems.control: optimal control, computed as messages.

Exact where the problem is linear-quadratic: :func:`lqr`, :func:`stationary_lqr`. Local optima of nonlinear
plants, with control limits: :func:`ilqr`, :func:`ddp`. Ready-made plants are in
:mod:`rnn.systems.control.plants`.
"""

from rnn.systems.control import plants
from rnn.systems.control.costs import Cost, LeastSquares, QuadraticCost, SmoothCost
from rnn.systems.control.ddp import ddp
from rnn.systems.control.finite import Regulator, Trajectory, lqr
from rnn.systems.control.ilqr import ilqr
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.plant import Plant
from rnn.systems.control.policy import CostToGo, LinearPolicy
from rnn.systems.control.problem import LinearQuadratic
from rnn.systems.control.result import ControlResult, Iteration
from rnn.systems.control.stationary import StationaryRegulator, stationary_lqr

__all__ = [
    "ControlResult",
    "Cost",
    "CostToGo",
    "Iteration",
    "LeastSquares",
    "LinearPolicy",
    "LinearQuadratic",
    "OptimalControl",
    "Plant",
    "QuadraticCost",
    "Regulator",
    "SmoothCost",
    "StationaryRegulator",
    "Trajectory",
    "ddp",
    "ilqr",
    "lqr",
    "plants",
    "stationary_lqr",
]
