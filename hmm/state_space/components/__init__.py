"""What a structural time series is made of: one file a kind of component."""

from hmm.state_space.components.arma import ARMA
from hmm.state_space.components.autoregression import AR
from hmm.state_space.components.base import Blocks, Component, Parameter, Summary
from hmm.state_space.components.cycle import Cycle
from hmm.state_space.components.irregular import Irregular
from hmm.state_space.components.level import LocalLevel
from hmm.state_space.components.regression import Regression
from hmm.state_space.components.seasonal import Seasonal
from hmm.state_space.components.trend import LocalLinearTrend

__all__ = [
    "AR",
    "ARMA",
    "Blocks",
    "Component",
    "Cycle",
    "Irregular",
    "LocalLevel",
    "LocalLinearTrend",
    "Parameter",
    "Regression",
    "Seasonal",
    "Summary",
]
