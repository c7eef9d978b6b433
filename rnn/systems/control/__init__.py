"""rnn.systems.control: optimal control as messages."""

from rnn.systems.control.finite import Regulator, Trajectory, lqr
from rnn.systems.control.policy import CostToGo, LinearPolicy
from rnn.systems.control.problem import LinearQuadratic
from rnn.systems.control.stationary import StationaryRegulator, stationary_lqr

__all__ = [
    "CostToGo",
    "LinearPolicy",
    "LinearQuadratic",
    "Regulator",
    "StationaryRegulator",
    "Trajectory",
    "lqr",
    "stationary_lqr",
]
