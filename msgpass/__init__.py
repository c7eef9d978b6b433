"""msgpass: forward-backward and back-propagation are one backward message passing on a factor graph.

A *message* is a function of one variable: what the rest of the graph says about it through one edge. An
*algebra* chooses how that function is written down and how it crosses a factor; a *schedule* says which
messages are computed, in which order, and what is kept. Build a :class:`FactorGraph`, :func:`run` it, read
the :class:`Messages`.
"""

from msgpass import identities, second_order
from msgpass.algebra import (
    Adjoint,
    AssumedDensity,
    Gaussian,
    MaxProduct,
    OnEdges,
    SumProduct,
    Tangent,
    Tempered,
    TimeEdge,
)
from msgpass.compare import compare
from msgpass.errors import MessagePassingError
from msgpass.gradient_check import check_gradients
from msgpass.graph import FactorGraph
from msgpass.marginal_map import marginal_map
from msgpass.messages import Messages
from msgpass.potentials import Loss, Quadratic, Step, Table
from msgpass.potentials.structured import (
    And,
    AtMostOne,
    Cardinality,
    Equal,
    ExactlyOne,
    NoisyOr,
    Or,
    Parity,
    Pool,
    Potts,
)
from msgpass.run import run
from msgpass.schedule import (
    Checkpointed,
    FixedLag,
    Flooding,
    ForwardOnly,
    JunctionTree,
    ParallelScan,
    Sequential,
    Truncated,
)

__version__ = "0.1.0"

__all__ = [
    "Adjoint",
    "And",
    "AssumedDensity",
    "AtMostOne",
    "Cardinality",
    "Checkpointed",
    "Equal",
    "ExactlyOne",
    "FactorGraph",
    "FixedLag",
    "Flooding",
    "ForwardOnly",
    "Gaussian",
    "JunctionTree",
    "Loss",
    "MaxProduct",
    "MessagePassingError",
    "Messages",
    "NoisyOr",
    "OnEdges",
    "Or",
    "ParallelScan",
    "Parity",
    "Pool",
    "Potts",
    "Quadratic",
    "Sequential",
    "Step",
    "SumProduct",
    "Table",
    "Tangent",
    "Tempered",
    "TimeEdge",
    "Truncated",
    "check_gradients",
    "compare",
    "identities",
    "marginal_map",
    "run",
    "second_order",
]
