"""Algebras: how a message is written down and how it crosses a factor."""

from msgpass.algebra.adjoint import Adjoint
from msgpass.algebra.assumed_density import AssumedDensity
from msgpass.algebra.gaussian import Gaussian
from msgpass.algebra.max_product import MaxProduct
from msgpass.algebra.on_edges import OnEdges, TimeEdge
from msgpass.algebra.sum_product import SumProduct
from msgpass.algebra.tangent import Tangent
from msgpass.algebra.tempered import Tempered

__all__ = [
    "Adjoint",
    "AssumedDensity",
    "Gaussian",
    "MaxProduct",
    "OnEdges",
    "SumProduct",
    "Tangent",
    "Tempered",
    "TimeEdge",
]
