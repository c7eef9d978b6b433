"""The cost-to-go of a problem by whichever chain fits it: with the clock where the costs of states are not
negative, against it otherwise."""

from __future__ import annotations

import numpy as np

from msgpass import Messages
from msgpass.errors import NumericalError
from rnn.systems.control.chain import ControlChain, QuadraticValue, reduce
from rnn.systems.control.problem import Stages
from rnn.systems.control.value_chain import ValueChain

ROUNDING = 1e-12  # of the largest cost: eigenvalues below 0 by less are rounding


class Value:
    """The graphs of one problem's shape, made when they are needed, kept, and run with new values.

    Examples
    --------
    >>> from rnn.systems.control import LinearQuadratic
    >>> stages = LinearQuadratic(1.0, 1.0, 1.0, 1.0).stages(30)
    >>> Value.of(stages)(stages)[0].P[0].round(6)
    array([[1.618034]])
    """

    def __init__(self, horizon: int, states: int, timed: tuple[bool, ...]):
        self.horizon, self.states, self.timed = horizon, states, timed
        self.with_clock: ControlChain | None = None
        self.against: ValueChain | None = None

    @classmethod
    def of(cls, stages: Stages) -> Value:
        """Of problems like this one."""
        timed = tuple(len(a) == stages.horizon and stages.horizon > 1 for a in reduce(stages))
        return cls(stages.horizon, stages.A.shape[-1], timed)

    def __call__(self, stages: Stages) -> tuple[QuadraticValue, Messages]:
        """P and p of every step, and the run that they were read from."""
        costs = np.concatenate([reduce(stages).Q, stages.Q_final[None]])
        try:
            if np.linalg.eigvalsh(costs).min() >= -ROUNDING * np.abs(costs).max():
                if self.with_clock is None:
                    self.with_clock = ControlChain(self.horizon, self.states, self.timed)
                return self.with_clock.cost_to_go(stages)
            if self.against is None:
                self.against = ValueChain(self.horizon, self.states)
            return self.against.cost_to_go(stages)
        except NumericalError as problem:
            raise NumericalError(
                "the problem is not convex in the controls, so that costs fall without end along some of "
                "them: make Q (with N) or Q_final less negative, or R larger"
            ) from problem
