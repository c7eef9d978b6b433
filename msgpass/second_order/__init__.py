"""Second derivatives of a graph's total: Hessians, Newton directions and Laplace intervals.

Everything here reads messages of :class:`~msgpass.algebra.Tangent` over another algebra, whose parameter
messages are (gradient, Hessian-vector product).

    Hd = ∂/∂ε ∇total(θ + εd)         Newton: H p = −∇total         Laplace: θ ≈ N(θ̂, (±H)⁻¹)

Parameters that are not free, such as rows of log-probabilities, are read in :mod:`coordinates
<msgpass.second_order.coordinates>`.
"""

from msgpass.second_order.coordinates import Basis, Coordinates, Covariance, Free, LogRows, Positive
from msgpass.second_order.curvature import (
    Curvature,
    Hessian,
    hessian,
    hessian_operator,
    hessian_vector_product,
)
from msgpass.second_order.laplace import Interval, Laplace, laplace
from msgpass.second_order.newton import NewtonDirection, newton_direction

__all__ = [
    "Basis",
    "Coordinates",
    "Covariance",
    "Curvature",
    "Free",
    "Hessian",
    "Interval",
    "Laplace",
    "LogRows",
    "NewtonDirection",
    "Positive",
    "hessian",
    "hessian_operator",
    "hessian_vector_product",
    "laplace",
    "newton_direction",
]
