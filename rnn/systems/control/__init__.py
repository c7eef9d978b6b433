"""rnn.systems.control: optimal control, computed as messages.

:class:`Trajectory` is dynamics and cost: the gradient with respect to every control, and the co-states. Exact
optima where the problem is linear-quadratic: :func:`lqr`, :func:`stationary_lqr`, and, seen through noise,
:func:`lqg`, :func:`stationary_lqg`. Local optima of nonlinear plants, with control limits: :func:`ilqr`,
:func:`ddp`, and open loop :func:`shooting`. Ready-made plants are in :mod:`rnn.systems.control.plants`,
learned ones come from :func:`learn_plant`.
"""

from rnn.systems.control import plants
from rnn.systems.control.costates import Costates, compare_costates
from rnn.systems.control.costs import (
    Cost,
    Deviation,
    Discounted,
    Energy,
    LeastSquares,
    QuadraticCost,
    SmoothAbs,
    SmoothCost,
)
from rnn.systems.control.ddp import ddp
from rnn.systems.control.finite import Regulator, Rollout, lqr
from rnn.systems.control.ilqr import ilqr
from rnn.systems.control.learned import LearnedPlant, learn_plant
from rnn.systems.control.lqg import Controller, lqg
from rnn.systems.control.motion import animate, strip
from rnn.systems.control.optimal import OptimalControl
from rnn.systems.control.plant import Plant
from rnn.systems.control.policy import CostToGo, LinearPolicy
from rnn.systems.control.problem import LinearQuadratic
from rnn.systems.control.result import ControlResult, Iteration
from rnn.systems.control.shooting import shooting
from rnn.systems.control.stationary import StationaryRegulator, stationary_lqr
from rnn.systems.control.stationary_lqg import StationaryController, stationary_lqg
from rnn.systems.control.trajectory import Trajectory
from rnn.systems.control.trajectory_gradient import TrajectoryGradient

__all__ = [
    "ControlResult",
    "Controller",
    "Cost",
    "CostToGo",
    "Costates",
    "Deviation",
    "Discounted",
    "Energy",
    "Iteration",
    "LearnedPlant",
    "LeastSquares",
    "LinearPolicy",
    "LinearQuadratic",
    "OptimalControl",
    "Plant",
    "QuadraticCost",
    "Regulator",
    "Rollout",
    "SmoothAbs",
    "SmoothCost",
    "StationaryController",
    "StationaryRegulator",
    "Trajectory",
    "TrajectoryGradient",
    "animate",
    "compare_costates",
    "ddp",
    "ilqr",
    "learn_plant",
    "lqg",
    "lqr",
    "plants",
    "shooting",
    "stationary_lqg",
    "stationary_lqr",
    "strip",
]
