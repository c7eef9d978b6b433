"""Orders of elimination, triangulations and clique trees: combinatorics on scopes and sizes, no graph and no
values.
"""

from msgpass.elimination.clique_tree import CliqueTree
from msgpass.elimination.fronts import fronts, tree_of_fronts
from msgpass.elimination.greedy import RULES, greedy_order
from msgpass.elimination.interaction import interaction
from msgpass.elimination.search import ORDERS, check_size, clique_tree

__all__ = [
    "ORDERS",
    "RULES",
    "CliqueTree",
    "check_size",
    "clique_tree",
    "fronts",
    "greedy_order",
    "interaction",
    "tree_of_fronts",
]
