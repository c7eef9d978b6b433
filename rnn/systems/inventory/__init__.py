"""rnn.systems.inventory: stocks and orders along a supply chain, differentiated by back-propagation.

An :class:`Inventory` is made of :class:`Facility`, :class:`Supply` and demand; a plan is an array of orders,
or a policy: :class:`BaseStock`, :class:`MinMax`.
"""

from rnn.systems.inventory.demand import draw
from rnn.systems.inventory.parts import Facility, Supply
from rnn.systems.inventory.policies import BaseStock, MinMax
from rnn.systems.inventory.problem import Inventory
from rnn.systems.inventory.results import Optimum, OrderGradient, Path

__all__ = [
    "BaseStock",
    "Facility",
    "Inventory",
    "MinMax",
    "Optimum",
    "OrderGradient",
    "Path",
    "Supply",
    "draw",
]
